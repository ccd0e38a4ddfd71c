"""The same pairs in every format that is one file: the same embeddings, and the same training where they are scored.

What gives data back in its own format says in one line where it cannot.
"""

import base64
import csv
import gzip
import io
import json
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.worlds.commands import MODEL, embedded, run, told
from tests.worlds.images import drawn
from tests.worlds.sample import SAMPLE

pytestmark = pytest.mark.usefixtures("tiny_model")

PAIRS, GROUP = 24, 10
FORMATS = ("csv", "tsv", "csv.gz", "jsonl", "ndjson.gz", "arrow file", "arrow stream", "remote parquet", "remote jsonl")


@pytest.fixture(scope="module")
def rows():
    """Pairs with a key that looks like a number, a number that looks like none, and a photo each."""
    table = pq.read_table(SAMPLE / "train.parquet", columns=["jpg", "caption"]).slice(0, PAIRS).to_pylist()
    return [
        {"uid": f"{i:04}", "caption": row["caption"], "n": i if i % 5 else None, "similarity": i / 8, "jpg": row["jpg"]}
        for i, row in enumerate(table)
    ]


@pytest.fixture(scope="module")
def world(tmp_path_factory, rows, tiny_model):
    """For every format the path of the pairs, called 00000, beside a folder of photos; and where their tables go."""
    root = tmp_path_factory.mktemp("formats")
    paths = {}
    for kind in ("parquet", *FORMATS):
        folder = root / kind.replace(" ", "-")
        (folder / "photos").mkdir(parents=True)
        light = [
            {k: v for k, v in row.items() if k != "jpg"} | {"file_name": f"photos/{row['uid']}.jpg"} for row in rows
        ]
        for row in rows:
            (folder / f"photos/{row['uid']}.jpg").write_bytes(row["jpg"])
        paths[kind] = written(folder / f"00000.{suffix(kind)}", kind, light)
    for kind in ("remote parquet", "remote jsonl"):
        fsspec.filesystem("memory").put(str(Path(paths[kind]).parent), f"/{kind.replace(' ', '-')}", recursive=True)
        paths[kind] = f"memory://{kind.replace(' ', '-')}"
    yield root, paths
    for kind in ("remote parquet", "remote jsonl"):
        fsspec.filesystem("memory").rm(f"/{kind.replace(' ', '-')}", recursive=True)


def suffix(kind):
    return {"remote parquet": "parquet", "remote jsonl": "jsonl"}.get(kind, kind.split()[0])


def written(path, kind, rows):
    table = pa.Table.from_pylist(rows)
    if "parquet" in kind:
        pq.write_table(table, path, row_group_size=GROUP)
    elif kind.startswith("arrow"):
        with (pa.ipc.new_file if "file" in kind else pa.ipc.new_stream)(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=GROUP)
    else:
        text = as_cells(rows, "\t" if "tsv" in kind else ",") if "sv" in kind else "".join(map(as_line, rows))
        path.write_bytes(gzip.compress(text.encode()) if kind.endswith("gz") else text.encode())
    return str(path)


def as_cells(rows, separator):
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def as_line(row):
    return json.dumps({name: value for name, value in row.items() if value is not None}) + "\n"


@pytest.fixture(scope="module")
def parquet(world):
    """The table that parquet of the pairs is embedded to."""
    root, paths = world
    embedded(paths["parquet"], root / "parquet/emb")
    return pq.read_table(root / "parquet/emb/00000.parquet", partitioning=None)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_embedded_to_the_same_table(kind, world, parquet):
    root, paths = world
    out = root / kind.replace(" ", "-") / "emb"
    embedded(paths[kind], out)
    table = pq.read_table(out / "00000.parquet", partitioning=None)
    assert set(table["shard"].to_pylist()) == {f"00000.{suffix(kind)}"}
    assert table["pair_id"].to_pylist() == [f"{i:04}" for i in range(PAIRS)]
    assert set(table["status"].to_pylist()) == {"ok"}
    names = [name for name in parquet.column_names if name != "shard"]
    assert sorted(table.column_names) == sorted(parquet.column_names)
    assert table.select(names).cast(parquet.select(names).schema).equals(parquet.select(names))
    again = embedded(paths[kind], out)
    assert "finished earlier" in again.output


@pytest.mark.parametrize("kind", ["csv", "jsonl", "arrow stream"])
def test_training_on_it_is_training_on_parquet(kind, world, parquet):
    root, paths = world
    models = []
    for each in ("parquet", kind):
        folder = root / each.replace(" ", "-")
        if not (folder / "model").exists():
            embedded(paths[each], folder / "emb")
            ran = run("score", folder / "emb", "--out", folder / "scores", "--scorer", "clip-score", "--no-check")
            assert ran.exit_code == 0, ran.output
            label(folder / "scores/00000.parquet")
            words = ("--data", paths[each], "--out", folder / "model", *MODEL, "--epochs", "1", "--batch-pairs", "12")
            ran = run("train", "--scores", folder / "scores", *words, "--val-share", ".2")
            assert ran.exit_code == 0, ran.output
        models.append((folder / "model/open_clip_model.safetensors").read_bytes())
    assert models[0] == models[1]


