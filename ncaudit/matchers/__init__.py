"""What training produces: open_clip towers that every command loads again, and the loop that makes them."""
