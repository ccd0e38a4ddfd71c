"""Projection heads on frozen embeddings: where they start, how they learn, and which encoder stands behind them."""
