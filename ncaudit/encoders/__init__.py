"""open_clip towers, and the images and captions they see. Knows bytes, pixels and tensors; nothing of shards."""
