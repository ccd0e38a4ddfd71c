"""Embeddings that other tools wrote go straight into the commands: .npy pairs, clip-retrieval folders, DataComp."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ncaudit.cli import app

PAIRS, WRONG, DIMS = 240, 60, 12
SCORE = ("--scorer", "clip-score", "--no-check", "--out")


def run(*words):
    ran = CliRunner().invoke(app.app, ["-q", *map(str, words)])
    assert ran.exit_code == 0, (ran.stderr, ran.exception)
    return ran


def refused(*words):
    ran = CliRunner().invoke(app.app, ["-q", *map(str, words)])
    assert ran.exit_code == 1
    return ran.stderr


def world(seed):
    """Image and caption embeddings as (n, d) float16; the first WRONG pairs have each other's captions."""
    draw = np.random.default_rng(seed)
    image = draw.normal(size=(PAIRS, DIMS))
    text = image + 0.3 * draw.normal(size=image.shape)
    text[:WRONG] = np.roll(text[:WRONG], 1, axis=0)
    return image.astype(np.float16), text.astype(np.float16)


@pytest.fixture
def datacomp(tmp_path):
    folder = tmp_path / "datacomp"
    folder.mkdir()
    small, large = world(0), world(1)
    uids = [f"{7 * i:032x}" for i in range(PAIRS)]
    columns = {
        "uid": uids, "url": uids, "text": [f"caption {i}" for i in range(PAIRS)], "kind": ["cat", "dog"] * 120,
        "clip_l14_similarity_score": pa.array(np.linspace(0, 1, PAIRS), pa.float32()),
    }  # fmt: skip
    pq.write_table(pa.table(columns), folder / "0000.parquet")
    np.savez(folder / "0000.npz", b32_img=small[0], b32_txt=small[1], l14_img=large[0], l14_txt=large[1])
    return folder


def similarity(image, text):
    image, text = (rows / np.linalg.norm(rows.astype(np.float32), axis=1, keepdims=True) for rows in (image, text))
    return (image * text).sum(axis=1)


def provenance(path):
    return json.loads(pq.read_schema(path).metadata[b"ncaudit"])


def test_two_npy_files_are_scored(tmp_path):
    image, text = world(0)
    np.save(tmp_path / "img.npy", image)
    np.save(tmp_path / "text.npy", text)
    run("score", tmp_path / "img.npy", tmp_path / "text.npy", *SCORE, tmp_path / "s")
    scores = pq.read_table(tmp_path / "s/img.parquet").to_pandas()
    assert scores["pair_id"].tolist() == [f"img/{i}" for i in range(PAIRS)]
    np.testing.assert_allclose(scores["similarity"], similarity(image, text), atol=1e-3)
    assert scores["soft_label"][WRONG:].mean() - scores["soft_label"][:WRONG].mean() > 0.5


def test_one_npy_file_is_half_a_pair(tmp_path):
    np.save(tmp_path / "img.npy", world(0)[0])
    told = refused("score", tmp_path / "img.npy", *SCORE, tmp_path / "s")
    assert "embeddings in .npy files come in pairs" in told
    assert "give two .npy files" in told


def test_a_clip_retrieval_folder_is_scored_partition_by_partition(tmp_path):
    image, text = world(0)
    for name in ("img_emb", "text_emb", "metadata"):
        (tmp_path / "clip" / name).mkdir(parents=True)
    for number, part in enumerate(np.array_split(np.arange(PAIRS), 11)):
        np.save(tmp_path / f"clip/img_emb/img_emb_{number}.npy", image[part])
        np.save(tmp_path / f"clip/text_emb/text_emb_{number}.npy", text[part])
        keys = pa.table({"image_path": [f"{i}.jpg" for i in part], "caption": [f"c {i}" for i in part], "key": part})
        pq.write_table(keys, tmp_path / f"clip/metadata/metadata_{number}.parquet")
    run("score", tmp_path / "clip", *SCORE, tmp_path / "s")
    assert sorted(path.stem for path in (tmp_path / "s").glob("*.parquet")) == sorted(
        f"metadata_{number}" for number in range(11)
    )
    run("score", tmp_path / "clip", *SCORE, tmp_path / "all.parquet")
    scores = pq.read_table(tmp_path / "all.parquet").to_pandas()
    assert scores["pair_id"].tolist() == [str(i) for i in range(PAIRS)]
    assert scores["image_path"].tolist() == [f"{i}.jpg" for i in range(PAIRS)]
    np.testing.assert_allclose(scores["similarity"], similarity(image, text), atol=1e-3)


def test_datacomps_features_are_chosen_recorded_and_not_mixed_up(datacomp, tmp_path):
    path = tmp_path / "s/0000.parquet"
    run("score", datacomp, *SCORE, tmp_path / "s")
    np.testing.assert_allclose(pq.read_table(path)["similarity"].to_numpy(), similarity(*world(1)), atol=1e-3)
    assert provenance(path)["source"]["features"] == "l14"
    before = path.stat().st_mtime_ns
    run("score", datacomp, "--features", "l14", *SCORE, tmp_path / "s")
    assert path.stat().st_mtime_ns == before  # what is named is what was the default
    run("score", datacomp, "--features", "b32", *SCORE, tmp_path / "s")
    np.testing.assert_allclose(pq.read_table(path)["similarity"].to_numpy(), similarity(*world(0)), atol=1e-3)
    assert provenance(path)["source"]["features"] == "b32"


def test_datacomps_pairs_become_its_subset_file(datacomp, tmp_path):
    run("score", datacomp, *SCORE, tmp_path / "s")
    scores = pq.read_table(tmp_path / "s/0000.parquet")
    assert scores["clip_l14_similarity_score"].to_pylist()[-1] == 1
    assert scores["pair_id"].equals(scores["uid"])
    run("filter", tmp_path / "s", "--keep-share", ".5", "--as", "datacomp-uids", "--out", tmp_path / "kept.npy")
    kept = np.load(tmp_path / "kept.npy")
    assert len(kept) == PAIRS // 2
    assert kept.dtype == np.dtype("u8,u8")
    assert {int(low) for low in kept["f1"]} <= {7 * i for i in range(PAIRS)}


def test_every_command_on_embeddings_reads_them(datacomp, tmp_path):
    run("score", datacomp, "--features", "b32", *SCORE, tmp_path / "s")
    found = run("eval", "retrieval", datacomp, "--features", "b32", "--json")
    assert json.loads(found.stdout)["metrics"]["images"] == PAIRS
    run("labels", datacomp, "--label-column", "kind", "--features", "b32", "--out", tmp_path / "l")
    assert pq.read_table(tmp_path / "l/0000.parquet")["given_label"].to_pylist() == ["cat", "dog"] * 120
    bench = ("bench", datacomp, "--features", "b32", "--seeds", 1, "--rates", 0.2, "--kinds", "random", "--pairs", 100)
    assert json.loads(run(*bench, "--scorers", "clip-score", "--json").stdout)
    trained = ("--embeddings", datacomp, "--scores", tmp_path / "s", "--epochs", 1, "--batch-pairs", 64)
    heads = ("train", "--tune", "heads", *trained)
    run(*heads, "--features", "b32", "--out", tmp_path / "m")
    assert "was made from another file" in refused(*heads, "--out", tmp_path / "n")
