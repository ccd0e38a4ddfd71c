"""How fast towers learn classes where nobody has said it: by how many steps there are, and how wide the model is.

Knows numbers; nothing of options, pairs or networks. Adam moves a weight by about the learning rate a step, however
small the gradient. So a set of few pairs, which has few steps, comes nowhere at the rate that suits a million pairs;
and of a wide model each weight may move less, in proportion to 1 / width, for the same change of what comes out.
"""

SLOWEST, FASTEST = 1e-5, 1e-3
WAY = 0.12  # learning rate * steps, of a model of WIDTH: `tests/benchmarks/label_training.py --tune towers --paces`
WIDTH = 96


def class_learning_rate(steps: int, width: int) -> float:
    """For towers of `width` dimensions that learn classes in so many steps: two digits, from SLOWEST to FASTEST.

    >>> class_learning_rate(50, 96), class_learning_rate(200, 512), class_learning_rate(60_000, 512)
    (0.001, 0.00011, 1e-05)
    """
    return float(f"{min(max(WAY / steps * WIDTH / width, SLOWEST), FASTEST):.2g}")
