"""The user's dataset as pairs: its rows, keys, captions and classes."""
