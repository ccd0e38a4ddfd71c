"""The page of `report`: templates, style and script, and what may safely stand in it. Knows nothing of tables."""
