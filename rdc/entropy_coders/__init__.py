"""Symbols to bytes and back: integer tables, escapes, coders."""
