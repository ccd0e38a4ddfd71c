"""Nearest rows: exact search, cells, clusters, and fixed banks of rivals."""
