"""What each step teaches: pairs as given, pairs by class, or a recipe, one per file. Knows nothing of files."""
