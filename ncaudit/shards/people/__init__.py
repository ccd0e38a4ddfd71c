"""What people know: verdicts they gave, and truth that came with the pairs."""
