"""Rows on standard input and standard output."""
