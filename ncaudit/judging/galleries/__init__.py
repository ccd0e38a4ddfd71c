"""Which rows of a table are worth looking at, found while all rows pass by once. Knows columns; nothing of files."""
