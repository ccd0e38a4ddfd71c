"""The name that was probably meant, where somebody gave one that is not there. Knows names only."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most alike, capitals aside; None where none is.

    >>> nearest("captoin", ["url", "Caption"]), nearest("x", ["url", "Caption"])
    ('Caption', None)
    """
    alike = {one.casefold(): one for one in known}
    found = difflib.get_close_matches(name.casefold(), alike, n=1)
    return alike[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question that stands before what to do; "" where no known name is alike.

    >>> did_you_mean("bicor", ["bicro", "csls"]) + "give one of: bicro, csls"
    'did you mean bicro? give one of: bicro, csls'
    """
    found = nearest(name, known)
    return f"did you mean {found}? " if found else ""
