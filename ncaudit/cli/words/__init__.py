"""What people read of a verb's result: lists of lines and tables, one file per command; nothing here prints."""
