"""What `inspect` says of small datasets, tables and folders whose content is known by hand."""

import io
import json
import shlex

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from ncaudit.cli import app
from ncaudit.errors import BadTable, NcauditError
from ncaudit.options import InspectOptions
from ncaudit.schema import labels_schema
from ncaudit.shards.files.provenance import attach
from ncaudit.verbs.inspect.inspect import inspect
from tests.worlds.datasets import write
from tests.worlds.embeddings import lists


def picture(width=40, height=20, form="JPEG", fill="navy", border=0):
    image = Image.new("RGB", (width, height), "white")
    image.paste(Image.new("RGB", (width, height - 2 * border), fill), (0, border))
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


def seen(*paths, **options):
    return inspect(InspectOptions(sources=[str(path) for path in paths], **options))


def crawl(path, first=0, rows=4, **changed):
    """As img2dataset writes it; the last row's download failed."""
    keys = [f"{first + i:05d}" for i in range(rows)]
    columns = {
        "similarity": [0.3] * rows,
        "caption": [f"caption {key}" for key in keys],
        "url": [f"https://example.org/{key}" for key in keys],
        "key": keys,
        "status": ["success"] * (rows - 1) + ["failed_to_download"],
        "error_message": pa.array([None] * (rows - 1) + ["404"], pa.string()),
        "jpg": pa.array([picture()] * (rows - 1) + [None], pa.binary()),
    }
    return write(path, **{**columns, **changed})


def test_a_crawl_is_told_by_its_columns_and_counted(tmp_path):
    crawl(tmp_path / "d/00000.parquet", caption=["a", None, "  ", "d"])
    crawl(tmp_path / "d/00001.parquet", first=4)
    found = seen(tmp_path / "d")
    assert (found.kind, found.what, found.format) == ("dataset", "img2dataset parquet", "parquet")
    assert (found.shards, found.rows, found.pairs) == (2, 8, 8)
    assert found.words == {"status": {"success": 6, "failed_to_download": 2}}
    assert (found.captions.column, found.captions.null, found.captions.blank) == ("caption", 1, 1)
    assert found.captions.examples == ("a", "caption 00004", "d")  # of shards far apart first
    assert [(k.column, k.null, k.repeated) for k in found.keys] == [("key", 0, 0)]
    assert (found.images.column, found.images.held, found.images.missing) == ("jpg", "bytes", 2)
    sample = found.images.sample
    assert (sample.sampled, sample.read, sample.formats) == (8, 6, {"JPEG": 6})
    assert (sample.width, sample.height, sample.bordered) == ((40, 40, 40), (20, 20, 20), False)
    assert sample.problems == {"upstream_failed": 2}
    assert sample.first_problem == "00000.parquet row 3: failed_to_download: 404"
    assert (found.url, found.prior_scores) == ("url", ("similarity",))
    assert found.next == (
        f"ncaudit audit {tmp_path}/d --model ViT-B-32 --out run/",
        f"ncaudit embed {tmp_path}/d --model ViT-B-32 --out embeddings/",
    )
    assert (found.damaged, found.schema_differences, found.first) == ((), (), ())


def test_sizes_are_smallest_median_and_largest_and_what_is_no_image_is_named(tmp_path):
    images = [picture(10, 30), picture(50, 20), picture(20, 90, "PNG"), b"<html>no</html>"]
    found = seen(write(tmp_path / "x.parquet", caption=list("abcd"), image=pa.array(images, pa.binary())))
    sample = found.images.sample
    assert (sample.width, sample.height) == ((10, 20, 50), (20, 30, 90))
    assert sample.formats == {"JPEG": 2, "PNG": 1}
    assert sample.problems == {"image_undecodable": 1}
    assert sample.first_problem == "x.parquet row 3: starts with b'<html>no</ht'"


@pytest.mark.parametrize(("border", "size", "told"), [(40, 256, True), (0, 256, False), (40, 250, False)])
def test_the_default_resize_of_img2dataset_is_noticed_by_its_white_borders(tmp_path, border, size, told):
    images = pa.array([picture(size, size, border=border)] * 3, pa.binary())
    found = seen(write(tmp_path / "x.parquet", caption=list("abc"), jpg=images))
    assert found.images.sample.bordered is told


