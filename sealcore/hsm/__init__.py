"""PKCS#11: the token, its sessions and keys. The only place that imports ``pkcs11``.

What services use:

``token``      Token and TokenKey: open, generate, find, sign
``watch``      bounds the time of a call into the HSM, which cannot be interrupted
``private``    private keys for ``cryptography``'s builders that sign in the token
``request``    PKCS#10 requests signed in the token
``algorithm``  the key algorithms, free of PKCS#11, for code that must not load it
``softhsm``    makes a new SoftHSM token with its folder, configuration and PIN files

What those are made of: ``keys`` and ``generation`` (key pairs), ``sessions`` and ``turns`` (a pool of sessions, first come first served),
``signing`` (mechanisms and encodings), ``library`` and ``native`` (the loaded module), ``exclusion`` and ``refusals`` (what processes
must not do at the same time, or twice), ``faults`` (what an error of the token means).
"""
