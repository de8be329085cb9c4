"""What a service stands on: configuration, database, gRPC and HTTP over mTLS, identities, logs, metrics, sandboxes, the ledger's tables."""
