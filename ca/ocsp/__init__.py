"""The OCSP responder (RFC 6960, RFC 5019, nonces after RFC 9654): a process of its own, which has neither the CA's PIN nor its key.

It answers for the issuing CAs as a delegate (RFC 6960 §4.2.2.2) under keys in a token of its own, reads the CA's record, and writes
nothing there but its answers.

``question``   what came over HTTP, as CertIDs and a nonce, or the status that refuses it
``authority``  the CAs that are answered for, known by the hashes of a CertID
``record``     what the CA's record says of a serial number; the pre-signed answers
``delegate``   the delegate's certificate: fetched from the CA, renewed in good time
``delegations`` the delegates of every generation there is now
``answer``     the signed bytes
``presign``    keeps a current answer at hand for every certificate
``responder``  question in, answer out: pre-signed, or live within a rate
``http``       GET and POST
"""
