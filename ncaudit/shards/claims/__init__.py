"""Whose the files of an output are: claimed before any work, so that nobody's files are written over."""
