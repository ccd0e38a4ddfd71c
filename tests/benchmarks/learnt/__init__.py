"""What a matcher learns under noise: worlds, rows and figures of `training.py`, one idea a file."""
