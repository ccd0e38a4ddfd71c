"""The sample that everything is fitted on: bounded, the same whatever else there is, siblings together."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ncaudit.judging import fit_sample
from ncaudit.judging.fit_sample import Sample
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.tables.embeddings import open_embeddings


def write(folder: Path, stem: str, photo: np.ndarray, *, seed: int = 0, **columns: list) -> None:
    """One shard whose row i shows `photo[i]`, with a caption of its own."""
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(len(photo), 8)).astype(np.float32)
    table = {
        "image_embedding": pa.array(rows.tolist(), pa.list_(pa.float32())),
        "text_embedding": pa.array(rows.tolist(), pa.list_(pa.float32())),
        "image_hash": pa.array([f"{stem} {i}" for i in photo]),
        "caption": pa.array([f"{stem} {i}" for i in range(len(photo))]),
    }
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(table | {name: pa.array(values) for name, values in columns.items()}), folder / stem)


def draw(folder: Path, pairs: int, *, seed: int = 0, stratify: str | None = None) -> Sample:
    tables = [open_embeddings(shard, None, stratify) for shard in find_shards([str(folder)])]
    return fit_sample.draw(tables, pairs=pairs, seed=seed)


def test_rows_of_one_photo_come_together(tmp_path):
    write(tmp_path / "e", "a.parquet", np.random.default_rng(0).permutation(np.repeat(np.arange(200), 5)))
    photos = Counter(draw(tmp_path / "e", 500).pairs.image_id.tolist())
    assert sum(photos.values()) == 500
    assert len(photos) == 100
    assert set(photos.values()) == {5}


def test_the_sample_is_random_rows_in_random_order_not_the_first(tmp_path):
    write(tmp_path / "e", "a.parquet", np.arange(1_000))
    rows = [int(name.split("/")[1]) for name in draw(tmp_path / "e", 500).pairs.pair_id]
    assert len(set(rows)) == 500
    assert abs(np.mean(rows) - 500) < 50
    assert abs(np.corrcoef(rows, np.arange(500))[0, 1]) < 0.15
    other = draw(tmp_path / "e", 500, seed=1).pairs.pair_id
    assert 150 < len({*other} & {f"a/{row}" for row in rows}) < 350


def test_another_shard_only_pushes_rows_out(tmp_path):
    write(tmp_path / "e", "b.parquet", np.repeat(np.arange(200), 2), seed=1)
    alone = draw(tmp_path / "e", 100).pairs
    everything = draw(tmp_path / "e", 1_000).pairs
    write(tmp_path / "e", "a.parquet", np.arange(400), seed=2)
    both = draw(tmp_path / "e", 100).pairs
    kept = [name for name in both.pair_id if name.startswith("b/")]
    assert 20 < len(kept) < 80
    assert kept == list(alone.pair_id[: len(kept)])  # the same ones, in the same order
    assert list(alone.pair_id) == list(everything.pair_id[:100])


def test_the_sample_holds_unit_rows_of_the_pairs_it_names(tmp_path):
    write(tmp_path / "e", "a.parquet", np.arange(50))
    pairs = draw(tmp_path / "e", 20).pairs
    rows = [int(name.split("/")[1]) for name in pairs.pair_id]
    table = pq.read_table(tmp_path / "e/a.parquet")
    given = torch.tensor(np.stack(table["image_embedding"].to_numpy())[rows])
    torch.testing.assert_close(pairs.image, torch.nn.functional.normalize(given), atol=1e-3, rtol=0)
    torch.testing.assert_close(pairs.image.norm(dim=1), torch.ones(20))


def test_strata_are_shards_or_the_values_of_a_column(tmp_path):
    write(tmp_path / "e", "a.parquet", np.arange(60), source=["web"] * 30 + ["book"] * 30)
    write(tmp_path / "e", "b.parquet", np.arange(60), source=["web"] * 60)
    by_shard = draw(tmp_path / "e", 200)
    assert Counter(by_shard.names[i] for i in by_shard.pairs.stratum_id.tolist()) == {"a.parquet": 60, "b.parquet": 60}
    by_source = draw(tmp_path / "e", 200, stratify="source")
    assert Counter(by_source.names[i] for i in by_source.pairs.stratum_id.tolist()) == {"web": 90, "book": 30}


def test_failed_rows_are_not_drawn(tmp_path):
    write(tmp_path / "e", "a.parquet", np.arange(60), status=["ok"] * 40 + ["image_missing"] * 20)
    pairs = draw(tmp_path / "e", 200).pairs
    assert {int(name.split("/")[1]) for name in pairs.pair_id} == set(range(40))


def test_tables_without_a_usable_row_give_an_empty_sample(tmp_path):
    write(tmp_path / "e", "a.parquet", np.arange(5), status=["image_missing"] * 5)
    sample = draw(tmp_path / "e", 10)
    assert (len(sample.pairs), dict(sample.names)) == (0, {})
