"""The table in docs/formats.md: its commands run as they stand there, and what comes out is what it says.

The README's short table says nothing that this one does not say of the same format.

A row is tested by the test that is `of` it, in an empty folder where DATA, TARS, FOLDER and the like are made.
"""

import csv
import functools
import gzip
import io
import json
import os
import re
import shlex
import shutil
from pathlib import Path

import datasets
import duckdb
import fsspec
import numpy as np
import pandas
import polars
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ncaudit.cli.app import app
from tests.pages import DOCS, README, in_code, rows, sections
from tests.shell import peekable
from tests.worlds.commands import MODEL
from tests.worlds.sample import SAMPLE
from tests.worlds.tars import contents, pair, samples, write_tar

pytestmark = pytest.mark.usefixtures("tiny_model")

PAIRS = 64  # fewer have no soft labels of their own
QUICK = {"embed": [*map(str, MODEL), "--batch-pairs", "16"], "score": ["--scorer", "csls", "--no-check"]}
SAME = "the same"
TESTED = []


def ncaudit(*words, given=None):
    """What the command, which must end well, writes to standard output; given: its standard input."""
    words = [*map(str, words)]
    ran = CliRunner().invoke(app, ["-q", *words, *QUICK.get(words[0], [])], input=given)
    assert ran.exit_code == 0, (words, ran.stderr, ran.exception)
    return ran.stdout_bytes


def shell(line, *more, **places):
    """Run a line of the table with the placeholders put where they are; `> FILE` writes that file."""
    command, _, file = line.partition(" > ")
    told = ncaudit(*[places.get(word, word) for word in shlex.split(command)[1:]], *more)
    if file:
        Path(file).write_bytes(told)


def formats(page=DOCS / "formats.md"):
    """(format, read by, written by) of each; `the same` as above is replaced by what stands there."""
    above = ["", ""]
    for name, *cells in rows(sections(page)["Formats"]):
        yield name, *(cell.replace(SAME, full) for cell, full in zip(cells, above, strict=True))
        above = [full if SAME in cell else cell for cell, full in zip(cells, above, strict=True)]


class Row:
    """What stands in code in a row of the table; its test must have use for all of it."""

    def __init__(self, *cells):
        self.code = [code for cell in cells for code in re.findall("`([^`]+)`", cell)]

    def says(self, start):
        """The first code that begins so, and has not been asked for."""
        found = next((code for code in self.code if code.startswith(start)), None)
        assert found, f"the page's row has no `{start}…` any more, but {self.code}"
        self.code.remove(found)
        return found

    def run(self, start, *more, **places):
        shell(self.says(f"ncaudit {start}"), *more, **places)


def of(name):
    """This is the test of that row of the page."""

    def decorate(test):
        @functools.wraps(test)
        def whole(row, **fixtures):
            test(row, **fixtures)
            assert row.code == [], "this code in the page's row is not tested"

        TESTED.append(name)
        whole.name = name
        return whole

    return decorate


