"""The certificate authorities: a root, kept offline, and the issuing CAs *seals* and *infrastructure*.

``profiles``   what each kind of certificate is like, as data (profiles.toml)
``request``    a PKCS#10 request, its proof of possession, and the names it asks for
``certificate``, ``lint``, ``record``, ``issue``
               one way to a certificate: build → lint → record → sign, each step taking only what the step before gives
``crl``        revocation lists, linted and numbered
``revoke``     revocation, published at once
``outbox``     what the ledger has still to be told
``http``       CRLs and CA certificates for strangers
``rpc``        the CertificateAuthority service
``ocsp``       the OCSP responder, a process of its own
``ceremony``   root and issuing CAs from one reviewable file; issuing without the service
"""
