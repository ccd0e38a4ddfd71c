"""Heads on embedding tables: what `--model` does to `score` and `eval retrieval`, and which heads are refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.nn.functional import normalize
from torch.testing import assert_close

from ncaudit.errors import NcauditError
from ncaudit.matchers.heads.projected_tables import projected
from ncaudit.matchers.heads.projection import Heads, Side, load_heads
from ncaudit.matchers.heads.starts import identity_start
from ncaudit.options import EvalRetrievalOptions, ScoreOptions
from ncaudit.shards.files.provenance import attach, fingerprint_of_file, provenance_of
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.tables.embeddings import open_embeddings
from ncaudit.verbs.evaluate.retrieval import RetrievalResult, eval_retrieval
from ncaudit.verbs.score.score import ScoreResult, score
from tests.worlds.embeddings import MODEL, lists
from tests.worlds.heads import save_heads

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def saved(folder: Path, heads: Heads, **description: Any) -> str:
    """The folder, with these heads in it."""
    folder.mkdir(parents=True, exist_ok=True)
    save_heads(heads, str(folder), {"model": None, **description})
    return str(folder)


def strange(image: int = 16, text: int = 16, dims: int = 5, seed: int = 0) -> Heads:
    """Heads into a space of their own."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Heads(Side(image), Side(text), dims=dims)


def made_by(path: Path, model: dict[str, Any] | None) -> None:
    """The table says that this model made it, from a shard of its own name."""
    table = pq.read_table(path)
    told = {"model": model, "source": {"name": path.name, "fingerprint": "f"}}
    pq.write_table(table.cast(attach(table.schema, told)), path)


def scored(embeddings: Path, out: Path | str, model: str | None, **options: Any) -> ScoreResult:
    usual: dict[str, Any] = {"scorer": "clip-score", "device": "cpu", "check": False}
    return score(ScoreOptions(embeddings=[str(embeddings)], out=str(out), model=model, **{**usual, **options}))


def evaluated(embeddings: Path, model: str | None) -> RetrievalResult:
    return eval_retrieval(EvalRetrievalOptions(embeddings=[str(embeddings)], model=model, device="cpu"))


def refused(run: Any) -> tuple[str, str]:
    with pytest.raises(NcauditError) as error:
        run()
    assert "\n" not in error.value.message + error.value.fix
    return error.value.message, error.value.fix


def two_widths(folder: Path, n: int = 200) -> Path:
    """Photos of 6 dimensions; their captions have 4: a permutation of the first 4 of them."""
    folder.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(0).normal(size=(n, 6))
    columns = {"image_embedding": lists(image), "text_embedding": lists(image[:, [3, 2, 1, 0]])}
    pq.write_table(pa.table(columns), folder / "00000.parquet")
    return folder


def knowing_two_widths() -> Heads:
    """The heads that undo what `two_widths` did."""
    heads = Heads(Side(6), Side(4), dims=4)
    state = heads.state_dict()
    state["image_side.linear.weight"] = torch.eye(4, 6)
    state["text_side.linear.weight"] = torch.eye(4).flip(0)
    heads.load_state_dict(state)
    return heads


# What heads do


def test_a_projected_table_is_the_heads_applied_by_hand(write_embeddings, tmp_path):
    folder = write_embeddings(n=30, failed=4)
    table = open_embeddings(find_shards([str(folder)])[0])
    heads = saved(tmp_path / "heads", strange())
    (through,) = projected([table], heads, CPU)
    assert (through.image_dims, through.text_dims, through.rows) == (5, 5, 30)
    state = load_heads(heads, CPU).heads.state_dict()
    for batch, plain in zip(through.batches(rows=7), table.batches(rows=7), strict=True):
        assert (batch.pair_id, batch.status) == (plain.pair_id, plain.status)
        for side, rows, given in (("image", batch.image, plain.image), ("text", batch.text, plain.text)):
            by_hand = torch.from_numpy(given) @ state[f"{side}_side.linear.weight"].T
            assert_close(torch.from_numpy(rows), normalize(by_hand, dim=1), atol=1e-6, rtol=0)
        assert (batch.image_id == plain.image_id).all()
        assert (batch.caption_id == plain.caption_id).all()


def test_one_batch_is_read_at_a_time(write_embeddings, tmp_path, monkeypatch):
    table = open_embeddings(find_shards([str(write_embeddings(n=50))])[0])
    (through,) = projected([table], saved(tmp_path / "heads", strange()), CPU)
    read = []
    plain = table.batches
    monkeypatch.setattr(type(table), "batches", lambda self, rows: (read.append(1) or each for each in plain(rows)))
    batches = through.batches(rows=10)
    assert not read
    for number in range(1, 6):
        assert len(next(batches)) == 10
        assert len(read) == number


