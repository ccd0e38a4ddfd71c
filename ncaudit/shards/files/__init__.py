"""Files: where they are, which make a shard, what they came from, and appearing whole. Knows no columns."""
