"""The user's data written again: with columns added, with rows left out, or in another layout."""
