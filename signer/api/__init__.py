"""The signer's gRPC services: who may call what, and the way between messages and values."""
