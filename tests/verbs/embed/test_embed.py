"""Every row of the input is in the output, in order, with an embedding or the reason why not; reruns redo nothing."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ncaudit import schema
from ncaudit.core.transfers import Fetched
from ncaudit.encoders import decode_pool
from ncaudit.encoders.images import ImageError
from ncaudit.encoders.open_clip import Encoder, load_encoder
from ncaudit.errors import BadTable, NcauditError
from ncaudit.options import EmbedOptions
from ncaudit.progress import Silent
from ncaudit.shards.files.provenance import provenance_of
from ncaudit.shards.files.sources import find_shards
from ncaudit.verbs.embed import model_here
from ncaudit.verbs.embed import shard as embed_shard
from ncaudit.verbs.embed.embed import embed
from tests.worlds.datasets import write
from tests.worlds.images import drawn
from tests.worlds.made import made_in
from tests.worlds.sample import TINY

_encoders: dict[tuple, Encoder] = {}


@pytest.fixture(autouse=True)
def loads(monkeypatch):
    """The model is loaded once for all tests here; the list counts how often it was asked for."""
    asked = []

    def cached(options):
        asked.append(options)
        key = (options.model, options.precision)
        if key not in _encoders:
            _encoders[key] = load_encoder(options)
        return _encoders[key]

    monkeypatch.setattr(model_here, "load_encoder", cached)
    return asked


def photo(seed, kind="JPEG", size=(80, 60)):
    return drawn(seed, size, kind)


def pairs(n, seed=0):
    numbers = range(seed, seed + n)
    return {
        "jpg": [photo(i) for i in numbers],
        "caption": [f"a red circle number {i}" for i in numbers],
        "url": [f"u{i}" for i in numbers],
    }


def options(tmp_path, **more):
    usual = {
        "sources": [str(tmp_path / "data")], "out": str(tmp_path / "out"), "model": TINY, "device": "cpu",
        "precision": "float32", "workers": 0,
    }  # fmt: skip
    return EmbedOptions(**{**usual, **more})


def table(tmp_path, stem="00000", out="out"):
    return pq.read_table(tmp_path / out / f"{stem}.parquet", partitioning=None)


def bytes_of(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


def rows_of(column):
    return np.array(
        [np.full(column.type.list_size, np.nan) if v is None else v for v in column.to_pylist()], np.float32
    )


def test_embeddings_are_the_models_own_unit_rows_in_input_order(tmp_path):
    data = pairs(7)
    write(tmp_path / "data" / "00000.parquet", data)
    result = embed(options(tmp_path, batch_pairs=3))
    written = table(tmp_path)
    encoder = _encoders[(TINY, "float32")]
    pixels = np.stack([ncaudit_decode(image, encoder) for image in data["jpg"]])
    expected = {
        "image_embedding": encoder.encode_images(pixels),
        "text_embedding": encoder.encode_captions(data["caption"]),
    }
    for column, rows in expected.items():
        ours = rows_of(written.column(column))
        np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=2e-3)
        np.testing.assert_allclose(ours, rows.numpy(), atol=2e-3)
    assert written.column("pair_id").to_pylist() == [f"00000/{i}" for i in range(7)]
    assert (result.accounting.rows, result.accounting.ok, result.accounting.failed) == (7, 7, 0)


def ncaudit_decode(image, encoder):
    from ncaudit.encoders.images import decode

    return decode(image, encoder.preprocess, 10**8).pixels


def test_the_table_is_as_the_contract_says(tmp_path):
    data = {**pairs(3), "width": [1, 2, 3], "similarity": [0.1, 0.2, 0.3], "embedding": [[1.0], [2.0], [3.0]]}
    write(tmp_path / "data" / "00000.parquet", data)
    embed(options(tmp_path))
    found = pq.read_schema(tmp_path / "out" / "00000.parquet")
    light = [
        pa.field("url", pa.string()),
        pa.field("input_width", pa.int64()),
        pa.field("input_similarity", pa.float64()),
    ]
    assert found.remove_metadata() == schema.embedding_schema(96, 96, light)
    written = table(tmp_path)
    assert written.column("width").to_pylist() == [80] * 3
    assert written.column("input_width").to_pylist() == [1, 2, 3]
    assert provenance_of(found)["model"]["name"] == "local-dir:tiny-clip"
    assert str(tmp_path) not in json.dumps(provenance_of(found))


def test_every_way_to_fail_has_its_status_and_the_others_go_on(tmp_path, monkeypatch):
    bomb = photo(0, "PNG", (400, 300))
    images = [
        photo(1), photo(2)[:300], b"<!DOCTYPE html>", b"", None, photo(3), photo(4), photo(5), bomb, photo(6), photo(7),
    ]  # fmt: skip
    captions = ["ok", "cut short", "html", "0 bytes", "null", "", " \t ", None, "bomb", "x" * 1_000_000, "not a number"]
    write(tmp_path / "data" / "00000.parquet", {"jpg": images, "caption": captions})
    write(tmp_path / "clean" / "00000.parquet", {"jpg": [photo(1)], "caption": ["ok"]})
    begin = Encoder.begin_tokens

    def with_a_nan(self, tokens):
        rows = begin(self, tokens).wait()
        rows[(tokens == self.tokenize(["not a number"])).all(dim=1)] = float("nan")
        return Fetched(rows)

    monkeypatch.setattr(Encoder, "begin_tokens", with_a_nan)
    result = embed(options(tmp_path, max_image_pixels=80 * 60))
    written = table(tmp_path)
    status = written.column("status").to_pylist()
    assert status == [
        "ok", *["image_undecodable"] * 3, "image_missing", *["caption_missing"] * 3, "image_too_large",
        "ok", "embedding_invalid",
    ]  # fmt: skip
    assert result.accounting.statuses == Counter(status)
    assert result.accounting.rows == result.accounting.ok + result.accounting.failed == len(images)
    for column in ("image_embedding", "text_embedding"):
        assert [v is None for v in written.column(column).to_pylist()] == [s != "ok" for s in status]
        assert np.isfinite(rows_of(written.filter(pa.array([s == "ok" for s in status])).column(column))).all()
    assert [d is None for d in written.column("detail").to_pylist()] == [s == "ok" for s in status]
    assert written.column("caption").to_pylist() == captions
    embed(
        options(tmp_path, sources=[str(tmp_path / "clean")], out=str(tmp_path / "clean_out"), max_image_pixels=80 * 60)
    )
    np.testing.assert_allclose(  # its neighbours' failures change nothing for a sound row
        rows_of(table(tmp_path, out="clean_out").column("image_embedding"))[0],
        rows_of(written.column("image_embedding"))[0], atol=2e-3,
    )  # fmt: skip


def test_equal_images_and_captions_are_encoded_once_per_shard(tmp_path, monkeypatch):
    data = pairs(4)
    many = {name: [values[i % 4] for i in range(50)] for name, values in data.items()}
    write(tmp_path / "data" / "00000.parquet", many)
    monkeypatch.setattr(embed_shard, "WINDOW_ROWS", 8)
    encoded = Counter()
    for name in ("begin_images", "begin_tokens"):
        original = getattr(Encoder, name)
        monkeypatch.setattr(
            Encoder, name, lambda self, x, name=name, f=original: (encoded.update({name: len(x)}), f(self, x))[1]
        )
    embed(options(tmp_path, batch_pairs=4))
    assert encoded == {"begin_images": 4, "begin_tokens": 4}
    written = table(tmp_path)
    assert len({bytes(np.float32(v)) for v in rows_of(written.column("image_embedding"))}) == 4
    assert len(set(written.column("image_hash").to_pylist())) == 4


@pytest.mark.parametrize("remembered", [1, 5, 1000])
def test_what_is_remembered_changes_no_row_beyond_rounding(tmp_path, monkeypatch, remembered):
    data = pairs(10)
    order = np.random.default_rng(0).integers(0, 10, 60)
    write(tmp_path / "data" / "00000.parquet", {name: [values[i] for i in order] for name, values in data.items()})
    monkeypatch.setattr(embed_shard, "REMEMBERED", remembered)
    monkeypatch.setattr(embed_shard, "WINDOW_ROWS", 8)
    embed(options(tmp_path, batch_pairs=4))
    written = table(tmp_path)
    encoder = _encoders[(TINY, "float32")]
    pixels = np.stack([ncaudit_decode(image, encoder) for image in data["jpg"]])
    expected = encoder.encode_images(pixels).numpy()[order]
    np.testing.assert_allclose(rows_of(written.column("image_embedding")), expected, atol=2e-3)


def test_processes_and_windows_do_not_change_a_byte(tmp_path):
    write(tmp_path / "data" / "00000.parquet", pairs(40), group=7)
    embed(options(tmp_path, out=str(tmp_path / "a")))
    embed(options(tmp_path, out=str(tmp_path / "b"), workers=2))
    assert made_in(tmp_path / "a") == made_in(tmp_path / "b")


def test_two_folders_with_the_same_shard_name_stay_apart(tmp_path):
    write(tmp_path / "data" / "A" / "00000.parquet", pairs(2))
    write(tmp_path / "data" / "B" / "00000.parquet", pairs(3, seed=5))
    embed(options(tmp_path, sources=[str(tmp_path / "data" / "A"), str(tmp_path / "data" / "B")]))
    assert table(tmp_path, "A/00000").column("pair_id").to_pylist() == ["A/00000/0", "A/00000/1"]
    assert table(tmp_path, "B/00000").column("shard").to_pylist() == ["B/00000.parquet"] * 3


def test_shards_may_differ_in_columns_and_types(tmp_path):
    first = {**pairs(2), "note": pa.nulls(2)}
    second = {"note": ["x", "y"], "image": pa.array([{"bytes": photo(9), "path": None}] * 2), "text": ["a", "b"]}
    write(tmp_path / "data" / "0.parquet", first)
    write(tmp_path / "data" / "1.parquet", second)
    assert embed(options(tmp_path)).accounting.ok == 4
    assert table(tmp_path, "0").schema.field("note").type == table(tmp_path, "1").schema.field("note").type


def test_an_empty_shard_gives_an_empty_table_and_an_empty_dataset_an_error(tmp_path):
    empty = pa.table(pairs(1)).slice(0, 0)
    write(tmp_path / "data" / "0.parquet", empty)
    with pytest.raises(BadTable, match="holds no rows"):
        embed(options(tmp_path))
    write(tmp_path / "data" / "1.parquet", pairs(2))
    result = embed(options(tmp_path))
    assert (result.accounting.rows, result.accounting.shards) == (2, 2)
    assert table(tmp_path, "0").num_rows == 0
    assert embed(options(tmp_path)).accounting.shards_resumed == 2


def test_a_damaged_shard_fails_alone_and_leaves_nothing_but_the_reason(tmp_path):
    for stem in ("0", "1", "2"):
        write(tmp_path / "data" / f"{stem}.parquet", pairs(3, seed=ord(stem)))
    path = tmp_path / "data" / "1.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    result = embed(options(tmp_path))
    assert [(e.shard, "cannot be read as parquet" in e.message) for e in result.accounting.shard_errors] == [
        ("1.parquet", True)
    ]
    assert result.accounting.too_many_failed(1.0)
    assert result.accounting.rows == 6
    assert sorted(bytes_of(tmp_path / "out")) == ["0.parquet", "2.parquet", "_failed/1.parquet.json", "_run.json"]


def test_a_dataset_without_captions_is_told_before_anything_is_written(tmp_path):
    write(tmp_path / "data" / "00017.parquet", {"url": ["u"], "jpg": [photo(0)], "key": ["k"]})
    with pytest.raises(BadTable) as caught:
        embed(options(tmp_path))
    assert caught.value.message == "00017.parquet has no caption column (found: url, jpg, key)"


def test_a_repeated_key_is_an_error_also_when_its_shard_is_finished(tmp_path):
    write(tmp_path / "data" / "0.parquet", {**pairs(2), "uid": ["a", "b"]})
    assert embed(options(tmp_path)).key == "uid"
    write(tmp_path / "data" / "1.parquet", {**pairs(2), "uid": ["c", "b"]})
    with pytest.raises(BadTable, match=r"1\.parquet row 1 has the uid 'b' again, after 0\.parquet row 1"):
        embed(options(tmp_path))
    assert embed(options(tmp_path, key="")).accounting.ok == 4
    assert table(tmp_path, "1").column("pair_id").to_pylist() == ["1/0", "1/1"]


def test_rerunning_redoes_nothing_and_needs_no_model(tmp_path, loads):
    write(tmp_path / "data" / "0.parquet", pairs(3))
    write(tmp_path / "data" / "1.parquet", {**pairs(3), "jpg": [b"bad", None, photo(1)]})
    first = embed(options(tmp_path))
    before = bytes_of(tmp_path / "out")
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()}
    loads.clear()
    second = embed(options(tmp_path))
    assert not loads
    assert second.accounting.shards_resumed == 2
    assert second.accounting.statuses == first.accounting.statuses
    assert second.model == first.model
    assert bytes_of(tmp_path / "out") == before
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()} == stamps


@pytest.mark.parametrize(
    "change", [{"batch_pairs": 2}, {"columns": []}, {"max_image_pixels": 10**6}, {"precision": "bfloat16"}]
)
def test_other_options_redo_what_they_change(tmp_path, change):
    write(tmp_path / "data" / "00000.parquet", pairs(3))
    embed(options(tmp_path))
    assert embed(options(tmp_path, **change)).accounting.shards_resumed == 0
    assert embed(options(tmp_path, **change)).accounting.shards_resumed == 1


def test_a_changed_or_new_input_is_done_and_the_rest_is_kept(tmp_path):
    for stem in ("0", "1"):
        write(tmp_path / "data" / f"{stem}.parquet", pairs(3, seed=ord(stem)))
    embed(options(tmp_path))
    write(tmp_path / "data" / "1.parquet", pairs(4, seed=3))
    write(tmp_path / "data" / "2.parquet", pairs(2, seed=30))
    result = embed(options(tmp_path))
    assert (result.accounting.shards_resumed, result.accounting.rows) == (1, 9)


def test_changed_weights_at_the_same_path_are_another_model_which_is_asked_about_before_all_is_redone(tmp_path):
    model = tmp_path / "tiny-clip"
    shutil.copytree(TINY, model)
    write(tmp_path / "data" / "00000.parquet", pairs(3))
    before = embed(options(tmp_path, model=str(model)))
    from safetensors.torch import load_file, save_file

    weights = load_file(model / "open_clip_model.safetensors")
    save_file(
        {k: v * 2 if v.is_floating_point() else v for k, v in weights.items()}, model / "open_clip_model.safetensors"
    )
    _encoders.clear()
    whole = bytes_of(tmp_path / "out")
    with pytest.raises(NcauditError, match=r"holds 1 shard embedded by local-dir:tiny-clip.*\(weight_hash\)") as told:
        embed(options(tmp_path, model=str(model)))
    assert "--overwrite" in told.value.fix
    assert bytes_of(tmp_path / "out") == whole
    after = embed(options(tmp_path, model=str(model), overwrite=True))
    _encoders.clear()
    assert before.model.weight_hash != after.model.weight_hash
    assert after.accounting.shards_resumed == 0


def test_the_automatic_batch_size_is_found_once(tmp_path, monkeypatch):
    write(tmp_path / "data" / "0.parquet", pairs(3))
    monkeypatch.setattr(model_here, "automatic_batch_pairs", lambda _: 16)
    assert embed(options(tmp_path)).batch_pairs == 16
    monkeypatch.setattr(model_here, "automatic_batch_pairs", lambda _: 32)
    write(tmp_path / "data" / "1.parquet", pairs(3, seed=9))
    assert embed(options(tmp_path)).batch_pairs == 16
    assert json.loads((tmp_path / "out" / "_run.json").read_text())["batch_pairs"] == 16


def test_the_automatic_precision_is_found_once(tmp_path, loads):
    write(tmp_path / "data" / "0.parquet", pairs(3))
    embed(options(tmp_path, precision="bfloat16"))
    write(tmp_path / "data" / "1.parquet", pairs(3, seed=9))
    result = embed(options(tmp_path, precision="auto"))
    assert loads[-1].precision == "bfloat16"
    assert result.accounting.shards_resumed == 1


class Told(Silent):
    """Remembers what a verb tells."""

    def __init__(self):
        self.done = self.failed = 0
        self.total = None
        self.notes = []

    def stage(self, name, total, unit="rows"):
        self.total, self.done, self.failed = total, 0, 0

    def advance(self, done, failed=0):
        self.done, self.failed = self.done + done, self.failed + failed

    kept = advance

    def note(self, text):
        self.notes.append(text)


def test_out_of_memory_halves_the_batch_for_that_shard_which_counts_as_finished(tmp_path, monkeypatch):
    for stem in ("0", "1"):
        write(tmp_path / "data" / f"{stem}.parquet", pairs(20, seed=100 * int(stem)))
    monkeypatch.setattr(embed_shard, "WINDOW_ROWS", 8)  # memory runs out when a window has been done already
    begin, calls = Encoder.begin_images, []

    def limited(self, pixels):
        calls.append(len(pixels))
        if len(calls) > 1 and len(calls) < 4 and len(pixels) > 2:
            raise torch.OutOfMemoryError
        return begin(self, pixels)

    monkeypatch.setattr(Encoder, "begin_images", limited)
    told = Told()
    result = embed(options(tmp_path, batch_pairs=8), told)
    assert calls[:4] == [8, 8, 4, 2]
    sizes = [provenance_of(pq.read_schema(tmp_path / "out" / f"{i}.parquet"))["options"]["batch_pairs"] for i in (0, 1)]
    assert sizes == [2, 8]
    assert (told.done, told.total, len(told.notes)) == (40, 40, 2)
    assert result.accounting.ok == 40
    assert embed(options(tmp_path, batch_pairs=8)).accounting.shards_resumed == 2
    assert not list((tmp_path / "out").glob(".*.partial"))


def test_no_memory_for_a_single_pair_is_an_error(tmp_path, monkeypatch):
    def never(self, pixels):
        raise torch.OutOfMemoryError

    write(tmp_path / "data" / "0.parquet", pairs(4))
    monkeypatch.setattr(Encoder, "begin_images", never)
    with pytest.raises(NcauditError, match="no memory for a single pair"):
        embed(options(tmp_path, batch_pairs=4))


def test_progress_counts_every_row_done_and_failed(tmp_path):
    write(tmp_path / "data" / "0.parquet", {**pairs(5), "jpg": [photo(0), b"", None, photo(1), photo(2)]})
    for _ in range(2):  # the second time from the finished table
        told = Told()
        embed(options(tmp_path), told)
        assert (told.total, told.done, told.failed) == (5, 5, 2)


@pytest.mark.parametrize(
    ("source", "out"),
    [
        ("data", "data"),
        ("data", "data/emb"),
        ("data/0.parquet", "data"),
        ("data/**/*.parquet", "data/emb"),
        ("dat*", "data/emb"),
    ],
)
def test_input_and_output_may_not_meet(tmp_path, source, out):
    write(tmp_path / "data" / "0.parquet", pairs(1))
    with pytest.raises(NcauditError, match="input"):
        embed(options(tmp_path, sources=[str(tmp_path / source)], out=str(tmp_path / out)))
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.parquet")] == ["data/0.parquet"]


def test_output_beside_the_input_is_fine(tmp_path):
    write(tmp_path / "data" / "0.parquet", pairs(1))
    assert embed(options(tmp_path, sources=[str(tmp_path / "data" / "*.parquet")])).accounting.ok == 1


def test_several_captions_per_row_are_several_pairs_with_one_image(tmp_path):
    captions = pa.array([["a", "b", ""], ["c"]], pa.list_(pa.string()))
    write(tmp_path / "data" / "0.parquet", {"image": [photo(0), photo(1)], "captions": captions})
    told = Told()
    result = embed(options(tmp_path), told)
    assert dict(result.accounting.statuses) == {"ok": 3, "caption_missing": 1}
    assert (told.done, told.total) == (2, 2)
    assert (result.input_rows, result.accounting.rows) == (2, 4)
    written = table(tmp_path, "0")
    assert written.column("pair_id").to_pylist() == ["0/0/0", "0/0/1", "0/0/2", "0/1/0"]
    assert written.column("caption_index").to_pylist() == [0, 1, 2, 0]
    assert len(set(written.column("image_hash").to_pylist())) == 2


def test_no_model_no_output(tmp_path):
    write(tmp_path / "data" / "0.parquet", pairs(1))
    with pytest.raises(NcauditError, match="no model is called"):
        embed(options(tmp_path, model="ViT-Z"))
    assert not (tmp_path / "out").exists()


def test_what_score_reads_is_what_embed_wrote(tmp_path):
    from ncaudit.shards.tables.embeddings import open_embeddings

    write(tmp_path / "data" / "0.parquet", pairs(5))
    write(tmp_path / "data" / "1.parquet", pairs(5, seed=50))
    embed(options(tmp_path))
    assert [open_embeddings(shard).rows for shard in find_shards([str(tmp_path / "out")])] == [5, 5]


def test_options_are_not_changed_by_the_run(tmp_path):
    write(tmp_path / "data" / "0.parquet", pairs(1))
    given = options(tmp_path)
    embed(given)
    assert given == replace(given)


def test_a_wrong_command_is_told_before_a_model_is_loaded_and_writes_nothing(tmp_path, monkeypatch):
    def load(*_):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("ncaudit.verbs.embed.model_here.load_encoder", load)
    pq.write_table(pa.table({"jpg": [b"x"], "words": ["y"]}), tmp_path / "a.parquet")
    options = EmbedOptions(sources=[str(tmp_path / "a.parquet")], out=str(tmp_path / "out"), model=str(tmp_path))
    with pytest.raises(NcauditError, match="no caption column"):
        embed(options)
    assert not (tmp_path / "out").exists()


def test_a_row_whose_image_was_not_finished_is_tried_again_on_a_rerun_and_told(tmp_path, monkeypatch):
    for name in ("a", "b"):
        write(tmp_path / "data" / f"{name}.parquet", pairs(3, seed=ord(name)))
    embed(options(tmp_path))
    sound = {name: (tmp_path / "out" / f"{name}.parquet").read_bytes() for name in ("a", "b")}
    slow, decode = photo_of(tmp_path / "data" / "b.parquet", 1), decode_pool.decode

    def detained(data, *more):
        if data == slow:
            raise ImageError(schema.UNFINISHED, "stopped")
        return decode(data, *more)

    (tmp_path / "out" / "b.parquet").unlink()
    monkeypatch.setattr(decode_pool, "decode", detained)
    for _ in range(2):  # once more in vain
        result = embed(options(tmp_path))
        assert result.accounting.statuses == {"ok": 5, "image_unfinished": 1}
        assert result.accounting.shards_resumed == 1
        assert "rerun" in result.notes[-1]
    monkeypatch.setattr(decode_pool, "decode", decode)
    result = embed(options(tmp_path))
    assert (result.accounting.statuses, result.notes) == ({"ok": 6}, ())
    assert {name: (tmp_path / "out" / f"{name}.parquet").read_bytes() for name in ("a", "b")} == sound
    assert embed(options(tmp_path)).accounting.shards_resumed == 2


def photo_of(shard, row):
    return pq.read_table(shard)["jpg"][row].as_py()
