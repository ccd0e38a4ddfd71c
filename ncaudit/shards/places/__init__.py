"""Where outputs are put together, and how they get to another machine whole. Knows no tables."""
