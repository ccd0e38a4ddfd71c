"""One training recipe per file: what its networks are taught in every epoch. The plain one is `lessons.AsGiven`."""
