"""What commands write beside score tables holds what docs/columns.md says that it does, and nothing else."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.docs.world import MODEL, QUICK, in_a_copy
from tests.pages import DOCS, in_code, rows, sections
from tests.shell import run_line

COLUMNS = sections(DOCS / "columns.md")
CARRIED = {"key", "jpg", "caption", "category", "truth", "lang"}  # the user's own, of the datasets here
LINES = """
ncaudit sample scores/ --n 20 --out review.parquet
ncaudit corrupt products/ --rate 0.2 --out swapped/
ncaudit corrupt products/ --rate 0.2 --kind label-symmetric --label-column category --out wrong/
ncaudit filter scores/ --keep-share 0.5 --out kept/ --dropped gone/
ncaudit filter scores/ --data data/ --keep-share 0.5 --out kept-data/ --dropped gone-data/
ncaudit filter scores/ --keep-share 0.5 --as weights --out weights.parquet
ncaudit score embeddings/ --fit scores/_fit --data data/ --out labelled/
ncaudit embed products/ --model ViT-B-32 --layout clip-retrieval --out retrieval/
ncaudit labels product-embeddings/ --label-column category --out labels/
ncaudit train --tune heads --embeddings embeddings/ --scores scores/ --out heads/
ncaudit bench embeddings/ --kinds random --rates 0.2 --scorers csls --out runs.parquet
"""


@pytest.fixture(scope="module")
def here(world, tmp_path_factory):
    """A folder with the output of every line."""
    folder = tmp_path_factory.mktemp("outputs")
    with pytest.MonkeyPatch.context() as patch:
        in_a_copy(world, folder, patch)
        for line in LINES.strip().splitlines():
            run_line(line, QUICK, MODEL)
    return folder


def told(section):
    return set(in_code(COLUMNS[section]))


def columns_of(section):
    return {in_code(cells[0])[0] for cells in rows(COLUMNS[section]) if in_code(cells[0])}


@pytest.mark.parametrize(
    ("file", "section"),
    [
        ("review.parquet", "Review table"),
        ("swapped/0.parquet", "Corrupted dataset"),
        ("swapped/_corruption.parquet", "Corrupted dataset"),
        ("wrong/0.parquet", "Corrupted dataset"),
        ("weights.parquet", "Filtered rows"),
        ("retrieval/metadata/metadata_0.parquet", "Embedding table"),
        ("retrieval/failed/failed_0.parquet", "Embedding table"),
    ],
)
def test_every_column_is_told(here, file, section):
    ours = set(pq.read_schema(here / file).names) - CARRIED - {"input_is_match"}
    assert ours
    assert ours <= told(section)


@pytest.mark.parametrize(
    ("kept", "gone", "added"), [("kept", "gone", "drop_reason"), ("kept-data", "gone-data", "ncaudit_drop_reason")]
)
def test_dropped_rows_have_one_more_column(here, kept, gone, added):
    before, after = (pq.read_schema(here / folder / "00000.parquet").names for folder in (kept, gone))
    assert after == [*before, added]
    assert added in told("Filtered rows")


def test_a_dataset_that_is_written_back_has_the_columns_told(here):
    given, written = (pq.read_schema(here / folder / "00000.parquet").names for folder in ("data", "labelled"))
    ours = columns_of("Score table") - {"pair_id", "shard", "row"}
    added = {name.removeprefix("ncaudit_") for name in written[len(given) :]}
    assert written[: len(given)] == given
    assert added <= ours
    assert {"soft_label", "verdict", "status"} <= added


def test_embeddings_of_clip_retrieval_are_the_arrays_told(here):
    for kind in ("img_emb", "text_emb"):
        array = np.load(here / f"retrieval/{kind}/{kind}_0.npy")
        assert (array.ndim, array.dtype) == (2, np.float16)
        assert f"{kind}/{kind}_P.npy" in told("Embedding table")


def test_the_runs_of_bench_have_the_keys_told(here):
    assert set(pq.read_schema(here / "runs.parquet").names) == columns_of("run")


@pytest.mark.parametrize(
    ("file", "section"),
    [
        ("embeddings/_run.json", "Files beside tables"),
        ("scores/_fit/fit.json", "Files beside tables"),
        ("labels/audit.json", "Files beside tables"),
        ("heads/heads.json", "The matcher folder"),
        ("heads/run.json", "The matcher folder"),
    ],
)
def test_every_key_of_a_file_beside_is_told(here, file, section):
    found = json.loads((here / file).read_text())
    inside = {key for name in ("description", "run") for key in found.get(name, {})}
    assert set(found) | inside <= told(section)
    assert Path(file).name in told(section)


def test_every_number_of_an_epoch_is_told(here):
    lines = [json.loads(line) for line in (here / "heads/metrics.jsonl").read_text().splitlines()]
    assert {key for line in lines for key in line} <= told("The matcher folder")


@pytest.mark.parametrize(
    "file", ["embeddings/00000.parquet", "scores/00000.parquet", "labels/0.parquet", "kept/00000.parquet"]
)
def test_every_fact_of_a_tables_origin_is_told(here, file):
    assert set(json.loads(pq.read_schema(here / file).metadata[b"ncaudit"])) <= told("Where a table comes from")
