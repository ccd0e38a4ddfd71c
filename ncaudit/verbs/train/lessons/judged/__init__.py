"""Recipes in which the matcher judges the pairs that it learns from, one per file. Knows nothing of files."""
