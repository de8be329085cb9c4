"""The way of a document through a worker (PROTOCOL "Use"): gate, Intend, prepare, sign, timestamp, read back, Commit."""
