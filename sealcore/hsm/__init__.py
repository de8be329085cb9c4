"""PKCS#11: the token, its sessions and keys. The only place that imports ``pkcs11``.

``token``      Token and TokenKey: open, generate, find, sign. What services use
``algorithm``  the key algorithms, free of PKCS#11, for code that must not load it
``private``    private keys for ``cryptography``'s builders that sign in the token
``request``    PKCS#10 requests signed in the token
``softhsm``    makes a new SoftHSM token with its folder, configuration and PIN files
"""
