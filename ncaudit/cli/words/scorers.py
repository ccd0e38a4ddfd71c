"""What `scorers` tells: a line for each. Knows names and what each says of itself; nothing of scoring."""

from collections.abc import Mapping

from ncaudit.cli.layout.vocabulary import Span, Told


def lines(about: Mapping[str, str]) -> list[Told]:
    """Names in one column, what they are in the other."""
    width = max(map(len, about)) + 2
    return [Told((Span(told),), head=Span(f"{name:{width}}"), hang=width) for name, told in about.items()]
