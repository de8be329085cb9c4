"""The steps of a verification, each one module with one function that is listed in order: of the reading in ``verify.examine``, after it in
``verify.verifier``. A new step is a module here and an entry of one of those lists.
"""
