"""How often photos and captions occur over all shards: counted part by part, kept in a file, looked up."""
