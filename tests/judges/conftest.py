"""Seals and pictures as the tests of PAdES have them."""

from tests.pades.conftest import authority, font, other_seal, picture, picture_sha256, seal

__all__ = ["authority", "font", "other_seal", "picture", "picture_sha256", "seal"]
