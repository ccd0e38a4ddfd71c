"""Shards done by the processes of a Ray cluster. Imported only where that is asked for: Ray is an extra."""
