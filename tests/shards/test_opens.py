"""A shard is opened once to learn what it is and once to read its rows, however many steps ask for it."""

import builtins
import io
import os
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.options import FilterOptions
from ncaudit.shards.readers.tars import tar, tar_samples
from ncaudit.verbs.filter.filter import filter_pairs
from tests.worlds.commands import embedded
from tests.worlds.images import of_one_colour
from tests.worlds.tars import pair, samples, write_tar

TARS, MOST_PASSES = 6, 12


def png(number):
    return of_one_colour((number, 2 * number, 40), (8, 8))


def dataset(path, first, rows=5):
    numbers = range(first, first + rows)
    captions, images = [f"no {n}" for n in numbers], [png(n) for n in numbers]
    table = pa.table({"uid": [str(n) for n in numbers], "image": images, "caption": captions})
    pq.write_table(table, path, row_group_size=2)


@pytest.fixture
def opened(monkeypatch):
    """How often each file was opened, by Python or by arrow."""
    counts = Counter()

    def counting(real):
        def opening(path, *rest, **more):
            name = os.fsdecode(path) if isinstance(path, (str, bytes)) else ""
            if name.endswith((".parquet", ".tar")):
                counts[name] += 1
            return real(path, *rest, **more)

        return opening

    for where, name in ((builtins, "open"), (io, "open"), (pa, "OSFile"), (pa, "memory_map"), (pq, "ParquetFile")):
        monkeypatch.setattr(where, name, counting(getattr(where, name)))
    monkeypatch.setattr(pq, "read_metadata", counting(pq.read_metadata))
    monkeypatch.setattr(pq, "read_schema", counting(pq.read_schema))
    monkeypatch.setattr(pq, "read_table", counting(pq.read_table))
    return counts


@pytest.mark.parametrize("shards", [1, 3])
def test_embedding_a_parquet_shard_opens_it_at_most_twice(tmp_path, opened, tiny_model, shards):
    (tmp_path / "data").mkdir()
    for shard in range(shards):
        dataset(tmp_path / f"data/{shard}.parquet", 10 * shard)
    opened.clear()
    embedded(tmp_path / "data", tmp_path / "out")
    inputs = {path: count for path, count in opened.items() if path.startswith(str(tmp_path / "data"))}
    assert len(inputs) == shards
    assert max(inputs.values()) <= 2


def test_a_rerun_of_what_is_finished_opens_each_shard_once(tmp_path, opened, tiny_model):
    (tmp_path / "data").mkdir()
    dataset(tmp_path / "data/0.parquet", 0)
    embedded(tmp_path / "data", tmp_path / "out")
    opened.clear()
    embedded(tmp_path / "data", tmp_path / "out")
    assert opened[str(tmp_path / "data/0.parquet")] <= 1


@pytest.fixture
def passes(monkeypatch):
    """Every reading of a tar from its beginning."""
    seen = []

    def reading(path, *rest):
        seen.append(path)
        return tar_samples.read_samples(path, *rest)

    monkeypatch.setattr(tar, "read_samples", reading)
    return seen


@pytest.mark.parametrize("key", [{}, {"uid": "u"}, {"key": "k"}], ids=["__key__", "uid", "key"])
def test_six_tars_are_read_twelve_times(tmp_path, passes, tiny_model, key):
    for shard in range(TARS):
        names = [f"{shard}{n}" for n in range(4)]
        files = [pair(name, png(n), f"no {n}", **{k: v + name for k, v in key.items()}) for n, name in enumerate(names)]
        write_tar(tmp_path / f"data/{shard}.tar", samples(files))
    embedded(tmp_path / "data", tmp_path / "out")
    assert len(passes) <= MOST_PASSES
    assert set(Counter(passes).values()) == {2}
    keys = pq.read_table(tmp_path / "out/0.parquet")["pair_id"].to_pylist()
    assert keys == [next(iter(key.values()), "") + f"0{n}" for n in range(4)]


def test_what_the_survey_holds_of_a_tar_is_what_a_pass_reads(tmp_path, passes):
    fields = [{"uid": 1, "ID": "a"}, {"uid": None}, {"ID": "b", "n": 2.5}]
    files = samples(pair(f"k{n}", b"i", "t", **held) for n, held in enumerate(fields))
    path = str(write_tar(tmp_path / "s.tar", files))
    first, again = tar.TarShard(path), tar.TarShard(path)
    for columns in (["__key__"], ["uid"], ["__key__", "uid", "ID"]):
        assert [b.to_pydict() for b in first.batches(2, columns)] == [b.to_pydict() for b in again.batches(2, columns)]
    assert len(passes) == 1 + 3
    assert np.concatenate([b["n"].to_numpy(zero_copy_only=False) for b in first.batches(9)])[2] == 2.5


@pytest.mark.parametrize(("rule", "looks"), [({"min_soft_label": 0.5}, 1), ({"keep_share": 0.5}, 2)])
def test_filtering_a_dataset_opens_a_score_table_once_for_its_shard_and_once_to_rank(tmp_path, opened, rule, looks):
    scores = {"pair_id": ["a", "b", "c"], "status": ["ok"] * 3, "score": [1.0, 2.0, 3.0], "soft_label": [0.1, 0.6, 0.9]}
    for folder, columns in (("data", {"uid": ["c", "a", "b"]}), ("scores", scores)):
        (tmp_path / folder).mkdir()
        pq.write_table(pa.table(columns), tmp_path / folder / "0.parquet")
    options = {"data": [str(tmp_path / "data")], "scores": [str(tmp_path / "scores")], "out": str(tmp_path / "out")}
    filter_pairs(FilterOptions(**options, **rule))
    assert opened[str(tmp_path / "scores/0.parquet")] == 2 + looks  # two tell what it is, and its columns
    assert opened[str(tmp_path / "data/0.parquet")] <= 3 + looks
