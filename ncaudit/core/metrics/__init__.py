"""How good a score or a matcher is, told by the truth."""