@pytest.fixture
def row(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = [cells for name, *cells in formats() if name == request.function.name]
    assert found, "the page has no such row"
    return Row(*found[0])


@pytest.fixture(scope="module")
def pairs():
    """Key, photo, caption and class of each pair; the first caption looks like a formula."""
    rows = pq.read_table(SAMPLE / "train.parquet", columns=["key", "jpg", "caption"]).slice(0, PAIRS).to_pylist()
    rows[0]["caption"] = f"=1+1 {rows[0]['caption']}"
    return [{**row, "kind": "ab"[number % 2]} for number, row in enumerate(rows)]


@pytest.fixture(scope="module")
def job(pairs, tiny_model, tmp_path_factory):
    """DATA, emb and scores, for what needs no others."""
    folder = tmp_path_factory.mktemp("job")
    (folder / "DATA").mkdir()
    pq.write_table(pa.Table.from_pylist(pairs), folder / "DATA/0.parquet")
    ncaudit("embed", folder / "DATA", "--out", folder / "emb")
    ncaudit("score", folder / "emb", "--out", folder / "scores")
    return folder


@pytest.fixture
def here(job, row, tmp_path):
    """The job's DATA and emb in the test's folder."""
    shutil.copytree(job, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("scores"))


def read(path):
    return pq.read_table(path, partitioning=None)


def scored(path="scores/0.parquet"):
    """A score table, and (rows,) whether its labels are .5 or more: of some rows, not of all."""
    table = read(path)
    keep = pc.fill_null(pc.greater_equal(table["soft_label"], 0.5), False)
    assert 0 < pc.sum(keep).as_py() < len(table)
    return table, keep


def is_given_back(path, wanted, labels=None):
    """Whether the file has these rows, columns and `huggingface` metadata; with labels, our columns behind them."""
    table = read(path)
    assert table.select(wanted.column_names).equals(wanted)
    ours = [name for name in table.column_names if name.startswith("ncaudit_")]
    assert table.column_names == wanted.column_names + ours
    assert (table["ncaudit_soft_label"].equals(labels)) if labels else not ours
    assert len({(each.schema.metadata or {}).get(b"huggingface") for each in (table, wanted)}) == 1


def with_paths(folder, pairs):
    """The pairs, their photos being files of the folder."""
    os.makedirs(folder, exist_ok=True)
    for one in pairs:
        Path(folder, f"{one['key']}.jpg").write_bytes(one["jpg"])
    return [{"file_name": f"{one['key']}.jpg", **{k: v for k, v in one.items() if k != "jpg"}} for one in pairs]


def test_every_row_has_a_test_and_every_test_a_row():
    assert TESTED == [name for name, *_ in formats()]


def test_the_readme_says_the_same_in_short():
    short = list(formats(README))
    assert short
    for name, *cells in short:
        whole = [row for row in formats() if row[0].startswith(name)]
        assert len(whole) == 1, name
        for cell, full in zip(cells, whole[0][1:], strict=True):
            assert set(in_code(cell)) <= set(in_code(full)), name


@pytest.mark.parametrize("place", ["DATA", "DATA/0.parquet", "DATA/*.parquet", "memory://formats"])
@of("img2dataset parquet")
def test_img2dataset_parquet(row, place, pairs):
    lost = {"key": "lost", "caption": "gone", "jpg": None, "status": "failed_to_download", "error_message": "404"}
    rows = [{**one, "status": "success", "error_message": None} for one in pairs] + 3 * [lost]
    os.mkdir("DATA")
    pq.write_table(pa.Table.from_pylist(rows), "DATA/0.parquet", row_group_size=25)
    fsspec.filesystem("memory").put("DATA/0.parquet", "/formats/0.parquet")
    row.run("embed", DATA=place)
    assert read("emb/0.parquet")["status"].to_pylist() == PAIRS * ["ok"] + 3 * ["upstream_failed"]
    ncaudit("score", "emb", "--out", "scores")
    row.run("score", DATA=place)
    row.run("filter", DATA=place)
    table, keep = scored()
    is_given_back("labelled/0.parquet", read("DATA/0.parquet"), table["soft_label"])
    is_given_back("clean/0.parquet", read("DATA/0.parquet").filter(keep))


def hugging_face(kind, pairs):
    """A dataset whose images or captions are of this kind."""
    photo, text = datasets.Image(), datasets.Value("string")
    images = [{"bytes": one["jpg"], "path": None} for one in pairs]
    captions = [one["caption"] for one in pairs]
    if kind == "paths":
        images = [os.path.abspath(f"DATA/{one['file_name']}") for one in with_paths("DATA", pairs)]
    elif kind == "lists":
        photo, images = datasets.List(photo), [[image] for image in images]
    elif kind == "several captions":
        text, captions = datasets.List(text), [[caption, f"again {caption}"] for caption in captions]
    columns = {"image": images, "text": captions}
    return datasets.Dataset.from_dict(columns, features=datasets.Features({"image": photo, "text": text}))


@pytest.mark.parametrize("kind", ["bytes", "paths", "lists", "several captions"])
@of("Hugging Face parquet: bytes, paths, lists; several captions per row are a pair each")
def test_hugging_face_parquet(row, kind, pairs):
    datasets.disable_progress_bars()
    os.mkdir("DATA")
    hugging_face(kind, pairs).to_parquet("DATA/0.parquet")
    row.run("embed")
    assert read("emb/0.parquet")["status"].to_pylist() == PAIRS * ["ok"] * (1 + (kind == "several captions"))
    ncaudit("score", "emb", "--out", "scores")
    table, keep = scored()
    given_back = row.says("ncaudit score"), row.says("ncaudit filter scores --data")
    if kind == "several captions":
        shell(given_back[1])
        left = pc.sum(pc.list_value_length(read("clean/0.parquet")["text"]))
        assert left.as_py() == pc.sum(keep).as_py()
    else:
        for line in given_back:
            shell(line)
        is_given_back("labelled/0.parquet", read("DATA/0.parquet"), table["soft_label"])
        is_given_back("clean/0.parquet", read("DATA/0.parquet").filter(keep))
        again = datasets.Dataset.from_parquet("clean/0.parquet", cache_dir="cache")
        assert len(again) == pc.sum(keep).as_py()


@pytest.mark.parametrize(("name", "key"), [("0.tar", "key"), ("0.tar.gz", "__key__")])
@of("webdataset tars (`.tar`, `.tar.gz`), sidecar or not")
def test_webdataset_tars(row, name, key, pairs):
    parts = [pair(one["key"], one["jpg"], one["caption"], key=one["key"]) for one in pairs]
    write_tar(Path("TARS", name), samples(parts), mode="w:gz" if name.endswith("gz") else "w")
    if key == "key":
        pq.write_table(pa.table({key: [one["key"] for one in pairs], "n": range(PAIRS)}), "TARS/0.parquet")
    row.run("embed", DATA="TARS")
    ncaudit("score", "emb", "--out", "scores")
    row.run("filter")
    kept = np.flatnonzero(scored()[1])
    assert contents(Path("clean", name)) == samples(parts[i] for i in kept)
    assert read("clean/0.parquet")[key].to_pylist() == [pairs[i]["key"] for i in kept]
    assert json.loads(Path(f"clean/0{row.says('_stats.json')}").read_text())["successes"] == len(kept)
    assert json.loads(Path("clean", row.says("sizes.json")).read_text()) == {name: len(kept)}


def write_rows(path, rows):
    """Rows in the format and the compression that the name says."""
    if path.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path)
        return
    text = io.StringIO(newline="")
    if "json" in path:
        text.writelines(json.dumps(each) + "\n" for each in rows)
    else:
        writer = csv.DictWriter(text, rows[0], delimiter="\t" if "tsv" in path else ",")
        writer.writeheader()
        writer.writerows(rows)
    raw = text.getvalue().encode()
    Path(path).write_bytes(gzip.compress(raw) if path.endswith(".gz") else raw)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "csv.gz", "jsonl.gz", "parquet"])
