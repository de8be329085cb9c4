"""Migrations of the workflow's database."""
