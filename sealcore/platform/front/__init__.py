"""The one HTTP front of all services: connections are let in, bounded and ended here, before any application sees a request.

``limits``       the numbers, as a block of every service's settings
``address``      whose share a connection counts against
``connections``  so many in all and of one address; who gives way when there are too many
``protocol``     one connection: its head, its body, its answers, each within a time
``listener``     accepts, with or without TLS, and goes on when the process has no descriptor left
``server``       a listener, its connections and the application
"""
