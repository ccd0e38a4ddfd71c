"""`corrupt`: the user's dataset with known noise, in captions or in classes."""
