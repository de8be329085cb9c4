"""PAdES signatures: prepare an incremental update with a hole, make the CMS for it, fill it in, read it back.

``prepare`` (in the sandbox: strangers' documents) → ``cms`` → ``fill`` → ``readback`` (which shares no code with the writer).
"""
