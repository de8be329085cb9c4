"""Seals and pictures as the tests of PAdES have them, and the running office of those of the command line."""

from tests.cli.conftest import office
from tests.signer.pdf.conftest import authority, font, other_seal, picture, picture_sha256, seal

__all__ = ["authority", "font", "office", "other_seal", "picture", "picture_sha256", "seal"]
