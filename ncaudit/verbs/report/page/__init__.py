"""The page: its templates, style and script, and what each part of it is given."""