def test_missing_images_are_counted_in_the_column_of_images_and_no_other(tmp_path):
    path = write(
        tmp_path / "x.parquet",
        **{"image.alt": pa.nulls(3, pa.string()), "image": pa.array([picture()] * 3), "image.b": pa.nulls(3)},
        caption=list("abc"),
    )
    assert seen(path).images.missing == 0
    lists = pa.array([[picture(), None], [picture()], [None]], pa.list_(pa.binary()))
    assert seen(write(tmp_path / "y.parquet", caption=list("abc"), image=lists)).images.missing is None


def test_several_captions_per_row_are_several_pairs(tmp_path):
    images = pa.array(
        [{"bytes": picture(), "path": None}] * 3, pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    )
    captions = [["one", "two", None], [], None]
    features = json.dumps({"info": {"features": {"image": {"_type": "Image"}}}})
    path = write(tmp_path / "h.parquet", metadata={"huggingface": features}, image=images, captions=captions)
    found = seen(path)
    assert found.what == "Hugging Face parquet"
    assert (found.rows, found.pairs) == (3, 5)  # a row without a caption is one pair
    assert (found.captions.several, found.captions.null) == (True, 3)
    assert (found.images.held, found.images.missing, found.images.sample.sampled) == ("struct", 0, 3)


def test_paths_may_stand_in_for_bytes_that_are_null(tmp_path):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    (tmp_path / "photos").mkdir()
    for i in range(2):
        (tmp_path / f"photos/{i}.jpg").write_bytes(picture())
    images = pa.array([{"bytes": None, "path": f"{i}.jpg"} for i in range(2)], kind)
    path = write(tmp_path / "h.parquet", image=images, caption=["a", "b"])
    found = seen(path)
    assert (found.images.missing, found.images.sample.problems) == (None, {"image_missing": 2})
    assert "with --image-root" in found.first[0]
    found = seen(path, image_root=str(tmp_path / "photos"))
    assert (found.images.sample.read, found.first) == (2, ())
    assert f"--image-root {tmp_path}/photos" in found.next[0]


def test_no_command_writes_into_its_own_input(tmp_path, monkeypatch):
    crawl(tmp_path / "d/in/00000.parquet")
    monkeypatch.chdir(tmp_path / "d/in")
    assert seen(".").next == (
        "ncaudit audit . --model ViT-B-32 --out ../run/",
        "ncaudit embed . --model ViT-B-32 --out ../embeddings/",
    )
    monkeypatch.chdir(tmp_path)
    assert seen("d").next[1] == "ncaudit embed d --model ViT-B-32 --out embeddings/"


def test_a_key_that_repeats_is_not_the_one_the_command_takes(tmp_path):
    images = pa.array([picture()] * 3, pa.binary())
    write(tmp_path / "d/a.parquet", uid=["a", "b", "c"], id=[1, 2, 3], caption=list("xyz"), jpg=images)
    write(tmp_path / "d/b.parquet", uid=["d", "a", None], id=[4, 5, 6], caption=list("xyz"), jpg=images)
    found = seen(tmp_path / "d")
    assert [(k.column, k.null, k.repeated) for k in found.keys] == [("uid", 1, 1), ("id", 0, 0)]
    assert "--key id --out" in found.next[0]
    write(tmp_path / "d/c.parquet", uid=["x", "y", "z"], id=[4, 8, 9], caption=list("xyz"), jpg=images)
    assert "--key '' --out" in seen(tmp_path / "d").next[0]


