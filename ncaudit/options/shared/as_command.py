"""Options as the command line that gives them. Knows options alone: what stood on a command line, or in a file of
options, or in a notebook, is told alike.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, fields
from typing import Any

from ncaudit.options.shared.effect import flag_of
from ncaudit.options.shared.streams import STREAM

POSITIONAL = ("sources", "embeddings", "scores")  # where a command cannot do without them
AT_COMMAS = ("devices",)  # one word for several
NAMES = {"evalscores": "eval scores", "evalretrieval": "eval retrieval"}  # all others are called as their options
SECRET = "***"
_LOGIN = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_QUERY = re.compile(r"([?&][^=&/\s]+=)[^&\s]+")


def command_of(options: Any) -> str:
    """The command line that gives these options: --out, and what differs from the defaults.

    What may be a secret in an address, its login and the values of its query, is not told.
    """
    told = [field for field in fields(options) if _is_told(options, field)]
    given = [word for field in told if is_positional(field) for word in _listed(getattr(options, field.name))]
    words = [word for field in told if not is_positional(field) for word in _words(field, getattr(options, field.name))]
    dashes = any(word.startswith("-") and word != STREAM for word in given)
    line = [*words, "--", *given] if dashes else [*given, *words]
    return shlex.join(["ncaudit", *name_of(options).split(), *map(without_secrets, line)])


def name_of(options: Any) -> str:
    """The command that takes these options."""
    name = (options if isinstance(options, type) else type(options)).__name__.removesuffix("Options").lower()
    return NAMES.get(name, name)


def is_positional(field: "Field[Any]") -> bool:
    """Whether a command takes it without a flag."""
    return field.name in POSITIONAL and field.default is MISSING


def without_secrets(word: str) -> str:
    """
    >>> without_secrets("s3://me:secret@bucket/a?.parquet"), without_secrets("https://host/a?sig=b&x=1")
    ('s3://***@bucket/a?.parquet', 'https://host/a?sig=***&x=***')
    >>> without_secrets("what?is=this")
    'what?is=this'
    """
    if "://" not in word:
        return word
    return _QUERY.sub(rf"\g<1>{SECRET}", _LOGIN.sub(SECRET, word))


def _is_told(options: Any, field: "Field[Any]") -> bool:
    value = getattr(options, field.name)
    if value is None or value in ((), []):
        return False
    return field.name == "out" or value != field.default


def _words(field: "Field[Any]", value: Any) -> Iterator[str]:
    flag = flag_of(field.name)
    if isinstance(value, bool):
        yield flag if value else f"--no-{flag.removeprefix('--')}"
    elif field.name in AT_COMMAS:
        yield from (flag, ",".join(value))
    else:
        for word in _listed(value):
            yield from (flag, word)


def _listed(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, Sequence) and not isinstance(value, str) else [str(value)]
