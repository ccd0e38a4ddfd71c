"""The same pairs as tars and as parquet: every command that reads a dataset makes the same of both."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ncaudit
from ncaudit.options import EmbedOptions, FilterOptions, ScoreOptions, TrainOptions
from tests.worlds.sample import SAMPLE
from tests.worlds.tars import contents, pair, samples, write_tar

MODEL = {"model": str(SAMPLE / "tiny-clip"), "device": "cpu", "precision": "float32", "workers": 0}
SHARDS, PAIRS = ("A/00000", "B/00000"), 24


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """`tar` and `parquet`, each with data, embeddings and scores."""
    root = tmp_path_factory.mktemp("formats")
    rows = pq.read_table(SAMPLE / "train.parquet", columns=["key", "jpg", "caption"])
    for number, name in enumerate(SHARDS):
        shard = rows.slice(number * PAIRS, PAIRS)
        parts = [pair(row["key"], row["jpg"], row["caption"], key=row["key"]) for row in shard.to_pylist()]
        write_tar(root / f"tar/data/{name}.tar", samples(parts), mtime=1.5)
        path = root / f"parquet/data/{name}.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(shard, path)
    for kind in ("tar", "parquet"):
        folder = root / kind
        embedding = EmbedOptions(sources=[str(folder / "data")], out=str(folder / "emb"), **MODEL, batch_pairs=16)
        assert ncaudit.embed(embedding).accounting.ok == 2 * PAIRS
        scoring = {"scorer": "clip-score", "check": False}
        ncaudit.score(ScoreOptions(embeddings=[str(folder / "emb")], out=str(folder / "scores"), **scoring))
        for name in SHARDS:  # too few pairs for labels of their own
            path = folder / f"scores/{name}.parquet"
            table = pq.read_table(path, partitioning=None)
            place = table.column_names.index("soft_label")
            labels = pa.array([i / PAIRS for i in range(PAIRS)], pa.float32())
            labelled = table.set_column(place, table.schema.field(place), labels)
            pq.write_table(labelled.replace_schema_metadata(None), path)  # ours would say that there are none
    return root


def tables(root, kind, folder, name):
    return pq.read_table(root / kind / folder / f"{name}.parquet", partitioning=None)


@pytest.mark.parametrize("name", SHARDS)
def test_embeddings_and_scores_are_the_same(world, name):
    for folder, ours in (("emb", ["shard", "__key__"]), ("scores", ["shard"])):
        tar, parquet = (tables(world, kind, folder, name) for kind in ("tar", "parquet"))
        assert tar["shard"].to_pylist() == [f"{name}.tar"] * PAIRS
        shared = [column for column in parquet.column_names if column not in ours]
        assert tar.select(shared).equals(parquet.select(shared))


def test_training_on_tars_learns_the_same_and_filter_keeps_the_same(world):
    for kind in ("tar", "parquet"):
        folder = world / kind
        places = {"scores": [str(folder / "scores")], "data": [str(folder / "data")]}
        ncaudit.train(
            TrainOptions(**places, out=str(folder / "model"), **MODEL, epochs=1, batch_pairs=12, val_share=0.2)
        )
        ncaudit.filter_pairs(FilterOptions(**places, out=str(folder / "clean"), keep_share=0.5))
    tar, parquet = (world / f"{kind}/model/open_clip_model.safetensors" for kind in ("tar", "parquet"))
    assert tar.read_bytes() == parquet.read_bytes()
    for name in SHARDS:
        images = [content for file, content in contents(world / f"tar/clean/{name}.tar") if file.endswith(".jpg")]
        assert images == tables(world, "parquet", "clean", name)["jpg"].to_pylist()


def test_a_bad_tar_costs_itself_and_a_bad_image_its_row(tmp_path):
    rows = pq.read_table(SAMPLE / "train.parquet", columns=["jpg", "caption"]).slice(0, 2).to_pylist()
    good = [pair("../../etc/passwd", rows[0]["jpg"], rows[0]["caption"]), pair("long", rows[1]["jpg"], "x" * 1_000_000)]
    bad = [pair("empty", b"", "a photo"), pair("page", b"<html>not found</html>", "a photo")]
    whole = write_tar(tmp_path / "data/0.tar", samples([*good, *bad])).read_bytes()
    (tmp_path / "data/1.tar").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "data/2.tar").write_bytes(b"<!doctype html><html>log in</html>" + b" " * 2_000)
    write_tar(tmp_path / "data/3.tar", [])
    result = ncaudit.embed(EmbedOptions(sources=[str(tmp_path / "data")], out=str(tmp_path / "emb"), **MODEL))
    assert (result.accounting.rows, result.accounting.statuses) == (4, {"ok": 2, "image_undecodable": 2})
    told = {error.shard: error.message for error in result.accounting.shard_errors}
    assert told["1.tar"].endswith("is cut short in the middle of 'long.txt'; its last whole sample is "
                                  "'../../etc/passwd' (row 0)")  # fmt: skip
    assert told["2.tar"].endswith("2.tar is a web page (HTML), not tar")
    ids = pq.read_table(tmp_path / "emb/0.parquet", partitioning=None)["pair_id"].to_pylist()
    assert ids == ["../../etc/passwd", "long", "empty", "page"]
    assert pq.read_metadata(tmp_path / "emb/3.parquet").num_rows == 0
