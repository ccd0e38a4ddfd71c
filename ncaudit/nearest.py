"""The name that was probably meant, where somebody gave one that is not there. Knows names only."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most alike, capitals aside; None where none is.

    >>> nearest("captoin", ["url", "Caption"]), nearest("scoer", ["scorers", "score"]), nearest("x", ["url"])
    ('Caption', 'score', None)
    """
    alike = {one.casefold(): one for one in known}
    asked = name.casefold()
    found = difflib.get_close_matches(asked, alike, n=3)
    swapped = (one for one in found if sorted(one) == sorted(asked))  # two letters in the wrong order
    return alike[next(swapped, found[0])] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question that stands before what to do; "" where no known name is alike.

    >>> did_you_mean("captoin", ["url", "caption"]) + "name another"
    'did you mean caption? name another'
    """
    found = nearest(name, known)
    return f"did you mean {found}? " if found else ""


def one_of(name: str, known: Iterable[str]) -> str:
    """What to give instead of a name that is not there: all names that are, first the one that was meant.

    >>> one_of("bicor", ["bicro", "csls"])
    'did you mean bicro? give one of: bicro, csls'
    """
    names = list(known)
    return f"{did_you_mean(name, names)}give one of: {', '.join(names)}"
