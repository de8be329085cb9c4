"""The way of a document through a worker (docs/protocol.md, "Use"): gate, Intend, prepare, sign, timestamp, read back, Commit."""
