"""How words stand in lines: what they are made of, where lines end, how wide columns are. Nothing here prints."""
