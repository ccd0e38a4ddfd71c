"""What `train` wrote goes back into every command as `--model`: heads, and towers."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch.testing import assert_close
from typer.testing import CliRunner, Result

from ncaudit.cli import app
from ncaudit.matchers.heads.projection import HEAD_DESCRIPTION, load_heads
from ncaudit.shards.files.provenance import provenance_of
from tests.worlds.sample import SAMPLE

CPU = ("--device", "cpu")
EMBED = (*CPU, "--precision", "float32", "--workers", 0, "--batch-pairs", 32)
TRAIN_HEADS = ("train", "--tune", "heads", "--epochs", 1, "--batch-pairs", 20, *CPU, "--precision", "float32")
PAIRS = 64

pytestmark = pytest.mark.slow


def ncaudit(*words: object) -> Result:
    return CliRunner().invoke(app.app, [str(word) for word in words])


def refused(*words: object) -> tuple[str, str]:
    ran = ncaudit(*words)
    assert ran.exit_code == 1, ran.output
    what, fix = ran.stderr.splitlines()[-2:]
    return what, fix


def rows(table: Path, name: str) -> torch.Tensor:
    return torch.tensor(np.array(pq.read_table(table)[name].to_pylist(), dtype=np.float32))


def model_of(table: Path) -> dict[str, object]:
    return dict((provenance_of(pq.read_schema(table)) or {})["model"])


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A tiny model that can move, two shards, their embeddings, heads trained on one, and both embedded with these."""
    folder = tmp_path_factory.mktemp("job")
    shutil.copytree(SAMPLE / "tiny-clip", folder / "clip")
    sample = pq.read_table(SAMPLE / "heldout.parquet")
    (folder / "data").mkdir()
    for name, first in (("seen", 0), ("new", PAIRS)):
        pq.write_table(sample.slice(first, PAIRS), folder / f"data/{name}.parquet")
    commands = [
        ("embed", folder / "data", "--model", folder / "clip", "--out", folder / "e", *EMBED),
        (*TRAIN_HEADS, "--embeddings", folder / "e/seen.parquet", "--out", folder / "heads"),
        ("embed", folder / "data", "--model", folder / "heads", "--out", folder / "h", *EMBED),
    ]
    ran = [ncaudit(*words) for words in commands]
    assert [one.exit_code for one in ran] == [0] * 3, [one.output for one in ran]
    return folder, ran


def test_embed_gives_the_rows_of_the_encoder_after_the_heads(job):
    folder, ran = job
    heads = load_heads(str(folder / "heads"), torch.device("cpu"))
    plain, headed = folder / "e/new.parquet", folder / "h/new.parquet"
    for name, head in (("image_embedding", heads.heads.image), ("text_embedding", heads.heads.text)):
        assert_close(rows(headed, name), head(rows(plain, name)), atol=2e-3, rtol=0)  # the plain ones are half floats
    dims = {"image_dims": heads.heads.dims, "text_dims": heads.heads.dims}
    assert model_of(headed) == {**model_of(plain), **dims, "heads": heads.weight_hash}
    assert f"heads {heads.weight_hash[:12]}" in ran[2].stdout


def test_score_and_eval_through_the_heads_are_those_of_what_embed_wrote_through_them(job, tmp_path):
    folder, _ = job
    results = []
    for number, words in enumerate(
        [(folder / "e/new.parquet", "--model", folder / "heads"), (folder / "h/new.parquet",)]
    ):
        out = tmp_path / f"{number}.parquet"
        ran = ncaudit("score", *words, "--scorer", "clip-score", "--no-check", "--out", out, *CPU)
        assert ran.exit_code == 0, ran.output
        evaluated = ncaudit("eval", "retrieval", *words, "--json", *CPU)
        results.append((pq.read_table(out)["similarity"].to_numpy(), json.loads(evaluated.stdout)["metrics"]))
    np.testing.assert_allclose(results[0][0], results[1][0], atol=2e-3)
    assert results[0][1]["rsum"] == pytest.approx(results[1][1]["rsum"], abs=5)


def test_a_fit_goes_with_either_way_to_apply_the_heads_and_not_without(job, tmp_path):
    folder, _ = job
    usual = ("--scorer", "clip-score", "--no-check", *CPU)
    fit = tmp_path / "fit"
    ran = ncaudit("score", folder / "h/new.parquet", "--save-fit", fit, "--out", tmp_path / "a.parquet", *usual)
    assert ran.exit_code == 0, ran.output
    through = (
        "score",
        folder / "e/new.parquet",
        "--model",
        folder / "heads",
        "--fit",
        fit,
        "--out",
        tmp_path / "b.parquet",
    )
    assert ncaudit(*through, *usual).exit_code == 0
    what, fix = refused("score", folder / "e/new.parquet", "--fit", fit, "--out", tmp_path / "c.parquet", *usual)
    assert "differ in their model's heads" in what
    assert "give the heads of the fit with --model" in fix


