"""Some pairs of score tables, or of judged classes, with what was found about them and why; their pictures in files."""
