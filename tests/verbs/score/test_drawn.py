"""The sample that tables bring together from elsewhere is that of one process, and never more of it is held."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ncaudit.judging import fit_sample
from ncaudit.judging.fit_sample import ALL, Drawing, Span
from ncaudit.progress import SILENT, Silent
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.tables.embeddings import open_embeddings
from ncaudit.verbs.score import drawn
from ncaudit.verbs.score.drawn import draw, texts_of
from tests.worlds.sites import Elsewhere

ROWS = 60


def tables_of(folder, shards, *, rows=ROWS, failed=0.0, photos=None):
    """Embedding tables: of each, a share of the rows failed; with `photos`, so many photos have all the captions."""
    folder.mkdir()
    chance = np.random.default_rng(0)
    for number in range(shards):
        values = chance.normal(size=(rows, 4)).astype(np.float32).tolist()
        status = np.where(chance.random(rows) < failed, "image_missing", "ok")
        photo = np.arange(rows) if photos is None else chance.integers(photos, size=rows)
        table = {
            "image_embedding": pa.array(values, pa.list_(pa.float32())),
            "text_embedding": pa.array(values, pa.list_(pa.float32())),
            "image_hash": [f"{number} {i}" for i in photo],
            "caption": [f"a caption {number} {i}" for i in range(rows)],
            "status": status.tolist(),
        }
        pq.write_table(pa.table(table), folder / f"{number:03}.parquet")
    return [open_embeddings(shard) for shard in find_shards([str(folder)])]


def alike(ours, plain):
    assert list(ours.pairs.pair_id) == list(plain.pairs.pair_id)
    assert dict(ours.names) == dict(plain.names)
    for name in ("image", "text", "image_id", "caption_id", *(("stratum_id",) if len(plain.pairs) else ())):
        assert torch.equal(getattr(ours.pairs, name), getattr(plain.pairs, name)), name


@pytest.fixture
def few_more(monkeypatch):
    """Small samples of small tables: the reserve for chance is small, too."""
    monkeypatch.setattr(fit_sample, "FEW", 40)


@pytest.mark.parametrize(
    ("pairs", "world"),
    [
        (100, {}),
        (100, {"photos": 12}),  # photos come with all their captions, and share one key
        (100, {"failed": 0.8}),  # not enough are found at first
        (10_000, {}),  # all of them, and there are no more
        (10_000, {"failed": 1.0}),
    ],
)
def test_the_sample_of_tables_elsewhere_is_that_of_one_process(tmp_path, few_more, pairs, world):
    tables = tables_of(tmp_path / "e", 20, **world)
    site, plain = Elsewhere(), fit_sample.draw(tables, pairs=pairs, seed=3)
    alike(draw(site, tables, pairs=pairs, seed=3, progress=SILENT), plain)
    assert (len(site.jobs) > 1) == (world.get("failed") == 0.8)


def test_rows_held_do_not_grow_with_the_rows_that_there_are(tmp_path, few_more, monkeypatch):
    peaks, brought = [], []  # rows
    for shards in (10, 40, 160):
        peak = found = 0

        class Watched(Drawing):
            def add(self, told):
                nonlocal peak, found
                super().add(told)
                found = self.found
                peak = max(peak, self.held + len(told.keys))

        monkeypatch.setattr(drawn, "Drawing", Watched)
        draw(Elsewhere(), tables_of(tmp_path / str(shards), shards), pairs=100, seed=0, progress=SILENT)
        peaks.append(peak)
        brought.append(found)
    assert all(100 <= peak <= 2 * 100 + ROWS for peak in peaks), peaks
    # what comes here is the sample and some more, of 600 rows as of 9,600
    assert all(100 <= rows <= 1.2 * 100 + 40 + 60 for rows in brought), brought


def test_every_row_is_counted_once_though_some_are_looked_at_again(tmp_path, few_more):
    told = []
    listener = type("Listener", (Silent,), {"advance": lambda self, done, failed=0: told.append(done)})()
    draw(Elsewhere(), tables_of(tmp_path / "e", 20, failed=0.8), pairs=100, seed=0, progress=listener)
    assert sum(told) == 20 * ROWS


def test_spans_lie_side_by_side_and_end_with_all():
    spans = [Span.likely(1_000, 1_000_000)]
    while spans[-1].upto < ALL:
        spans.append(spans[-1].next(1_000, 1))
    assert spans[0].above is None
    assert all(later.above == earlier.upto for earlier, later in pairwise(spans))
    assert Span.likely(1_000, 2_000).upto == ALL


def test_texts_are_found_by_the_ids_of_captions(tmp_path):
    tables = tables_of(tmp_path / "e", 3)
    wanted = np.array([next(iter(table.batches())).caption_id[7] for table in tables])
    found = texts_of(Elsewhere(), tables, wanted, SILENT)
    assert [found[number] for number in wanted.tolist()] == [f"a caption {number} 7" for number in range(3)]
    assert len(found) == 3
