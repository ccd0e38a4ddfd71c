"""Mixtures, null distributions, ranks, curves and samples of numbers. Knows nothing of what they measure."""
