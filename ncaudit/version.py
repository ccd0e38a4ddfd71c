"""The version of ncaudit, and for each verb the format of its outputs: what both say of who made a table or a folder.

Knows numbers; nothing of what is written. A version is for people to read and decides nothing. Raise a verb's format
when the same command writes other bytes than the release before, and say so in CHANGELOG.md. An output counts as
finished while its results are those of today: where they are others, `RESULTS_SINCE` becomes the new format as well.
"""

from collections.abc import Mapping
from typing import Any, Final

__version__ = "0.1.0"

FIRST_FORMAT: Final = 1  # of a record that names none: it is not told, so that outputs stay as version 0.1.0 wrote them
# 2: pages of tables have checksums. `score` 3: sums in another order, scores up to 2e-5 and labels 2.1e-5 apart.
# `embed` 3: towers see fixed parts of a batch, last bits differ. `labels` 3: above 50,000 pairs other approximate
# neighbours. `corrupt` 3: no dictionary of images
FORMATS: Final = {"embed": 3, "score": 3, "filter": 2, "labels": 3, "corrupt": 3, "train": 1}
# the first format with the results of today, which nobody wants to wait for again only to have them stored otherwise
RESULTS_SINCE: Final = {"embed": 1, "score": 1, "filter": 1, "labels": 1, "corrupt": 1, "train": 1}


def told_format(verb: str) -> dict[str, int]:
    """As every record of `verb` has it: `format`, once it is no longer the first."""
    number = FORMATS.get(verb, FIRST_FORMAT)  # `demo` and `sample` write nothing that is ever gone on from
    return {} if number == FIRST_FORMAT else {"format": number}


def written_by(verb: str) -> dict[str, Any]:
    """As the outputs of `verb` have it that name their version too."""
    return {"ncaudit": __version__, **told_format(verb)}


def format_of(record: Mapping[str, Any]) -> int:
    """The format that a record was written in.

    >>> format_of({"ncaudit": "0.1.0", "verb": "embed"}), format_of({"format": 2})
    (1, 2)
    """
    return int(record.get("format", FIRST_FORMAT))


def same_results(record: Mapping[str, Any], verb: str) -> bool:
    """Whether what a record of `verb` stands beside is what that verb gives today, if perhaps stored otherwise.

    >>> same_results({"verb": "embed"}, "embed"), same_results({"format": 99}, "embed")
    (True, False)
    """
    return RESULTS_SINCE[verb] <= format_of(record) <= FORMATS[verb]


def told_alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two records say the same of how an output came about, by whichever versions they were written.

    >>> told_alike({"ncaudit": "0.1.0", "k": 1}, {"ncaudit": "0.2.0", "k": 1})
    True
    >>> told_alike({"ncaudit": "0.1.0", "k": 1}, {"ncaudit": "0.1.0", "k": 1, "format": 2})
    False
    >>> told_alike({"verb": "embed", "k": 1}, {"verb": "embed", "k": 1, "format": 2})
    True
    """
    return _deciding(one) == _deciding(other)


def _deciding(record: Mapping[str, Any]) -> dict[str, Any]:
    verb = str(record.get("verb"))
    today = verb in FORMATS and same_results(record, verb)
    told = {name: value for name, value in record.items() if name != "ncaudit"}
    return {**told, "format": FORMATS[verb] if today else format_of(record)}
