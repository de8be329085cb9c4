"""The ledger that everyone shares: entry format, append within a transaction, checkpoint notes, and reading for strangers."""
