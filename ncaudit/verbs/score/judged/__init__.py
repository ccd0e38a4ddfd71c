"""People's verdicts joined with the scores of the pairs they are about, by whoever does the shards."""
