"""Options as the command line that gives them. Knows options alone: what stood on a command line, or in a file of
options, or in a notebook, is told alike.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from ncaudit.options.shared.about import Option, Options, options_of
from ncaudit.options.shared.streams import STREAM

NAMES = {"evalscores": "eval scores", "evalretrieval": "eval retrieval"}  # all others are called as their options
SECRET, STORAGE = "***", "--storage-option"
_LOGIN = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_QUERY = re.compile(r"([?&][^=&/\s]+=)[^&\s]+")


def command_of(options: Options) -> str:
    """The command line that gives these options: --out, and what differs from the defaults.

    What may be a secret in an address, its login and the values of its query, is not told.
    """
    told = [option for option in options_of(type(options)) if _is_told(options, option)]
    given, words = list[str](), list[str]()
    for option in told:
        value = getattr(options, option.name)
        if option.about.positional:
            given += _listed(value)
        else:
            words += _words(option, value)
    dashes = any(word.startswith("-") and word != STREAM for word in given)
    line = [*words, "--", *given] if dashes else [*given, *words]
    return shlex.join(["ncaudit", *name_of(type(options)).split(), *map(without_secrets, line)])


def name_of(kind: type[Options]) -> str:
    """The command that takes these options."""
    name = kind.__name__.removesuffix("Options").lower()
    return NAMES.get(name, name)


def shown(words: Sequence[str]) -> str:
    """A command line as it may be told: without what may be a secret in an address, or is the value of an option of a
    store.

    >>> shown(["ncaudit", "score", "--storage-option", "key=abc", "--storage-option=secret=d", "s3://me:pass@bucket"])
    "ncaudit score --storage-option 'key=***' '--storage-option=secret=***' 's3://***@bucket'"
    """
    told, after = list[str](), False
    for word in words:
        own, equals, rest = word.partition("=")
        if after and equals:
            word = f"{own}={SECRET}"
        elif own == STORAGE and equals:
            word = f"{own}={rest.partition('=')[0]}={SECRET}"
        after = word == STORAGE
        told.append(without_secrets(word))
    return shlex.join(told)


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


def _is_told(options: Options, option: Option) -> bool:
    value = getattr(options, option.name)
    if value is None or value in ((), []) or option.name in type(options).UNASKED:
        return False
    return option.name == "out" or value != option.default


def _words(option: Option, value: Any) -> Iterator[str]:
    if isinstance(value, bool):
        yield option.flag if value else option.about.off
    elif option.about.commas:
        yield from (option.flag, ",".join(value))
    else:
        for word in _listed(value):
            yield from (option.flag, word)


def _listed(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, Sequence) and not isinstance(value, str) else [str(value)]
