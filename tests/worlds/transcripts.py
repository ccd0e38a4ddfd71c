"""What every command tells at its end on a terminal of 80 columns, with all that differs between runs masked.

Knows command lines, and what is masked: numbers (each digit of one is a #), ids, sizes, speeds and the captions of the
sample, as machines differ in last digits and so in which pair is the worst. `tests/cli/golden/` holds what was told;
after a change that is meant, `python -m tests.worlds.transcripts` writes it anew: read the difference, then commit it.
"""

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from ncaudit.cli.app import app
from ncaudit.cli.shared import output
from tests.docs.world import EMBED, make_world
from tests.worlds import shown

COLUMNS = 80
GOLDEN = Path(__file__).parents[1] / "cli/golden"
VERBOSE = "score-verbose"
LINES = {
    "audit": "ncaudit audit data/ --model sample_data/tiny-clip --batch-pairs 32 --no-check --out run/",
    "inspect-dataset": "ncaudit inspect data/",
    "embed": "ncaudit embed data/ --model sample_data/tiny-clip --batch-pairs 32 --out embeddings-2/",
    "inspect-embeddings": "ncaudit inspect embeddings/",
    "score": "ncaudit score embeddings/ --device cpu --out scores-2/",
    VERBOSE: "ncaudit score embeddings/ --device cpu --out scores-2/",
    "score-by-rank": "ncaudit score embeddings/ --device cpu --out scores-3/ --scorer structure --no-check",
    "inspect-scores": "ncaudit inspect scores/",
    "show": "ncaudit show known.parquet --worst 2",
    "status": "ncaudit status scores/",
    "show-classes": "ncaudit show classes.parquet --worst 1",
    "filter": "ncaudit filter scores/ --data data/ --min-soft-label 0.5 --out kept/",
    "sample": "ncaudit sample scores/ --n 20 --out review.csv",
    "report": "ncaudit report scores/ --data data/ --out report.html",
    "labels": "ncaudit labels product-embeddings/ --label-column category --device cpu --out labels/",
    "corrupt": "ncaudit corrupt products/ --rate 0.2 --out noisy/",
    "bench": "ncaudit bench embeddings/ --rates 0.2 --seeds 2 --pairs 128 --scorers csls --device cpu",
    "eval-scores": "ncaudit eval scores scores/ --truth is_match --bins 3",
    "eval-against": "ncaudit eval scores known.parquet --against similarity",
    "eval-retrieval": "ncaudit eval retrieval embeddings/ --device cpu",
    "train-heads": "ncaudit train --tune heads --embeddings embeddings/ --scores scores/ --epochs 1 "
    "--batch-pairs 32 --device cpu --out heads/",
    "train-towers": "ncaudit train --data data/ --scores scores/ --model sample_data/tiny-clip --epochs 1 --device cpu "
    "--batch-pairs 32 --workers 0 --out matcher/",
    "scorers": "ncaudit scorers",
    "error": "ncaudit score embeddings/ --scorer similarity --out scores-4/",
}
MASKS = (
    (r"\(\d+-[0-9a-f]+\)", "(ID)"),
    (r"\b[0-9a-f]{12,}\b", "ID"),
    (r"[\d,.]+ (KiB|MiB|bytes|pairs/s)", r"# \1"),
    (r"(?m)^( *-?\d+\.\d+  \d{9}  ).*$", r"\1CAPTION"),
)
NUMBER = re.compile(r"(?<![\w/.])(?<![\w]-)\d[\d.,]*")  # and no part of a name, such as float16 or scores-2/


def make(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """What the lines are about, in a folder that is then the working folder."""
    make_world(folder, patch)
    shown.table(folder / "known.parquet")
    shown.table(folder / "classes.parquet", rows=shown.CLASSES)


def transcripts(patch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """The name of each line, and what it tells, its words wrapped as on a terminal."""
    patch.setattr(output, "_width", lambda stream: COLUMNS)
    for name, line in LINES.items():
        patch.setattr(output, "is_verbose", lambda name=name: name == VERBOSE)
        words = shlex.split(line)[1:]
        more = [word for flag in EMBED.items() if words[0] in ("audit", "embed") for word in flag]
        yield name, CliRunner().invoke(app, ["-q", *words, *more]).output


def masked(told: str) -> str:
    """Without what differs between runs and machines."""
    for pattern, instead in MASKS:
        told = re.sub(pattern, instead, told)
    return NUMBER.sub(lambda number: re.sub(r"\d", "#", number[0]), told)


def too_wide(told: str) -> list[str]:
    """The lines that do not fit."""
    return [line for line in told.splitlines() if cell_len(line) > COLUMNS]


def _renew() -> None:
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        make(Path(folder), patch)
        for name, told in transcripts(patch):
            (GOLDEN / f"{name}.txt").write_text(masked(told), encoding="utf-8")
        os.chdir(here)


if __name__ == "__main__":
    sys.exit(_renew())
