"""The workflow: who may seal what. Forms, people's decisions, and the approval tokens that follow from them.

``app.build`` composes the service; ``forms``, ``decisions``, ``directory`` and ``stops`` hold the use cases, ``model`` the rules.
"""
