"""What a training run learns from: pairs, their labels or classes, and how they are split. Knows no lessons."""
