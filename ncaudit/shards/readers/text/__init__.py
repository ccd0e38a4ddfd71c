"""Readers of text: CSV, TSV and JSON lines, and the types of what they hold."""
