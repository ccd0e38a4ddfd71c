"""The GPU core: pure tensor functions shared by scoring and training. Knows nothing of files, encoders or the CLI."""
