"""Rows from torn scrapes."""
