"""A small dataset with pictures, some captions of people who mean harm, its scores, and reports of it."""

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.worlds.commands import embedded, run
from tests.worlds.sample import SAMPLE

ROWS = 240
FAST = ("--no-check", "--device", "cpu")  # flags of `score`
HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    '" onerror="alert(3)" x="',
    "<img src=http://127.0.0.1:9/x.png onerror=alert(4)>",
    "</title></style><!-- {{ 7*7 }} {% raw %}",
    "\u202egnp.exe\u2066 \u200f\u202d",
    "a\x00b\u2028c",
    "w" * 1_000_000,
    "=cmd|' /C calc'!A0",
    '<svg/onload=alert(5)><iframe srcdoc="<script>parent.alert(6)</script>">',
)
COLOURS = ("red", "blue", "green", "violet", "pink", "orange", "yellow", "navy", "scarlet")
UNDECODABLE = 3  # rows whose picture is not one


def scored(folder: Path, *, hostile: Sequence[str] = HOSTILE) -> Path:
    """Write dataset, embeddings and scores into the folder: `data.parquet`, `embeddings`, `scores`.

    The hostile captions stand in the first rows, on pictures that they do not describe; after them come rows whose
    picture does not decode.
    """
    rows = pq.read_table(SAMPLE / "train.parquet", columns=["key", "jpg", "caption"]).slice(0, ROWS)
    captions, pictures = rows["caption"].to_pylist(), rows["jpg"].to_pylist()
    captions[: len(hostile)] = hostile
    pictures[len(hostile) : len(hostile) + UNDECODABLE] = [b"no picture"] * UNDECODABLE
    table = pa.table({"key": rows["key"], "jpg": pictures, "caption": captions, "colour": _colours(captions)})
    pq.write_table(table, folder / "data.parquet")
    embedded(folder / "data.parquet", folder / "embeddings")
    succeed("score", folder / "embeddings", "--out", folder / "scores", *FAST)
    return folder


def classes(folder: Path) -> Path:
    """Judge the colours that the dataset tells: label tables in `labels`."""
    succeed("labels", folder / "embeddings", "--label-column", "colour", "--out", folder / "labels", "--device", "cpu")
    return folder / "labels"


def _colours(captions: Sequence[str]) -> list[str]:
    """The first colour that a caption names; every fifth row has that of the row before."""
    named = [next((word for word in caption.split() if word in COLOURS), "none") for caption in captions]
    return [named[i - 1] if i % 5 == 4 else colour for i, colour in enumerate(named)]


def report(folder: Path, *more: object, name: str = "report.html", data: bool = True) -> Path:
    """A report of what `scored` wrote."""
    pictures = ("--data", folder / "data.parquet", "--workers", "0") if data else ()
    return report_of(folder / "scores", folder / name, *pictures, *more)


def report_of(tables: Path, out: Path, *more: object) -> Path:
    """`ncaudit report`, which must end well."""
    succeed("report", tables, "--out", out, *more)
    return out


def noise_rate_of(scores: Path) -> float:
    """As the tables tell it."""
    told = pq.read_schema(next(scores.glob("*.parquet"))).metadata[b"ncaudit"]
    return float(json.loads(told)["noise_rate"]["rate"])


def succeed(*words: object) -> str:
    """Run a command that must end well: what it says on standard output."""
    ran = run(*words)
    assert ran.exit_code == 0, ran.output
    return str(ran.stdout)
