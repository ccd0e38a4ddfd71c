"""`score`: one fit for all tables, then rows."""
