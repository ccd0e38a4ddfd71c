"""A file of options, checked as a whole: what stands in it is as good as given on the command line.

Knows TOML and keys; nothing of what an option means.
"""

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ncaudit.cli.configuration.keys import OF_THE_PROGRAM, Key, keys_of, tables_of
from ncaudit.errors import UsageError
from ncaudit.nearest import nearest

PRINTED = "`ncaudit config COMMAND` prints one"
Values = dict[str, Any]


def read_options(path: str, program: Any) -> Values:
    """What Typer takes as defaults, command by command. program: all commands, as Typer knows them.

    Raises UsageError for a file that cannot be read, and for every table, key and value that no command takes: those of
    other commands than the one that is run, too.
    """
    return _File(path, _text(path), program).values()


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        what = f"--config {path} cannot be read: {error.strerror or error}"
        raise UsageError(what, fix=f"give a file; {PRINTED}") from error
    except UnicodeDecodeError as error:
        what = f"--config {path} is no text in UTF-8 (byte {error.start})"
        raise UsageError(what, fix=f"give a TOML file; {PRINTED}") from error


class _File:
    """One file, and what may stand in it."""

    def __init__(self, path: str, text: str, program: Any) -> None:
        self._path, self._lines, self._program = path, text.splitlines(), program
        self._tables = tables_of(program)
        try:
            self._told = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{path} is no TOML: {error}", fix=f"mend it there; {PRINTED}") from error
        except RecursionError as error:
            raise UsageError(f"{path} is nested too deeply", fix=f"give a TOML file; {PRINTED}") from error

    def values(self) -> Values:
        """All of it, by the names of commands and fields."""
        plain = {name: value for name, value in self._told.items() if not isinstance(value, dict)}
        tables = {name: value for name, value in self._told.items() if isinstance(value, dict)}
        return {**dict(self._fields(OF_THE_PROGRAM, self._program, plain)), **self._below("", tables)}

    def _below(self, above: str, tables: Mapping[str, Any]) -> Values:
        found: Values = {}
        for word, told in tables.items():
            name = f"{above}{word}"
            if not isinstance(told, dict):
                self._refuse_loose_key(above.removesuffix("."), word)
            if name in self._tables:
                found[word] = dict(self._fields(name, self._tables[name], told))
            elif any(known.startswith(f"{name}.") for known in self._tables):
                found[word] = self._below(f"{name}.", told)
            else:
                self._refuse_table(name)
        return found

    def _fields(self, table: str, command: Any, told: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        keys = keys_of(command)
        for name, value in told.items():
            if name not in keys:
                self._refuse_key(table, name, keys)
            yield keys[name].field, self._value(table, keys[name], value)

    def _value(self, table: str, key: Key, value: Any) -> Any:
        several = isinstance(value, list) and (key.is_list or key.commas)
        values = value if several else [value]
        for one in values:
            if not key.fits(one):
                near = _near(str(one), key.choices)
                what = f"{key.name}{_in(table)} is {_shown(one)}{self._line(table, key.name)}"
                raise UsageError(f"{self._path}: {what}", fix=near or f"give {key.form}")
        if key.commas:
            return ",".join(values)
        return values if key.is_list else value

    def _refuse_loose_key(self, table: str, name: str) -> None:
        """Of a group of commands, which has no options itself."""
        inside = [f"[{known}]" for known in self._tables if known.startswith(f"{table}.")]
        what = f"{name} stands in [{table}]{self._line(table, name)}, which is several commands"
        raise UsageError(f"{self._path}: {what}", fix=f"put it into {' or '.join(inside)}")

    def _refuse_table(self, name: str) -> None:
        known = list(self._tables)
        fix = _near(name, known, "[{}]") or f"give one of: {', '.join(known)}"
        raise UsageError(f"{self._path}: there is no command for the table [{name}]{self._line(name, None)}", fix=fix)

    def _refuse_key(self, table: str, name: str, keys: Collection[str]) -> None:
        whose = f"ncaudit {table.replace('.', ' ')}" if table else "ncaudit, before a command,"
        fix = _near(name, keys) or f"give one of: {', '.join(sorted(keys))}"
        what = f"{whose} has no option {name}{_in(table)}{self._line(table, name)}"
        raise UsageError(f"{self._path}: {what}", fix=fix)

    def _line(self, table: str, key: str | None) -> str:
        """Where that stands, as far as a look at the lines tells; "" where it is written in another way."""
        here = ""
        for number, line in enumerate(self._lines, start=1):
            if header := re.match(r"\s*\[([^\[\]]+)\]", line):
                here = ".".join(part.strip().strip("\"'") for part in header[1].split("."))
                found = key is None and (here == table or here.startswith(f"{table}."))
            else:
                told = re.match(r"\s*[\"']?([^\"'=\s]+)[\"']?\s*=", line)
                found = here == table and told is not None and told[1] == key
            if found:
                return f" (line {number})"
        return ""


def _near(name: str, known: Collection[str], form: str = "{}") -> str:
    """What to write instead, where something known is spelled nearly so."""
    found = nearest(name.replace("_", "-"), known)
    return f"write {form.format(found)}" if found else ""


def _in(table: str) -> str:
    return f" in [{table}]" if table else ""


def _shown(value: Any) -> str:
    """As it may stand in the file."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