def label(path):
    """So few pairs have no labels of their own: some of another tool, whose table says nothing of ours."""
    table = pq.read_table(path, partitioning=None)
    place = table.column_names.index("soft_label")
    labels = pa.array(np.linspace(0, 1, PAIRS), pa.float32())
    labelled = table.set_column(place, table.schema.field(place), labels)
    pq.write_table(labelled.replace_schema_metadata(None), path)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "arrow file"])
def test_what_cannot_be_written_back_is_told(kind, world, parquet, tmp_path):
    root, paths = world
    word = {"csv": "CSV", "jsonl": "JSON lines", "arrow file": "Arrow IPC file"}[kind]
    scoring = ("score", root / "parquet/emb", "--data", paths[kind], "--out", tmp_path / "x", "--no-check")
    assert f"is {word}, and --data writes parquet only" in told(*scoring)
    corrupting = ("corrupt", paths[kind], "--rate", ".5", "--out", tmp_path / "x")
    assert f"is {word}, and corrupt writes parquet only" in told(*corrupting)
    run("score", root / "parquet/emb", "--out", tmp_path / "scores", "--scorer", "clip-score", "--no-check")
    filtering = ("filter", tmp_path / "scores", "--data", paths[kind], "--keep-share", ".5", "--out", tmp_path / "x")
    assert f"is {word}, and filter writes parquet and tar only" in told(*filtering)
    assert not (tmp_path / "x").exists()


def test_an_address_that_is_for_reading_is_written_to_by_nobody(world, parquet):
    root, paths = world
    places = (
        ("embed", paths["csv"], *MODEL),
        ("score", root / "parquet/emb"),
        ("corrupt", paths["parquet"], "--rate", ".5"),
    )
    for words in (*places, ("labels", root / "parquet/emb", "--label-column", "n")):
        ran = run(*words, "--out", "hf://bucket/x")
        assert ran.exit_code == 2
        assert "hf://bucket/x: hf:// is read, and never written to" in ran.stderr


def test_images_below_an_address_are_read_for_a_local_table(world, parquet, tmp_path):
    _, paths = world
    rows = pq.read_table(paths["parquet"]).to_pylist()[:3]
    path = written(tmp_path / "00000.jsonl", "jsonl", [*rows, {**rows[0], "uid": "x", "file_name": "../../etc/passwd"}])
    embedded(path, tmp_path / "emb", "--image-root", paths["remote jsonl"])
    table = pq.read_table(tmp_path / "emb/00000.parquet", partitioning=None)
    assert table["status"].to_pylist() == ["ok", "ok", "ok", "image_missing"]
    assert "outside the image folder" in table["detail"][3].as_py()
    assert table["image_hash"].to_pylist()[:3] == parquet["image_hash"].to_pylist()[:3]


def test_several_captions_in_a_line_are_as_many_pairs(world, tmp_path):
    row = {"file_name": "photos/0000.jpg", "caption": ["one", "two"]}
    path = written(tmp_path / "x.jsonl", "jsonl", [row, {**row, "caption": []}])
    ran = run("embed", path, "--out", tmp_path / "emb", "--image-root", world[0] / "csv", *MODEL, "--json")
    assert ran.exit_code == 0, ran.output
    said = json.loads(ran.stdout)
    assert (said["input_rows"], said["accounting"]["rows"], said["accounting"]["ok"]) == (2, 3, 2)
    assert pq.read_table(tmp_path / "emb/x.parquet")["caption_index"].to_pylist() == [0, 1, 0]


def test_tables_behind_an_address_are_scored_and_filtered_like_local_ones(world, parquet, tmp_path, monkeypatch):
    root, paths = world
    files = fsspec.filesystem("memory")
    monkeypatch.chdir(tmp_path)
    files.put(str(root / "parquet/emb/00000.parquet"), "/tables/emb/00000.parquet")
    scoring = ("--scorer", "clip-score", "--no-check")
    assert run("score", root / "parquet/emb", "--out", tmp_path / "local", *scoring).exit_code == 0
    assert run("score", "memory://tables/emb", "--out", ".", *scoring).exit_code == 0
    local, remote = (
        pq.read_table(tmp_path / name, partitioning=None) for name in ("local/00000.parquet", "00000.parquet")
    )
    assert remote.equals(local)
    files.put(str(tmp_path / "00000.parquet"), "/tables/scores/00000.parquet")
    keeping = ("filter", "memory://tables/scores", "--where", "similarity > 0", "--out", tmp_path / "kept")
    ran = run(*keeping, "--data", paths["remote parquet"] + "/00000.parquet")
    assert ran.exit_code == 0, ran.output
    kept = pq.read_table(tmp_path / "kept/00000.parquet")["uid"].to_pylist()
    assert kept == [row["pair_id"] for row in local.to_pylist() if row["similarity"] > 0]
    files.rm("/tables", recursive=True)


def test_images_of_structs_as_json_lines_hold_them(tmp_path):
    """As `datasets` and pandas write a struct of bytes and path: its bytes in base64."""
    cells = [{"bytes": base64.b64encode(drawn(i, (64, 64))).decode(), "path": None} for i in range(3)]
    lines = [json.dumps({"image": cell, "caption": f"a dog {i}"}) for i, cell in enumerate(cells)]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    assert run("embed", tmp_path / "x.jsonl", "--out", tmp_path / "e", *MODEL).exit_code == 0
    assert pq.read_table(tmp_path / "e" / "x.parquet")["status"].to_pylist() == ["ok"] * 3
