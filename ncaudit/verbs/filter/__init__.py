"""`filter`: which rows are worth keeping, and writing them."""
