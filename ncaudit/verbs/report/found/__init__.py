"""What is found in tables and in the dataset that they were made from. Knows rows; nothing of what is shown of them."""
