"""What files take once they are unpacked, told before memory is taken: cells, pages, messages."""
