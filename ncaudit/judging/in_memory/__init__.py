"""Arrays that a notebook holds, scored without any file."""
