"""Issuing certificates: request, profile, build, lint, record, sign, store; who holds a name; renewal."""
