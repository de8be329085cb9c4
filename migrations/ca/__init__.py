"""Migrations of the certificate authorities' database."""