@of("CSV, TSV, JSON lines (also `.gz`), parquet with image paths")
def test_tables_with_image_paths(row, suffix, pairs, job):
    os.mkdir("DATA")
    write_rows(f"DATA/0.{suffix}", with_paths("FOLDER", pairs))
    row.run("embed", *row.says("--image-root").split())
    assert read("emb/0.parquet")["image_embedding"].equals(read(job / "emb/0.parquet")["image_embedding"])
    ncaudit("score", "emb", "--out", "scores")
    table, keep = scored()
    rule = ("filter", "scores", "--min-soft-label", ".5")
    ids = table.filter(keep)["pair_id"].to_pylist()
    ncaudit(*rule, *row.says("--as ids").split(), "--out", "kept.txt")
    assert Path("kept.txt").read_text().split() == ids
    ncaudit(*rule, *row.says("--as weights").split(), "--out", "kept.parquet")
    kept = read("kept.parquet")
    assert kept["pair_id"].to_pylist() == ids
    assert kept["weight"].equals(table.filter(keep)["soft_label"])


@of("Arrow IPC files (`save_to_disk` of `datasets`)")
def test_arrow_files(row, pairs):
    datasets.disable_progress_bars()
    hugging_face("bytes", pairs).save_to_disk("DATA", num_shards=2)
    row.run("embed")
    ncaudit("score", "emb", "--out", "scores")
    row.run("filter")
    tables = [scored(path) for path in sorted(Path("scores").glob("*.parquet"))]
    assert [len(table) for table, _ in tables] == [PAIRS // 2, PAIRS // 2]
    ids = [name for table, keep in tables for name in table.filter(keep)["pair_id"].to_pylist()]
    assert datasets.Dataset.from_file("kept.arrow")["pair_id"][:] == ids


@of("clip-retrieval folders")
def test_clip_retrieval_folders(row, here, job):
    row.run("embed")
    for kind in ("img_emb", "text_emb"):
        array = np.load(f"FOLDER/{kind}/{kind}_0.npy")
        assert (len(array), array.dtype) == (PAIRS, np.float16)
    metadata = read("FOLDER/metadata/metadata_0.parquet")
    assert metadata.column_names[:2] == ["image_path", "caption"]
    row.run("score")
    table = read("scores/metadata_0.parquet")
    assert table["pair_id"].equals(metadata["pair_id"])
    np.testing.assert_allclose(table["similarity"], read(job / "scores/0.parquet")["similarity"], atol=1e-6)


def embeddings(job):
    """Both (n, d) float16 arrays of the job."""
    table = read(job / "emb/0.parquet")
    return [np.array(table[name].to_pylist(), np.float16) for name in ("image_embedding", "text_embedding")]


@of("two `.npy` files of embeddings")
def test_two_npy_files(row, job):
    for name, array in zip(("img", "text"), embeddings(job), strict=True):
        np.save(f"{name}.npy", array)
    row.run("score")
    table = read("scores/img.parquet")
    assert table["pair_id"].to_pylist() == [f"img/{i}" for i in range(PAIRS)]
    np.testing.assert_allclose(table["similarity"], read(job / "scores/0.parquet")["similarity"], atol=1e-6)


@of("DataComp metadata with `.npz`")
def test_datacomp(row, job):
    image, text = embeddings(job)
    uids = [f"{7 * (PAIRS - i):032x}" for i in range(PAIRS)]
    os.mkdir("metadata")
    pq.write_table(pa.table({"uid": uids, "text": uids, "times": [2] * PAIRS}), "metadata/0.parquet")
    np.savez("metadata/0.npz", b32_img=image, b32_txt=text, l14_img=text, l14_txt=image[::-1])
    row.run("score")
    table = read("scores/0.parquet")
    np.testing.assert_allclose(table["similarity"], read(job / "scores/0.parquet")["similarity"], atol=1e-6)
    subset = row.says("ncaudit filter")
    shell(subset)
    kept = np.load("kept.npy")
    best = sorted(range(PAIRS), key=lambda i: (-table["score"][i].as_py(), uids[i]))[: PAIRS // 2]
    assert kept.dtype == np.dtype("u8,u8")
    assert [f"{high:016x}{low:016x}" for high, low in kept.tolist()] == sorted(uids[i] for i in best)
    shell(subset, row.says("--repeat-by-weight"), "times")
    np.testing.assert_array_equal(np.load("kept.npy"), np.repeat(kept, 2))


def records(told, form):
    """The rows of a stream."""
    if form == "arrow":
        return pa.ipc.open_stream(told).read_all().to_pylist()
    text = told.decode()
    return [*map(json.loads, text.splitlines())] if form == "jsonl" else [*csv.DictReader(io.StringIO(text))]


@pytest.mark.parametrize("form", ["arrow", "jsonl"])
@of("Arrow or JSON lines on standard input")
def test_streams(row, form, pairs, monkeypatch):
    monkeypatch.setattr("typer.testing.make_input_stream", peekable)
    jsonl, out = row.says("--format").split(), row.says("--out -").split()
    given = "".join(json.dumps(line) + "\n" for line in with_paths(".", pairs)).encode()
    if form == "arrow":
        sink, table = io.BytesIO(), pa.Table.from_pylist(pairs)
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        jsonl, given = [], sink.getvalue()
    embed = row.says("ncaudit embed -").removeprefix("ncaudit ").removesuffix(" …").split()
    emb = ncaudit(*embed, *out, *jsonl, given=given)
    scores = ncaudit(*row.says("score -").split(), *out, *jsonl, given=emb)
    labels = ncaudit(*row.says("labels -").split(), "--label-column", "kind", *out, *jsonl, given=emb)
    kept = ncaudit(*row.says("filter -").split(), "--min-soft-label", ".5", *out, *jsonl, given=scores)
    everything = [one["key"] for one in pairs]
    for told in (emb, scores, labels):
        assert [record["pair_id"] for record in records(told, form)] == everything
    good = [record for record in records(scores, form) if record["soft_label"] >= 0.5]
    assert 0 < len(good) < PAIRS
    assert records(kept, form) == good
    cells = ("filter", "-", "--min-soft-label", "0", *out, "--format", row.says("csv"))
    guard = row.says("--csv-safe")
    for more, caption in (((), pairs[0]["caption"]), ((guard,), f"'{pairs[0]['caption']}")):
        told = records(ncaudit(*cells, *more, given=scores), "csv")
        assert (len(told), told[0]["caption"]) == (PAIRS, caption)


@of("score tables")
def test_score_tables(row, here, job, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", "cache")
    row.run("score")
    wanted = read("scores/0.parquet")["soft_label"].to_pylist()
    assert wanted == read(job / "scores/0.parquet")["soft_label"].to_pylist()
    consumers = {"pandas": pandas, "polars": polars, "duckdb": duckdb, "datasets": datasets}
    found = {name: eval(row.says(name), {name: module}) for name, module in consumers.items()}
    found |= {"duckdb": found["duckdb"].df(), "datasets": found["datasets"]["train"]}
    assert {name: list(table["soft_label"]) for name, table in found.items()} == dict.fromkeys(consumers, wanted)
