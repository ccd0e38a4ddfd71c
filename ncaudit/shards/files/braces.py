"""Names with braces, as webdataset writes lists of shards: `{00000..00042}.tar`, `{train,val}.parquet`.

Knows names; nothing of files.
"""

import re
from collections.abc import Sequence
from itertools import product
from math import prod

from ncaudit.errors import NcauditError

MOST = 1_000_000  # names
BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*,[^{}]*)\}")


def in_braces(name: str) -> list[str]:
    """The names that one with braces stands for, in their order; one without stands for itself.

    Numbers are as wide as the longer one is written where either has a leading zero. Raises NcauditError above
    a million names.

    >>> in_braces("{08..10}.tar"), in_braces("{a,b}/{0..1}")
    (['08.tar', '09.tar', '10.tar'], ['a/0', 'a/1', 'b/0', 'b/1'])
    """
    pieces: list[Sequence[str]] = []
    end = 0
    for found in BRACES.finditer(name):
        pieces += [[name[end : found.start()]], _choices(found)]
        end = found.end()
    if (count := prod(map(len, pieces))) > MOST:
        raise NcauditError(f"{name} stands for {count:,} files", fix="give the numbers of those that are there")
    return ["".join(each) for each in product(*pieces, [name[end:]])]


def _choices(found: re.Match[str]) -> Sequence[str]:
    first, last, listed = found.groups()
    if listed is not None:
        return str(listed).split(",")
    if len(first) > 9 or len(last) > 9 or abs(int(last) - int(first)) >= MOST:
        raise NcauditError(f"{found[0]} stands for too many files", fix="give the numbers of those that are there")
    step = 1 if int(first) <= int(last) else -1
    padded = first.startswith("0") or last.startswith("0")
    width = max(len(first), len(last)) if padded else 0
    return [f"{number:0{width}}" for number in range(int(first), int(last) + step, step)]
