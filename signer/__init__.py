"""The signing core: it holds the seal keys and signs nothing without a covering approval token.

A call comes in at ``api``, passes through ``front`` to a ``worker`` process, and there through the stages of ``pipeline``: ``gate``, Intend
(``uses``), prepare (``pdf``), sign, timestamp, read back (``pdf``), Commit (``uses``). What the gate believes comes from ``register``, which
follows from the signed ``acts``; ``status`` watches certificates of outside CAs.
"""
