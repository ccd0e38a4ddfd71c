"""The only code that opens dataset files: finding shards, reading rows, atomic writing, provenance and resume."""
