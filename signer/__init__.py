"""The signing core: it holds the seal keys and signs nothing without a covering approval token.

The way of a document: ``gate`` → ``uses`` (Intend) → ``engine`` (prepare, sign, timestamp, read back) → ``commit`` → release.
What the gate believes comes from ``register``, the sum of the signed ``acts``.
"""