def test_identity_heads_change_no_score(write_embeddings, tmp_path):
    folder = write_embeddings(n=100, failed=3)
    heads = saved(tmp_path / "heads", identity_start(16, hidden=None))
    for scorer in ("clip-score", "csls"):
        scored(folder, tmp_path / f"{scorer}.parquet", None, scorer=scorer)
        scored(folder, tmp_path / f"{scorer}-heads.parquet", heads, scorer=scorer)
        plain, through = (pq.read_table(tmp_path / f"{scorer}{end}.parquet") for end in ("", "-heads"))
        for name in ("similarity", "score", "soft_label"):
            ours, theirs = (np.array(table[name].to_pylist()[:97], dtype=float) for table in (plain, through))
            np.testing.assert_allclose(ours, theirs, atol=1e-4)
        assert through["status"].equals(plain["status"])
        assert through["reason"].equals(plain["reason"])
    assert evaluated(folder, heads).metrics == evaluated(folder, None).metrics


def test_heads_give_two_widths_a_common_space(tmp_path):
    folder = two_widths(tmp_path / "e")
    assert "share no space" in refused(lambda: evaluated(folder, None))[0]
    heads = saved(tmp_path / "heads", knowing_two_widths())
    result = evaluated(folder, heads)
    assert (result.metrics.i2t_r1, result.metrics.t2i_r1) == (100, 100)
    scored(folder, tmp_path / "s.parquet", heads)
    similarity = pq.read_table(tmp_path / "s.parquet")["similarity"].to_numpy()
    np.testing.assert_allclose(similarity, 1, atol=1e-3)


def test_precision_by_class_is_measured_behind_the_heads(tmp_path):
    folder = two_widths(tmp_path / "e", n=40)
    table = pq.read_table(folder / "00000.parquet").append_column("kind", pa.array(np.arange(40)))
    pq.write_table(table, folder / "00000.parquet")
    heads = saved(tmp_path / "heads", knowing_two_widths())
    options = EvalRetrievalOptions(embeddings=[str(folder)], model=heads, label_column="kind", device="cpu")
    found = eval_retrieval(options).by_class
    assert (found.image_to_text.map_all, found.text_to_image.map_at_k) == (1, 1)


def test_a_row_without_direction_behind_the_heads_is_a_failed_row(tmp_path):
    folder = two_widths(tmp_path / "e", n=60)
    table = pq.read_table(folder / "00000.parquet")
    image = np.array(table["image_embedding"].to_pylist())
    image[7, :4] = 0  # of which the heads see nothing
    pq.write_table(table.set_column(0, "image_embedding", lists(image)), folder / "00000.parquet")
    result = scored(folder, tmp_path / "s.parquet", saved(tmp_path / "heads", knowing_two_widths()))
    assert result.accounting.statuses == {"ok": 59, "embedding_invalid": 1}
    written = pq.read_table(tmp_path / "s.parquet")
    assert written["status"].to_pylist().index("embedding_invalid") == 7
    assert written["similarity"].to_pylist()[7] is None
    np.testing.assert_allclose(written["similarity"].drop_null().to_numpy(), 1, atol=1e-3)


def test_an_empty_shard_and_one_without_an_ok_row_go_through(write_embeddings, tmp_path):
    write_embeddings("a", n=60)
    write_embeddings("b", n=0)
    folder = write_embeddings("c", n=4, failed=4)
    result = scored(folder, tmp_path / "s", saved(tmp_path / "heads", strange()))
    assert result.accounting.statuses == {"ok": 60, "image_undecodable": 4}


# What is recorded, and resuming


def test_score_tables_name_the_heads_on_top_of_the_model(write_embeddings, tmp_path):
    folder = write_embeddings(n=60)
    made_by(folder / "00000.parquet", {**MODEL, "image_dims": 16, "text_dims": 16})
    heads = saved(tmp_path / "heads", strange())
    scored(folder, tmp_path / "s", heads)
    told = provenance_of(pq.read_schema(tmp_path / "s/00000.parquet"))
    assert told["model"] == {**MODEL, "image_dims": 5, "text_dims": 5, "heads": load_heads(heads, CPU).weight_hash}
    assert told["data"] == {"name": "00000.parquet", "fingerprint": "f"}
    assert str(tmp_path) not in json.dumps(told)


def test_a_rerun_redoes_nothing_and_other_heads_redo_all(write_embeddings, tmp_path):
    write_embeddings("a", n=60)  # from elsewhere: nothing is known of its model
    folder = write_embeddings("b", n=60, seed=1)
    made_by(folder / "b.parquet", MODEL)
    heads, others = saved(tmp_path / "heads", strange()), saved(tmp_path / "others", strange(seed=1))
    first = scored(folder, tmp_path / "s", heads)
    before = (tmp_path / "s/a.parquet").read_bytes()
    again = scored(folder, tmp_path / "s", heads)
    assert (again.accounting.shards_resumed, again.fit_id) == (2, first.fit_id)
    assert (tmp_path / "s/a.parquet").read_bytes() == before
    for other in (others, None):
        assert scored(folder, tmp_path / "s", other).accounting.shards_resumed == 0
    scored(folder, tmp_path / "s", heads)
    assert (tmp_path / "s/a.parquet").read_bytes() == before


