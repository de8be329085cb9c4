"""The workflow: who may seal what. Forms, people's decisions, and the approval tokens that follow from them.

``app.build`` composes the service. Each subject has a folder with the same few files: ``model`` (plain values), ``store`` (rows),
``use_cases``, ``schemas`` (bodies), ``routes``. ``principal`` says who calls, ``access`` what they may do. A kind of form is a module
of ``forms/kinds``; what other services do for us, and what they are told, is in ``delivery``.
"""
