"""Plain functions, options in and one result out: what the CLI can do, a notebook can do. Nothing here prints."""
