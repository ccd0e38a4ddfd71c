"""One training step, whatever is trained: its pairs, backward pass and optimiser. Knows neither towers nor heads."""
