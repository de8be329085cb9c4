"""The service that reads strangers' documents for signer and verification, in an account that owns nothing.

app       the closed table of what may be asked for, and by whom
settings  its configuration
environment  what it keeps of its environment

How a document is read is in ``sealcore.platform.sandbox``; with what, is the callers' own.
"""
