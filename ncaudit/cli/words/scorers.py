"""What `scorers` tells: a line for each. Knows names and what each says of itself; nothing of scoring."""

from collections.abc import Mapping


def lines(about: Mapping[str, str]) -> list[str]:
    """Names in one column, what they are in the other."""
    width = max(map(len, about))
    return [f"{name:{width}}  {told}" for name, told in about.items()]
