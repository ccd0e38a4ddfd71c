"""Losses of training: of similarities with soft labels, and of rows with classes."""
