"""Seals, grants and stops, as the signer's register has them."""