def test_a_copy_of_the_heads_is_the_same_heads(write_embeddings, tmp_path):
    folder = write_embeddings(n=60)
    scored(folder, tmp_path / "s", saved(tmp_path / "heads", strange()))
    assert scored(folder, tmp_path / "s", saved(tmp_path / "copy", strange())).accounting.shards_resumed == 1


# What is refused


@pytest.mark.parametrize("model", [None, MODEL])
def test_a_fit_belongs_to_its_heads(write_embeddings, tmp_path, model):
    folder = write_embeddings(n=60)
    if model:
        made_by(folder / "00000.parquet", model)
    heads, others = saved(tmp_path / "heads", strange()), saved(tmp_path / "others", strange(seed=1))
    with_heads, plain = str(tmp_path / "with_heads"), str(tmp_path / "plain")
    scored(folder, tmp_path / "a.parquet", heads, save_fit=with_heads)
    scored(folder, tmp_path / "b.parquet", None, save_fit=plain)
    scored(folder, tmp_path / "c.parquet", heads, fit=with_heads)
    for given, fit, fix in (
        (None, with_heads, "give the heads of the fit with --model"),
        (others, with_heads, "give the heads of the fit with --model"),
        (heads, plain, "leave out --model"),
    ):
        out = tmp_path / "refused.parquet"
        message, told = refused(lambda given=given, fit=fit, out=out: scored(folder, out, given, fit=fit))
        assert "differ in their model's" in message
        assert "heads" in message
        assert told == f"{fix}, or fit anew"


def test_heads_of_another_model_are_refused_with_the_difference(write_embeddings, tmp_path):
    folder = write_embeddings(n=60)
    heads = saved(tmp_path / "heads", strange(), model={**MODEL, "weight_hash": "xyz"})
    assert scored(folder, tmp_path / "a.parquet", heads).accounting.ok == 60  # a table from elsewhere: the width fits
    made_by(folder / "00000.parquet", MODEL)
    for run in (lambda: scored(folder, tmp_path / "b.parquet", heads), lambda: evaluated(folder, heads)):
        message, fix = refused(run)
        assert message.endswith("00000.parquet was embedded with: weight_hash 'xyz' against 'abc'")
        assert "embed with the model of the heads" in fix
    renamed = {**MODEL, "name": "a copy", "precision": "bfloat16"}
    same = saved(tmp_path / "same", strange(), model=renamed)
    assert scored(folder, tmp_path / "c.parquet", same).accounting.ok == 60


@pytest.mark.parametrize(("image", "text", "what"), [(12, 16, "image"), (16, 12, "text")])
def test_heads_of_other_widths_are_refused(write_embeddings, tmp_path, image, text, what):
    heads = saved(tmp_path / "heads", strange(image, text))
    message, _ = refused(lambda: evaluated(write_embeddings(n=60), heads))
    assert f"take {what} embeddings 12 wide, and " in message
    assert message.endswith("00000.parquet has 16")


def test_tables_that_went_through_the_heads_do_not_go_again(write_embeddings, tmp_path):
    folder = write_embeddings(n=60)
    heads = saved(tmp_path / "heads", strange(dims=16))
    made_by(folder / "00000.parquet", {**MODEL, "heads": load_heads(heads, CPU).weight_hash})
    message, fix = refused(lambda: evaluated(folder, heads))
    assert "has been through the heads in" in message
    assert fix == "leave out --model"


@pytest.mark.parametrize("model", ["ViT-B-32", "nowhere", "towers", "half"])
def test_a_model_that_is_no_heads_is_refused_where_embeddings_are_read(write_embeddings, tmp_path, monkeypatch, model):
    folder = write_embeddings(n=60)
    monkeypatch.chdir(tmp_path)
    for name, file in (("towers", "open_clip_config.json"), ("half", "heads.json")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("{}")
    for run in (lambda: scored(folder, tmp_path / "s", model), lambda: evaluated(folder, model)):
        message, fix = refused(run)
        assert model in message
        assert "`ncaudit train --tune heads` wrote" in fix
        assert ("`ncaudit embed`" in fix) == (model != "half")
    assert not (tmp_path / "s").exists()


# What is said


def test_tables_that_the_heads_were_trained_on_are_noted(write_embeddings, tmp_path):
    write_embeddings("a", n=60)
    folder = write_embeddings("b", n=60, seed=1)
    trained_on = {"elsewhere/a.parquet": fingerprint_of_file(str(folder / "a.parquet"))}
    heads = saved(tmp_path / "heads", strange(), tables=trained_on)
    others = saved(tmp_path / "others", strange(), tables={"a.parquet": "of other content"})
    result = scored(folder, tmp_path / "s", heads)
    assert result.notes[-1].startswith("the heads were trained on 1 of these 2 tables: mismatches that they have mem")
    assert evaluated(folder, heads).notes == result.notes[-1:]
    assert evaluated(folder, others).notes == ()
    assert not any("heads" in note for note in scored(folder, tmp_path / "s2", others).notes)
