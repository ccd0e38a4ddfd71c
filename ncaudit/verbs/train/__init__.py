"""`train`: the run. What it learns from is in `data`, what each step teaches in `lessons`."""
