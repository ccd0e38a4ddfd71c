"""`embed --layout clip-retrieval`: a folder for clip-retrieval's readers, which scores as our own tables do."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ncaudit
from ncaudit import ScoreOptions
from ncaudit.encoders.open_clip import load_encoder
from ncaudit.errors import NcauditError, UsageError
from ncaudit.options import EmbedOptions
from ncaudit.progress import SILENT
from ncaudit.shards.files.sources import find_shards
from ncaudit.verbs.embed import model_here, model_in_workers
from ncaudit.verbs.embed.embed import embed
from ncaudit.verbs.embed.files import files_of
from tests.worlds.images import drawn
from tests.worlds.sample import TINY

KINDS = ("img_emb", "text_emb", "metadata", "failed")
_encoders = []


@pytest.fixture(autouse=True)
def loads(monkeypatch):
    """The model is loaded once for all tests here; the list counts how often it was asked for."""
    asked = []

    def cached(options):
        asked.append(options)
        if not _encoders:
            _encoders.append(load_encoder(options))
        return _encoders[0]

    monkeypatch.setattr(model_here, "load_encoder", cached)
    return asked


def data(folder, shards=2, rows=40):
    """In every shard row 3 has no image, and in the last shard no row has one."""
    folder.mkdir()
    for number in range(shards):
        first, last = number * rows, number == shards - 1
        images = [None if row == 3 or last else drawn(first + row, (40, 30)) for row in range(rows)]
        captions = [f"a photo number {first + row}" for row in range(rows)]
        urls = [f"https://a.org/{first + row}" for row in range(rows)]
        table = {"png": pa.array(images, pa.binary()), "caption": captions, "url": urls}
        pq.write_table(pa.table(table), folder / f"{number:05}.parquet")
    return folder


def options(sources, out, **more):
    usual = {"model": TINY, "device": "cpu", "precision": "float32", "workers": 0, "batch_pairs": 16}
    return EmbedOptions(**{"sources": [str(sources)], "out": str(out), "layout": "clip-retrieval", **usual, **more})


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """(the folder, the tables of the same shards, what embed told, the shards)."""
    root, patch = tmp_path_factory.mktemp("layout"), pytest.MonkeyPatch()
    shards = data(root / "data", shards=3)
    if not _encoders:
        _encoders.append(load_encoder(options(shards, root)))
    patch.setattr(model_here, "load_encoder", lambda _: _encoders[0])
    told = embed(options(shards, root / "clip"))
    embed(options(shards, root / "tables", layout="parquet"))
    patch.undo()
    return root / "clip", root / "tables", told, shards


def test_partitions_hold_the_ok_rows_of_each_shard_in_order(written):
    clip, tables, _, _ = written
    for number in range(2):
        whole = pq.read_table(tables / f"{number:05}.parquet")
        ok = whole.filter(pa.compute.equal(whole["status"], "ok"))
        for kind, column in (("img_emb", "image_embedding"), ("text_emb", "text_embedding")):
            array = np.load(clip / f"{kind}/{kind}_{number}.npy")
            np.testing.assert_array_equal(array, np.array(ok[column].to_pylist(), np.float16))
            np.testing.assert_allclose(np.linalg.norm(array.astype(np.float32), axis=1), 1, atol=2e-3)
        metadata = pq.read_table(clip / f"metadata/metadata_{number}.parquet")
        assert metadata.column_names[:3] == ["image_path", "caption", "pair_id"]
        assert metadata["image_path"].to_pylist() == ok["pair_id"].to_pylist()
        assert metadata["url"].equals(ok["url"])


def test_accounts_are_the_same_and_failed_rows_are_kept_aside(written):
    clip, _, told, shards = written
    assert (told.accounting.rows, told.accounting.ok, told.accounting.failed) == (120, 78, 42)
    assert [pq.read_metadata(clip / f"failed/failed_{number}.parquet").num_rows for number in range(3)] == [1, 1, 40]
    assert pq.read_table(clip / "failed/failed_0.parquet")["status"].to_pylist() == ["image_missing"]
    assert not (clip / "img_emb/img_emb_2.npy").exists()
    assert not (clip / "metadata/metadata_2.parquet").exists()
    again = embed(options(shards, clip))
    assert (again.accounting.rows, again.accounting.failed, again.accounting.shards_resumed) == (120, 42, 3)


def test_scores_of_the_folder_are_those_of_the_tables(written, tmp_path):
    clip, tables, _, _ = written
    for name, folder in (("clip", clip), ("tables", tables)):
        ncaudit.score(
            ScoreOptions(embeddings=[str(folder)], out=str(tmp_path / f"{name}.parquet"), check=False, scorer="csls")
        )
    found, expected = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("clip", "tables"))
    ok = expected.filter(pa.compute.equal(expected["status"], "ok"))
    assert found.column_names == [*ok.column_names[:17], "image_path", *ok.column_names[17:]]
    for name in ("pair_id", "shard", "row", "verdict", "reason", "caption_count", "image_count"):
        assert found[name].to_pylist() == ok[name].to_pylist(), name
    for name in ("soft_label", "similarity", "score"):
        np.testing.assert_allclose(found[name].to_numpy(), ok[name].to_numpy(), atol=2e-6, err_msg=name)


def test_the_folder_tells_which_model_it_is_of(written):
    clip, tables, _, _ = written
    of_clip, of_tables = (
        json.loads(pq.read_schema(path).metadata[b"ncaudit"])
        for path in (clip / "metadata/metadata_0.parquet", tables / "00000.parquet")
    )
    assert of_clip["model"] == of_tables["model"]
    assert of_clip["source"] == of_tables["source"]
    assert {**of_tables["options"], "layout": "clip-retrieval"} == of_clip["options"]


@pytest.mark.parametrize("lost", ["failed/failed_0.parquet", "img_emb/img_emb_1.npy", "metadata/metadata_0.parquet"])
def test_what_a_kill_left_out_is_made_anew_byte_for_byte(tmp_path, lost):
    shards = data(tmp_path / "data", rows=8, shards=3)
    embed(options(shards, tmp_path / "clip"))
    before = files(tmp_path / "clip")
    (tmp_path / "clip" / lost).unlink()
    told = embed(options(shards, tmp_path / "clip"))
    assert told.accounting.shards_resumed == 2
    assert files(tmp_path / "clip") == before


def test_a_finished_folder_needs_no_model(written, loads):
    clip, _, _, shards = written
    embed(options(shards, clip))
    assert loads == []


def test_numbers_are_padded_to_the_width_of_their_count(tmp_path):
    for count, first in ((1, "0"), (9, "0"), (10, "00"), (100, "000")):
        names = [f"{i}.parquet" for i in range(count)]
        assert files_of(options(tmp_path, tmp_path / "o"), names).numbers["0.parquet"] == first


def test_partitions_of_another_run_are_not_mixed_with_this_ones(tmp_path):
    shards = data(tmp_path / "data", rows=4)
    embed(options(shards, tmp_path / "clip"))
    (tmp_path / "clip/img_emb/img_emb_00.npy").write_bytes(b"")
    with pytest.raises(NcauditError, match=r"clip holds img_emb/img_emb_00\.npy, which this run does not write"):
        embed(options(shards, tmp_path / "clip"))
    with pytest.raises(NcauditError, match="is a clip-retrieval folder, in which tables would be overlooked"):
        embed(options(shards, tmp_path / "clip", layout="parquet"))


@pytest.mark.parametrize(
    ("column", "named", "expected"), [("image", None, "image_path"), ("foto", "foto", "image_path")]
)
def test_images_that_are_files_are_named_by_their_path(tmp_path, column, named, expected):
    (tmp_path / "data").mkdir()
    for number in range(3):
        (tmp_path / f"data/{number}.png").write_bytes(drawn(number, (40, 30)))
    table = {column: [f"{n}.png" for n in range(4)], "caption": ["a", "b", "c", "d"], "url": ["u"] * 4}
    pq.write_table(pa.table(table), tmp_path / "data/0.parquet")
    embed(options(tmp_path / "data", tmp_path / "clip", image_column=named))
    metadata = pq.read_table(tmp_path / "clip/metadata/metadata_0.parquet")
    assert metadata[expected].to_pylist() == ["0.png", "1.png", "2.png"]
    assert column not in metadata.column_names
    assert pq.read_table(tmp_path / "clip/failed/failed_0.parquet")[column].to_pylist() == ["3.png"]


def test_a_worker_process_numbers_partitions_as_the_whole_run_does(written, tmp_path):
    clip, _, _, shards = written
    own = options(shards, tmp_path)
    found = find_shards([str(shards)])
    orders = {
        "options": vars(own), "key": None, "types": "", "record": {}, "model": None,
        "shards": [shard.name for shard in found],
    }  # fmt: skip
    with model_in_workers.set_up(orders, SILENT) as (_, work):
        work(found[1])
    assert files(tmp_path) == {name: data for name, data in files(clip).items() if "_1." in name}


def test_a_stream_has_no_layout():
    with pytest.raises(UsageError, match="--layout clip-retrieval is of files"):
        options("d", "-")
