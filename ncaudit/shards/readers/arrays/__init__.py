"""Readers of embeddings that lie in arrays: .npy pairs, clip-retrieval folders, DataComp's .npz."""
