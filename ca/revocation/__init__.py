"""Revocation, hold and release; certificate revocation lists (RFC 5280 §5)."""
