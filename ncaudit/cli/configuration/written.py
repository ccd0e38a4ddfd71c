"""A command line as a file of options, which gives the same options again.

Knows TOML and keys; nothing of what an option means. Of TOML no more is written than tables, strings, numbers, booleans
and lists of these.
"""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from ncaudit.cli.configuration.keys import Key, keys_of
from ncaudit.errors import NcauditError

WIDTH = 78  # behind the sign of a comment


def toml_of(table: str, command: Any, given: Mapping[str, Any], *, every: bool = False) -> list[str]:
    """The lines of a file. given: values by the names of fields. every: all other options, too, as comments."""
    keys = keys_of(command).values()
    words = table.replace(".", " ")
    lines = [f"# read by: ncaudit --config FILE {words}", f"[{table}]"]
    lines += [f"{key.name} = {value_of(given[key.field])}" for key in keys if key.field in given]
    for key in keys if every else ():
        lines += ["", *_comment(key)] if key.field not in given else []
    return lines


def value_of(value: Any) -> str:
    r"""A value as TOML spells it.

    >>> [value_of(one) for one in (True, 3, 0.5, "a \"b\"\n", ["é", "\x7f"])]
    ['true', '3', '0.5', '"a \\"b\\"\\n"', '["é", "\\u007f"]']
    """
    if isinstance(value, Enum):
        return value_of(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(value_of(one) for one in value)}]"
    return repr(value) if isinstance(value, (int, float)) else _string(str(value))


def _string(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        fix = "rename the file, or give it on the command line"
        raise NcauditError(f"{text!r} is no text in UTF-8, and a file of options holds no other", fix=fix) from error
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")  # JSON's escapes are TOML's but for this one


def _comment(key: Key) -> Iterator[str]:
    """The first sentence of an option's help, and its default, or what it takes where it has none."""
    sentence = re.split(r"(?<=\.)\s", key.help, maxsplit=1)[0]
    yield from (f"# {line}" for line in textwrap.wrap(sentence, WIDTH, break_long_words=False, break_on_hyphens=False))
    told = value_of(key.default) if key.default not in (None, (), []) else f"({key.form})"
    yield f"# {key.name} = {told}"