def test_a_caption_among_several_candidates_is_named_in_the_command(tmp_path):
    path = write(tmp_path / "x y.parquet", text=["a"], caption=["b"], jpg=pa.array([picture()], pa.binary()))
    found = seen(path)
    assert (found.captions.column, found.captions.others) == ("caption", ("text",))
    assert shlex.split(found.next[0])[2:] == [
        str(path), "--model", "ViT-B-32", "--caption-column", "caption", "--out", "run/",
    ]  # fmt: skip
    assert "--caption-column text" in seen(path, caption_column="text").next[0]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"caption": ["a"], "url": ["https://example.org"]}, "still at the addresses in column url"),
        ({"caption": ["a"]}, "has no image column"),
        (
            {"caption": ["a"], "jpg": [b"x"], "png": [b"x"]},
            "several image columns (jpg, png): name one with --image-col",
        ),
        ({"note": ["a"], "jpg": [b"x"]}, "has no caption column (found: note, jpg): name it with --caption-column"),
        ({"caption": ["a"], "image_path": ["gone.jpg"]}, "paths start from with --image-root"),
        ({"caption": ["a"], "jpg": [b""]}, "the only image cannot be read"),
    ],
)
def test_what_must_be_mended_first_is_said_instead_of_a_command(tmp_path, columns, told):
    found = seen(write(tmp_path / "x.parquet", **columns))
    assert found.next == ()
    assert told in found.first[0]


