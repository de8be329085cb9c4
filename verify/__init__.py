"""Verification for strangers: is it valid, was it changed, was it authorised?

``verify.verifier.verify``  the library, in eight numbered steps
``verify.files``            the same for files, as the command line uses it
``verify.app``              the service: web page, HTTP API, gRPC
Nothing here shares code with what signs.
"""
