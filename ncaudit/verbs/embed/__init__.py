"""`embed`: raw shards to embedding tables: what is to be done, where rows go, and where the model runs."""
