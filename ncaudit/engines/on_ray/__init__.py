"""Shards done by the processes of a Ray cluster, where options ask for that. Ray itself, an extra, is loaded late."""
