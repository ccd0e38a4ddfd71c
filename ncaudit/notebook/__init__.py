"""The verbs as a notebook calls them."""
