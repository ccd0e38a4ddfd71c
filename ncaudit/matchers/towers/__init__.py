"""Open_clip towers that are fine-tuned: the step, the blocks that learn, and the folder they are kept in."""