def test_shards_that_differ_or_are_damaged_are_named_and_the_others_told(tmp_path):
    crawl(tmp_path / "d/0.parquet")
    crawl(tmp_path / "d/1.parquet", first=4, similarity=pa.nulls(4), punsafe=[0.5] * 4)
    crawl(tmp_path / "d/2.parquet", first=8)
    whole = (tmp_path / "d/2.parquet").read_bytes()
    (tmp_path / "d/3.parquet").write_bytes(whole[:-100])
    (tmp_path / "d/4.parquet").write_bytes(whole[:4] + bytes(len(whole) // 2) + whole[4 + len(whole) // 2 :])
    write(tmp_path / "d/5.parquet", other=[1])
    found = seen(tmp_path / "d")
    assert [error.shard for error in found.damaged] == ["3.parquet", "4.parquet"]
    assert "cut short" in found.damaged[0].message
    assert [error.shard for error in found.without_pairs] == ["5.parquet"]
    assert "no image column" in found.without_pairs[0].message
    assert (found.shards, found.rows) == (3, 12)
    assert found.schema_differences == (
        "similarity is double in 2, null in 1 of 3 shards",
        "punsafe is double in 1, missing in 2 of 3 shards",
    )
    assert found.columns["punsafe"] == "double"
    ran = CliRunner().invoke(app.app, ["-q", "inspect", str(tmp_path / "d")])
    assert ran.exit_code == 3
    assert "damaged shard" in ran.stdout
    assert "shard without pairs" in ran.stdout
    assert "12 rows in 3 shards" in ran.stdout


def test_what_cannot_be_read_at_all_is_an_error(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PK\x03\x04")
    with pytest.raises(BadTable, match="zip archive"):
        seen(tmp_path / "x.parquet")
    with pytest.raises(NcauditError, match="does not exist"):
        seen(tmp_path / "nothing")


# Tables and folders that ncaudit wrote


def run(*words):
    ran = CliRunner().invoke(app.app, ["-q", *map(str, words)])
    assert ran.exit_code == 0, ran.stderr
    return ran


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One of everything that needs no encoder: a dataset, embeddings, scores, what filter and corrupt make of it."""
    root = tmp_path_factory.mktemp("made")
    draw = np.random.default_rng(0)
    image = draw.normal(size=(120, 8)).astype(np.float32)
    text = image + 0.3 * draw.normal(size=(120, 8)).astype(np.float32)
    text[:30] = np.roll(text[:30], 1, axis=0)
    sides = [lists(rows, dtype=np.float32) for rows in (image, text)]
    ids = [f"p{i}" for i in range(120)]
    common = {"caption": [f"caption {i}" for i in range(120)], "topic": ["a", "b"] * 60, "clip_score": image[:, 0]}
    photos = pa.array([picture(fill=(2 * i, 0, 0)) for i in range(120)], pa.binary())
    write(root / "data/x.parquet", uid=ids, jpg=photos, **common)
    embeddings = {"image_embedding": sides[0], "text_embedding": sides[1], "is_match": np.arange(120) >= 30}
    write(root / "embeddings/x.parquet", pair_id=ids, status=["ok"] * 120, **embeddings, **common)
    run("score", root / "embeddings", "--scorer", "clip-score", "--no-check", "--out", root / "scores")
    _write_labels(root / "labels/x.parquet", ids)
    rule = ("--keep-share", ".5", "--out", root / "kept", "--dropped", root / "gone")
    run("filter", root / "scores", *rule)
    run("corrupt", root / "data", "--rate", ".25", "--out", root / "noisy")
    run("sample", root / "scores", "--n", "10", "--out", root / "review.parquet")
    return root


def _write_labels(path, ids):
    """As `labels` writes them, which takes longer than all the rest here."""
    schema = attach(labels_schema(pa.string()), {"ncaudit": "0.1.0", "verb": "labels", "audit": "x"})
    known = {"pair_id": ids, "status": ["ok"] * 120, "partition": ["clean"] * 90 + ["noisy"] * 30}
    arrays = [pa.array(known[f.name], f.type) if f.name in known else pa.nulls(120, f.type) for f in schema]
    path.parent.mkdir()
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path)


def test_embeddings_of_another_tool(made):
    found = seen(made / "embeddings")
    assert (found.kind, found.what) == ("embeddings", "embedding table of another tool")
    assert (found.rows, found.dims, found.provenance) == (120, (8, 8), ())
    assert found.keys[0].column == "pair_id"
    assert (found.prior_scores, found.truth_columns) == (("clip_score",), ("is_match",))
    assert found.class_columns == ("topic",)
    assert found.next == (
        f"ncaudit score {made}/embeddings --out scores/",
        f"ncaudit labels {made}/embeddings --label-column topic --out labels/",
    )


def test_a_score_table_tells_where_it_is_from_and_what_it_found(made):
    found = seen(made / "scores")
    assert (found.kind, found.what, found.rows) == ("scores", "score table of ncaudit", 120)
    table = pq.read_table(made / "scores/x.parquet")
    labels = table["soft_label"].to_numpy()
    assert found.mean_soft_label == pytest.approx(labels.mean())
    assert found.soft_labels_below_half == (labels < 0.5).sum()
    assert found.words["status"] == {"ok": 120}
    assert found.words["verdict"] == {
        entry["values"]: entry["counts"] for entry in table["verdict"].value_counts().to_pylist()
    }
    told = found.provenance[0]
    assert (told.shards, told.provenance["verb"]) == (1, "score")
    assert told.provenance["options"]["scorer"] == "clip-score"
    fit = json.loads((made / "scores/_fit/fit.json").read_text())["fit_id"]
    assert told.provenance["fit"] == fit
    assert (told.source["name"], told.data) == ("x.parquet", None)  # of embeddings that do not say
    assert found.next == (
        f"ncaudit filter {made}/scores --min-soft-label 0.5 --out kept/",
        f"ncaudit eval scores {made}/scores --against clip_score --truth is_match",
    )
    assert "\nstatus: 120 ok\n" in run("inspect", made / "scores").stdout
    assert seen(made / "scores/_fit").facts["fit"] == fit
    assert seen(made / "scores/_fit").next == (f"ncaudit score EMBEDDINGS --fit {made}/scores/_fit --out scores/",)


@pytest.mark.parametrize(
    ("place", "kind", "what"),
    [
        ("data", "dataset", "table (parquet)"),
        ("labels", "labels", "label table of ncaudit"),
        ("kept", "scores", "score table, filtered by ncaudit"),
        ("gone", "dropped", "table (parquet): what ncaudit filter dropped"),
        ("noisy", "dataset", "table (parquet), corrupted by ncaudit (shuffle, rate 0.25)"),
        ("review.parquet", "review", "pairs for review (parquet), as ncaudit sample draws them"),
    ],
)
def test_every_table_of_ours_is_known(made, place, kind, what):
    found = seen(made / place)
    assert (found.kind, found.what) == (kind, what)


def test_the_other_counts_of_our_tables(made):
    assert seen(made / "gone").words["drop_reason"] == {"keep_share": 60}
    assert seen(made / "labels").words["partition"] == {"clean": 90, "noisy": 30}
    assert seen(made / "noisy").truth_columns == ("is_match",)


def test_scores_from_a_stream_go_back_into_one(made, tmp_path):
    rows = pq.read_table(made / "scores/x.parquet")
    with pa.ipc.new_stream(tmp_path / "x.arrow", rows.schema) as writer:
        writer.write_table(rows)
    found = seen(tmp_path / "x.arrow")
    assert (found.what, found.format, found.rows) == ("score table of ncaudit", "Arrow IPC stream", 120)
    assert found.next == (f"ncaudit filter - --min-soft-label 0.5 --out kept.parquet < {tmp_path}/x.arrow",)
    (tmp_path / "x.csv").write_text("pair_id,status,soft_label\na,ok,.5\n")
    assert (seen(tmp_path / "x.csv").next, seen(tmp_path / "x.csv").rows) == ((), 1)


def test_a_folder_of_several_kinds_says_so(made):
    found = seen(made / "embeddings", made / "scores", made / "kept")
    assert (found.kind, found.shards) == ("scores", 2)
    assert found.other_kinds == {"embedding table of another tool": f"{made}/embeddings/x.parquet"}
    assert "name one kind" in found.first[0]


@pytest.mark.parametrize("place", ["data", "embeddings", "scores", "labels", "kept", "noisy", "review.parquet"])
def test_every_command_it_names_is_one_that_ncaudit_takes(made, place, monkeypatch):
    asked = []

    def record(options, *_):
        asked.append(options)
        raise NcauditError("recorded", fix="")

    for verb in (
        "audit.audit.audit",
        "embed.embed.embed",
        "score.score.score",
        "filter.filter.filter_pairs",
        "evaluate.scores.eval_scores",
        "train.train.train",
        "labels.labels.labels",
    ):
        monkeypatch.setattr(f"ncaudit.verbs.{verb}", record)
    commands = seen(made / place).next
    for command in commands:
        ran = CliRunner().invoke(app.app, shlex.split(command, comments=True)[1:])
        assert "recorded" in ran.stderr, (command, ran.output)
    assert len(asked) == len(commands) >= 1


def test_models_and_heads_are_told_by_their_folders(tmp_path):
    run_json = {"run": {"options": {"objective": "bicro", "tune": "heads"}, "model": None, "scores": None}}
    heads = {"ncaudit": "0.1.0", "shape": {"dims": 4}, "description": {"image_width": 8, "text_width": 6}}
    for name, files in {
        "heads": {"heads.json": heads, "run.json": {**run_json, "summary": {"train_pairs": 10, "kept_epoch": 2}}},
        "model": {"open_clip_config.json": {"model_cfg": {"embed_dim": 96}}},
        "begun": {"run.json": {**run_json, "summary": None}},
    }.items():
        (tmp_path / name).mkdir()
        for file, content in files.items():
            (tmp_path / name / file).write_text(json.dumps(content))
    found = seen(tmp_path / "heads")
    assert (found.kind, found.facts["dims"], found.facts["image_width"]) == ("heads", 4, 8)
    assert (found.facts["objective"], found.facts["train_pairs"]) == ("bicro", 10)
    assert found.next == (f"ncaudit score EMBEDDINGS --model {tmp_path}/heads --out scores/",)
    found = seen(tmp_path / "model")
    assert (found.what, found.facts) == ("open_clip model", {"dims": 96})
    assert found.next == (f"ncaudit embed DATA --model local-dir:{tmp_path}/model --out embeddings/",)
    found = seen(tmp_path / "begun")
    assert (found.kind, found.next) == ("unfinished training run", ())
    (tmp_path / "heads/heads.json").write_text("{")
    with pytest.raises(BadTable, match=r"heads\.json is damaged"):
        seen(tmp_path / "heads")


def test_the_files_that_tell_are_called_as_their_writers_call_them():
    from ncaudit.encoders.open_clip import CONFIG
    from ncaudit.judging import saved_fits
    from ncaudit.matchers.heads.projection import HEAD_DESCRIPTION
    from ncaudit.matchers.training_folder import RUN
    from ncaudit.verbs.inspect import made_folders

    ours = (made_folders.HEADS, made_folders.MODEL, made_folders.FIT, made_folders.RUN)
    assert ours == (HEAD_DESCRIPTION, CONFIG, saved_fits.FACTS, RUN)
