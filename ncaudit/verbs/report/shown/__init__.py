"""What a page shows, made of what was found: cards, pictures, charts. Knows nothing of HTML."""
