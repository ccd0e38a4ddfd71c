"""A dataset to embeddings, scores, judged classes and the report, in one command: it runs the other verbs."""
