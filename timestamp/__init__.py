"""The time-stamping authority (RFC 3161, RFC 5816).

``unit``      makes tokens; the signer uses it as a library, with a unit key of its own
``request``   reads a stranger's request, and says which PKIFailureInfo it deserves when it cannot be served
``template``  the DER of a token, spliced from pieces made once a unit
``http``      the protocol of RFC 3161 §3.4
``app``       the service's composition root
"""