def test_pairs_that_the_heads_were_trained_on_are_told_and_others_are_not(job, tmp_path):
    folder, ran = job
    assert "note: the heads were trained on 1 of these 2 shards: mismatches that they have memorised" in ran[2].stdout
    for name, expected in (("seen", True), ("new", False)):
        evaluated = ncaudit("eval", "retrieval", folder / f"e/{name}.parquet", "--model", folder / "heads", *CPU)
        assert ("note: the heads were trained on 1 of these 1 tables" in evaluated.stdout) == expected


def test_a_rerun_with_the_same_heads_keeps_the_tables_and_other_heads_make_them_again(job, tmp_path):
    folder, _ = job
    shutil.copytree(folder / "h", tmp_path / "h")
    words = ("embed", folder / "data", "--out", tmp_path / "h", *EMBED, "--json", "--model")
    assert json.loads(ncaudit(*words, folder / "heads").stdout)["accounting"]["shards_resumed"] == 2
    ran = ncaudit(*TRAIN_HEADS, "--embeddings", folder / "e/new.parquet", "--out", tmp_path / "other")
    assert ran.exit_code == 0, ran.output
    what, fix = refused(*words, tmp_path / "other")
    assert "is another model" in what
    assert "--overwrite" in fix
    again = ncaudit(*words, tmp_path / "other", "--overwrite")
    assert json.loads(again.stdout)["accounting"]["shards_resumed"] == 0
    assert model_of(tmp_path / "h/new.parquet")["heads"] != model_of(folder / "h/new.parquet")["heads"]


def test_an_encoder_that_is_gone_can_be_named_and_another_one_is_refused(job, tmp_path):
    folder, _ = job
    shutil.copytree(folder / "heads", tmp_path / "heads")
    path = tmp_path / "heads" / HEAD_DESCRIPTION
    heads = json.loads(path.read_text())
    heads["description"]["encoder_folder"] = str(tmp_path / "gone")
    path.write_text(json.dumps(heads))
    words = ("embed", folder / "data/new.parquet", "--model", tmp_path / "heads", "--out", tmp_path / "out", *EMBED)
    what, fix = refused(*words)
    assert "were trained on embeddings of local-dir:clip, and" in what
    assert what.endswith("gone is gone")
    assert "--pretrained" in fix
    assert not (tmp_path / "out").exists()

    heads["description"]["model"]["weight_hash"] = "abc"
    path.write_text(json.dumps(heads))
    what, _ = refused(*words, "--pretrained", folder / "clip")
    assert "local-dir:clip is not the encoder that the heads in" in what
    assert "weight_hash 'abc' against" in what

    heads["description"]["model"] = None
    path.write_text(json.dumps(heads))
    what, fix = refused(*words, "--pretrained", folder / "clip")
    assert "of an unknown model: there is no encoder" in what
    assert "`ncaudit score`" in fix

    shutil.copyfile(folder / "heads" / HEAD_DESCRIPTION, path)
    assert ncaudit(*words, "--pretrained", folder / "clip").exit_code == 0
    assert (tmp_path / "out/new.parquet").read_bytes() == (folder / "h/new.parquet").read_bytes()


def test_towers_that_train_wrote_go_through_embed_score_and_eval(job, tmp_path):
    folder, _ = job
    train = ("train", "--data", folder / "data/seen.parquet", "--model", folder / "clip", "--out", tmp_path / "towers")
    made = [
        ncaudit(
            *train,
            "--epochs",
            1,
            "--batch-pairs",
            20,
            "--val-share",
            0.2,
            "--workers",
            0,
            *CPU,
            "--precision",
            "float32",
        ),
        ncaudit("embed", folder / "data/new.parquet", "--model", tmp_path / "towers", "--out", tmp_path / "e", *EMBED),
        ncaudit("score", tmp_path / "e", "--scorer", "csls", "--no-check", "--out", tmp_path / "s", *CPU),
        ncaudit("eval", "retrieval", tmp_path / "e", "--json", *CPU),
    ]
    assert [one.exit_code for one in made] == [0] * 4, [one.output for one in made]
    assert model_of(tmp_path / "s/new.parquet") == model_of(tmp_path / "e/new.parquet")
    assert model_of(tmp_path / "e/new.parquet")["weight_hash"] != model_of(folder / "e/new.parquet")["weight_hash"]
    assert json.loads(made[3].stdout)["metrics"]["captions"] == PAIRS
    what, fix = refused("eval", "retrieval", folder / "e/new.parquet", "--model", tmp_path / "towers", *CPU)
    assert "towers is no folder of heads" in what
    assert "`ncaudit embed`" in fix
