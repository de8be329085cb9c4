"""Approval policies: how many people are asked beyond what the signer's register asks."""
