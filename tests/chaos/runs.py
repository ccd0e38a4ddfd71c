"""Every command that writes, on the small world of the fuzz tests."""

from functools import partial
from pathlib import Path

from tests.chaos.storm import Run
from tests.fuzz.world import CPU, MODEL, TINY_MODEL, Attack, copy

LEARN = f"--epochs 3 --batch-pairs 16 {CPU} --precision float32"
FEW = f"--epochs 2 --batch-pairs 2 --val-share 0 --workers 0 {CPU} --precision float32"
# name, words, what it needs, what it leaves
COMMANDS: tuple[tuple[str, str, str, str], ...] = (
    ("embed", f"embed data --out new {TINY_MODEL} --batch-pairs 16", "data tiny-clip", "new"),
    ("embed by workers", f"embed data --out new {TINY_MODEL} --workers 1", "data tiny-clip", "new"),
    (
        "embed to partitions",
        f"embed few.parquet --layout clip-retrieval --out new {MODEL}",
        "few.parquet small-clip",
        "new",
    ),
    ("score", f"score emb --out new --no-check {CPU}", "emb", "new"),
    ("score to a file", f"score emb --out new.parquet --no-check {CPU}", "emb", "new.parquet"),
    ("score the data", f"score emb --data data --out new --no-check {CPU}", "emb data", "new"),
    ("filter", "filter scores --keep-share 0.5 --out new", "scores", "new"),
    (
        "filter the data",
        "filter scores --data data --keep-share 0.5 --out new --dropped away",
        "scores data",
        "new away",
    ),
    ("filter tars", "filter tarscores --data few.tar --keep-share 0.5 --out new", "tarscores few.tar", "new"),
    ("filter to ids", "filter scores --as ids --keep-share 0.5 --out new.txt", "scores", "new.txt"),
    ("labels", f"labels emb --label-column noise_type --k 3 --out new {CPU}", "emb", "new"),
    ("corrupt", "corrupt few.parquet --rate 0.4 --out new", "few.parquet", "new"),
    ("show pictures", "show scores --data data --images new", "scores data", "new"),
    ("report", "report scores --data data --out new.html", "scores data", "new.html .new.html.ncaudit.json"),
    ("audit", f"audit data --out new --no-check {TINY_MODEL} --batch-pairs 16", "data tiny-clip", "new"),
    (
        "audit of classes",
        f"audit data --out new --scorer clip-score --no-check --label-column noise_type {TINY_MODEL} --batch-pairs 16",
        "data tiny-clip",
        "new",
    ),
    ("sample", "sample scores --n 20 --out new.csv", "scores", "new.csv"),
    ("train heads", f"train --tune heads --embeddings emb --scores scores --out new {LEARN}", "emb scores", "new"),
    (
        "train towers",
        f"train --data few.parquet --model small-clip --out new {FEW}",
        "few.parquet small-clip",
        "new",
    ),
)
PEOPLES = ("sample",)  # what it leaves may hold people's verdicts: once whole, it is not written again
REFUSED = 1


def runs(world: Path) -> list[Run]:
    """All of them."""
    return [
        Run(
            name,
            tuple(words.split()),
            partial(_prepare, world, needs.split()),
            tuple(out.split()),
            tuple(needs.split()),
            again=REFUSED if name in PEOPLES else 0,
        )
        for name, words, needs, out in COMMANDS
    ]


def _prepare(world: Path, needs: list[str], folder: Path) -> None:
    copy(world, Attack("", "", tuple(needs)), folder)
