"""The parts of bicro's robust variant: its score, the space refitted out of fold, the sibling captions."""
