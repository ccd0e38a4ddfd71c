"""Our tables of embeddings, scores and labels, and what is joined to them."""
