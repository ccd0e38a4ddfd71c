"""Nothing public is without words: every column, status, flag and key of a summary stands on a page."""

import dataclasses
import runpy
import typing

import pyarrow as pa
import pytest
import typer

import ncaudit
from ncaudit.cli.app import app
from ncaudit.core.classes.votes import PARTITIONS
from ncaudit.schema import REASONS, SCORE, STATUSES, SUGGESTION, VERDICTS, embedding_schema, labels_schema
from tests.pages import DOCS, in_code, rows, sections

COLUMNS = sections(DOCS / "columns.md")
YOURS = pa.int8()  # stands for the type of a user's class column
TYPES = {
    pa.string(): "string",
    pa.int64(): "int64",
    pa.int32(): "int32",
    pa.float32(): "float32",
    pa.bool_(): "bool",
    pa.binary(16): "16 bytes",
    pa.list_(pa.float16(), 1): "float16 × d",
    pa.list_(pa.string()): "list of string",
    YOURS: "your class",
}
TABLES = {
    "Embedding table": embedding_schema(1, 1),
    "Score table": pa.schema([*SCORE, *SUGGESTION]),
    "Label table": labels_schema(YOURS),
}
VERBS = {
    "audit": "audit",
    "inspect": "inspect",
    "embed": "embed",
    "score": "score",
    "filter": "filter_pairs",
    "train": "train",
    "eval retrieval": "eval_retrieval",
    "eval scores": "eval_scores",
    "labels": "labels",
    "sample": "sample",
    "report": "report",
    "show": "show",
    "status": "status",
    "corrupt": "corrupt",
    "bench": "bench",
    "demo": "demo",
    "plan": "plan",
}
# what summaries hold that has a table of its own; all else is told where it stands
OF_THEIR_OWN = {
    "Accounting": "accounting",
    "ShardError": "shard error",
    "ImageSample": "image sample",
    "ModelIdentity": "model",
    "RetrievalMetrics": "retrieval metrics",
    "ClassRetrievals": "by class",
    "Choice": "choice",
    "PriorScore": "prior score",
    "Run": "run",
    "ReportResult": "report",
    "EmbedResult": "embed",
    "ScoreResult": "score",
    "LabelsResult": "labels",
    "ShownPair": "shown pair",
    "ShownClass": "shown class",
    "Plan": "plan",
}
MORE_TOLD = {"accounting": {"rows", "ok", "failed"}}  # what `--json` adds to the fields


def documented(section):
    """The names in the first column of a section's tables, with the cell of their type."""
    return {in_code(cells[0])[0]: cells[1] for cells in rows(COLUMNS[section]) if in_code(cells[0])}


@pytest.mark.parametrize("section", TABLES)
def test_every_column_is_on_the_page_with_its_type(section):
    told = documented(section)
    for field in TABLES[section]:
        assert told.get(field.name) == TYPES[field.type], field.name


def test_no_column_is_told_that_is_not_there():
    words = {*STATUSES, *REASONS}
    for section, schema in TABLES.items():
        assert set(documented(section)) - words == set(schema.names)


@pytest.mark.parametrize("word", [*STATUSES, *VERDICTS, *REASONS, *PARTITIONS])
def test_every_word_in_a_column_is_on_the_page(word):
    assert any(word in in_code(COLUMNS[section]) for section in TABLES)


def inside(kind):
    """The dataclasses that a type is or holds, their kinds among them."""
    found = {kind} if dataclasses.is_dataclass(kind) else set()
    return found.union(*map(inside, typing.get_args(kind)), *map(inside, kind.__subclasses__() if found else ()))


def result_of(verb):
    """What the function behind a command gives, and every kind of it."""
    return inside(typing.get_type_hints(getattr(ncaudit, verb))["return"])


def keys(kinds):
    return {field.name for kind in kinds for field in dataclasses.fields(kind)}


def held_in(kind):
    """The dataclasses that the fields of one hold, those with a table of their own not entered."""
    found = set()
    for hint in typing.get_type_hints(kind).values():
        for inner in inside(hint) - found:
            found |= {inner} | (set() if inner.__name__ in OF_THEIR_OWN else held_in(inner))
    return found


def every_result():
    results = {title: result_of(verb) for title, verb in VERBS.items()}
    results["corrupt"] |= result_of("corrupt_labels")
    return results


RESULTS = every_result()
HELD = {inner for kinds in RESULTS.values() for kind in kinds for inner in held_in(kind)}
APART = {title: {kind for kind in HELD if kind.__name__ == name} for name, title in OF_THEIR_OWN.items()}


@pytest.mark.parametrize("section", [*RESULTS, *APART])
def test_every_key_of_a_summary_is_on_the_page_and_no_other(section):
    kinds = RESULTS.get(section) or APART[section]
    assert set(documented(section)) == keys(kinds) | MORE_TOLD.get(section, set())


@pytest.mark.parametrize("section", [*RESULTS, *APART])
def test_what_a_key_holds_is_told_beside_it(section):
    kinds = RESULTS.get(section) or APART[section]
    without_table = {inner for kind in kinds for inner in held_in(kind) if inner.__name__ not in OF_THEIR_OWN}
    assert keys(without_table) <= set(in_code(COLUMNS[section]))


def test_every_summary_is_that_of_a_command():
    functions = {*VERBS.values(), "corrupt_labels", "soft_labels", "live_progress"}
    assert functions == {name for name in ncaudit.__all__ if name.islower() and not name.startswith("_")}


def test_the_power_of_a_scorer_is_told():
    from ncaudit.judging.power import Power

    assert set(documented("power")) == keys({Power})


def test_the_page_of_commands_is_what_its_script_writes():
    script = DOCS / "make_commands.py"
    written = runpy.run_path(str(script))["page"]()
    assert (DOCS / "commands.md").read_text(encoding="utf-8") == written, "run: python docs/make_commands.py"


def commands(command, path=()):
    inner = getattr(command, "commands", None)
    if inner is None:
        return [(" ".join(path), command)]
    return [found for name, each in inner.items() for found in commands(each, (*path, name))]


@pytest.mark.parametrize(("title", "command"), commands(typer.main.get_command(app)))
def test_every_flag_is_on_the_page_with_words(title, command):
    page = sections(DOCS / "commands.md")
    tables = [*rows(page[title]), *rows(page["Commands"])]  # the second: what may stand before or after any command
    told = {name: cells[2] for cells in tables for name in in_code(cells[0])}
    for option in command.params:
        if option.param_type_name == "option":
            assert all(told.get(name) for name in (*option.opts, *option.secondary_opts)), option.name
