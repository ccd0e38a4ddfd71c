"""Where the data that come with the repository lie, and the smallest model."""

from pathlib import Path

SAMPLE = Path(__file__).parents[2] / "sample_data"
TINY = str(SAMPLE / "tiny-clip")
