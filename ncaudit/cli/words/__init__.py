"""What people read of a verb's result, told first what they asked for; one file per command; nothing here prints."""
