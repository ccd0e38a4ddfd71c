"""`score`: exact accounts, one fit for all shards, resume, and refusals that name the file and the fix."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

import ncaudit
from ncaudit import NcauditError, ScoreOptions
from ncaudit.judging import choice
from ncaudit.schema import SCORE
from ncaudit.verbs.score.score import ScoreResult
from tests.worlds import processes
from tests.worlds.embeddings import embedding_table, lists


def score(embeddings: Path, out: Path | str, **options: object) -> ScoreResult:
    """Without the power check, which tests/judging asks, where a test does not ask for it."""
    given = {"check": False, **options}
    return ncaudit.score(ScoreOptions(embeddings=[str(embeddings)], out=str(out), **given))


def read(path: Path) -> pa.Table:
    return pq.read_table(path)


def provenance(path: Path) -> dict[str, Any]:
    return json.loads(pq.read_schema(path).metadata[b"ncaudit"])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_every_row_comes_out_once_in_order_with_its_status(write_embeddings, tmp_path):
    embeddings = write_embeddings(n=200, failed=7)
    result = score(embeddings, tmp_path / "s", check=True)
    table = read(tmp_path / "s/00000.parquet")
    assert table["pair_id"].to_pylist() == [f"0/{i}" for i in range(200)]
    assert table["soft_label"].null_count == 7
    assert table["status"].to_pylist()[-7:] == ["image_undecodable"] * 7
    accounts = result.accounting
    assert (accounts.rows, accounts.ok, accounts.failed) == (200, 193, 7)


def test_the_schema_is_the_contract_and_the_users_columns_follow(write_embeddings, tmp_path):
    score(write_embeddings(), tmp_path / "s")
    schema = pq.read_schema(tmp_path / "s/00000.parquet")
    assert schema.names == [*SCORE.names, "caption", "is_match"]
    assert [schema.field(name).type for name in SCORE.names] == [field.type for field in SCORE]


def test_mismatched_pairs_get_lower_labels(write_embeddings, tmp_path):
    score(write_embeddings(n=400), tmp_path / "s")
    table = read(tmp_path / "s/00000.parquet")
    label, match = table["soft_label"].to_numpy(), table["is_match"].to_numpy(zero_copy_only=False)
    assert label[match].mean() > label[~match].mean() + 0.5
    assert ((label >= 0) & (label <= 1)).all()


@pytest.mark.parametrize("variant", ["robust", "paper", "released"])
def test_every_number_names_the_other_pairs_that_it_rests_on(variant, write_embeddings, tmp_path):
    score(write_embeddings(), tmp_path / "s", variant=variant)
    rows = read(tmp_path / "s/00000.parquet").to_pylist()
    assert {row[side] for row in rows for side in ("image_anchor", "text_anchor")} <= {row["pair_id"] for row in rows}
    assert all(row["image_anchor"] != row["pair_id"] != row["text_anchor"] for row in rows)


def test_the_papers_anchors_are_all_marked(write_embeddings, tmp_path):
    score(write_embeddings(), tmp_path / "s", variant="paper")
    rows = read(tmp_path / "s/00000.parquet").to_pylist()
    anchors = {row["pair_id"] for row in rows if row["is_anchor"]}
    assert {row[side] for row in rows for side in ("image_anchor", "text_anchor")} <= anchors


@pytest.mark.parametrize("scorer", ["bicro", "clip-score", "csls"])
def test_too_few_pairs_get_scores_but_no_label_and_that_is_said(scorer, write_embeddings, tmp_path):
    result = score(write_embeddings(n=49), tmp_path / "s", scorer=scorer, check=True)
    table = read(tmp_path / "s/00000.parquet")
    assert table["soft_label"].null_count == table["verdict"].null_count == 49
    assert table["score"].null_count == 0
    assert (result.noise_rate, result.mean_soft_label, dict(result.verdicts)) == (None, None, {})
    assert "no soft label: fewer pairs" in result.label_means
    assert "no soft label" in provenance(tmp_path / "s/00000.parquet")["label_means"]


@pytest.mark.parametrize("scorer", ["bicro", "clip-score", "csls"])
def test_fifty_pairs_are_enough_for_labels(scorer, write_embeddings, tmp_path):
    score(write_embeddings(n=50), tmp_path / "s", scorer=scorer)
    table = read(tmp_path / "s/00000.parquet")
    assert table["soft_label"].null_count == table["verdict"].null_count == 0


def test_outputs_mirror_the_inputs_paths(write_embeddings, tmp_path):
    write_embeddings("A/00000", seed=1)
    score(write_embeddings("B/00000", seed=2), tmp_path / "s")
    assert read(tmp_path / "s/A/00000.parquet")["pair_id"][0].as_py() == "1/0"
    assert read(tmp_path / "s/B/00000.parquet")["pair_id"][0].as_py() == "2/0"


def test_a_rerun_redoes_nothing_and_changes_no_byte(write_embeddings, tmp_path):
    embeddings = write_embeddings(failed=3)
    first = score(embeddings, tmp_path / "s")
    before = contents(tmp_path / "s")
    again = score(embeddings, tmp_path / "s")
    assert contents(tmp_path / "s") == before
    assert (again.accounting.shards_resumed, again.accounting.statuses) == (1, first.accounting.statuses)
    assert again.mean_soft_label == pytest.approx(first.mean_soft_label)


def test_new_shards_are_scored_with_the_saved_fit(write_embeddings, tmp_path):
    first = score(write_embeddings("a", seed=1), tmp_path / "s")
    before = (tmp_path / "s/a.parquet").read_bytes()
    second = score(write_embeddings("b", seed=2), tmp_path / "s")
    assert second.fit_id == first.fit_id
    assert second.accounting.shards_resumed == 1
    assert (tmp_path / "s/a.parquet").read_bytes() == before


def test_refit_redoes_all(write_embeddings, tmp_path):
    first = score(write_embeddings("a", seed=1), tmp_path / "s")
    second = score(write_embeddings("b", seed=2), tmp_path / "s", refit=True)
    assert second.fit_id != first.fit_id
    assert second.accounting.shards_resumed == 0


def test_a_changed_shard_is_fitted_and_scored_again(write_embeddings, tmp_path):
    first = score(write_embeddings(seed=1), tmp_path / "s")
    second = score(write_embeddings(seed=2), tmp_path / "s")
    assert second.fit_id != first.fit_id
    assert read(tmp_path / "s/00000.parquet")["pair_id"][0].as_py() == "2/0"


def test_other_options_in_the_same_folder_redo_all(write_embeddings, tmp_path):
    embeddings = write_embeddings()
    score(embeddings, tmp_path / "s")
    assert score(embeddings, tmp_path / "s", k=5).accounting.shards_resumed == 0


def test_one_more_shard_does_not_change_a_rows_scores_under_one_fit(write_embeddings, tmp_path):
    embeddings = write_embeddings("a", seed=1)
    alone = score(embeddings, tmp_path / "alone", save_fit=str(tmp_path / "fit"))
    write_embeddings("b", seed=2)
    both = score(embeddings, tmp_path / "both", fit=str(tmp_path / "fit"))
    one, other = (read(tmp_path / f"{name}/a.parquet") for name in ("alone", "both"))
    assert one.equals(other)
    seen, later = both.rates
    assert (seen["seen_by_fit"], later["seen_by_fit"]) == (True, False)
    assert seen["noise_rate"] == later["rate_of_fit"] == alone.noise_rate


def test_the_scorer_that_auto_chose_is_told_and_kept_by_a_rerun(write_embeddings, tmp_path, monkeypatch):
    monkeypatch.setattr(choice, "compared", lambda *_: {"csls": 0.9, "bicro": 0.8})
    embeddings = write_embeddings()
    found = score(embeddings, tmp_path / "s", scorer="auto", save_fit=str(tmp_path / "fit"), check=False)
    assert found.scorer == "csls"
    assert found.fit_facts["compared"] == {"csls": 0.9, "bicro": 0.8}
    monkeypatch.setattr(choice, "compared", None)  # a rerun does not compare again, nor does a fit that was saved
    assert score(embeddings, tmp_path / "s", scorer="auto", check=False).accounting.shards_resumed == 1
    again = score(embeddings, tmp_path / "t", scorer="auto", fit=str(tmp_path / "fit"), check=False)
    assert again.scorer == "csls"


def test_a_fit_that_was_given_labels_by_the_sources_that_it_was_made_with(tmp_path):
    (tmp_path / "emb").mkdir()
    clean, noisy = embedding_table(300, noise=0.05, seed=1), embedding_table(300, noise=0.7, seed=2)
    table = pa.concat_tables([clean, noisy.set_column(0, "pair_id", [[f"n{i}" for i in range(300)]])])
    table = table.append_column("site", pa.array(["a"] * 300 + ["b"] * 300))
    pq.write_table(table, tmp_path / "emb/0.parquet")
    usual = {"scorer": "csls", "check": False}
    score(tmp_path / "emb", tmp_path / "s", stratify="site", **usual)
    score(tmp_path / "emb", tmp_path / "plain", stratify="none", **usual)
    score(tmp_path / "emb", tmp_path / "again", fit=str(tmp_path / "s/_fit"), **usual)
    first, plain, again = (read(tmp_path / f"{name}/0.parquet")["soft_label"] for name in ("s", "plain", "again"))
    assert again.equals(first)
    assert not plain.equals(first)
    pq.write_table(table.drop_columns("site"), tmp_path / "emb/0.parquet")  # now rows that the fit never saw
    assert score(tmp_path / "emb", tmp_path / "new", fit=str(tmp_path / "s/_fit"), **usual).accounting.ok == 600


def test_a_fit_of_another_scorer_is_refused(write_embeddings, tmp_path):
    embeddings = write_embeddings()
    score(embeddings, tmp_path / "s", save_fit=str(tmp_path / "fit"))
    with pytest.raises(NcauditError, match="is for --scorer bicro, not csls"):
        score(embeddings, tmp_path / "t", scorer="csls", fit=str(tmp_path / "fit"))


def test_a_fit_that_is_not_there_is_told_as_that(write_embeddings, tmp_path):
    embeddings, empty = write_embeddings(), tmp_path / "empty"
    empty.mkdir()
    for folder, words in ((tmp_path / "nowhere", "nowhere does not exist"), (empty, "empty holds no fit")):
        with pytest.raises(NcauditError, match=words) as told:
            score(embeddings, tmp_path / "t", fit=str(folder))
        assert "Errno" not in told.value.message
        assert "--save-fit" in told.value.fix


def test_a_damaged_fit_is_refused(write_embeddings, tmp_path):
    embeddings = write_embeddings()
    score(embeddings, tmp_path / "s", save_fit=str(tmp_path / "fit"))
    (tmp_path / "fit/fit.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(NcauditError, match="holds no whole fit"):
        score(embeddings, tmp_path / "t", fit=str(tmp_path / "fit"))


def test_a_file_gets_all_shards_in_one_table(write_embeddings, tmp_path):
    write_embeddings("a", n=60, seed=1)
    score(write_embeddings("b", n=40, seed=2), tmp_path / "all.parquet")
    assert len(read(tmp_path / "all.parquet")) == 100


def test_tables_from_elsewhere_are_accepted(tmp_path):
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(100, 8)) * 7  # single precision, not unit, variable lists, no ids
    (tmp_path / "e").mkdir()
    table = pa.table(
        {"image_embedding": pa.array(rows.astype("f4").tolist()), "text_embedding": pa.array((rows + 0.5).tolist())}
    )
    pq.write_table(table, tmp_path / "e/other.parquet")
    score(tmp_path / "e", tmp_path / "s")
    scored = read(tmp_path / "s/other.parquet")
    assert scored["pair_id"].to_pylist()[:2] == ["other/0", "other/1"]
    assert scored["status"].unique().to_pylist() == ["ok"]


def test_a_nan_row_is_a_row_with_its_status(write_embeddings, tmp_path):
    embeddings = write_embeddings(n=100)
    table = read(embeddings / "00000.parquet")
    image = np.stack(table["image_embedding"].to_numpy(zero_copy_only=False)).astype(np.float16)
    image[5, 3] = np.nan
    column = lists(image)
    pq.write_table(table.set_column(4, "image_embedding", column), embeddings / "00000.parquet")
    result = score(embeddings, tmp_path / "s")
    assert read(tmp_path / "s/00000.parquet")["status"][5].as_py() == "embedding_invalid"
    assert result.accounting.statuses == {"ok": 99, "embedding_invalid": 1}


def in_another_basis(embeddings: Path) -> None:
    """The caption side as another encoder of the same width would give it."""
    table = read(embeddings / "00000.parquet")
    order = np.random.default_rng(0).permutation(16)
    text = np.stack(table["text_embedding"].to_numpy(zero_copy_only=False))[:, order]
    column = lists(text)
    pq.write_table(table.set_column(5, "text_embedding", column), embeddings / "00000.parquet")


@pytest.mark.parametrize("scorer", ["clip-score", "bicro"])
def test_a_cosine_that_tells_nothing_gives_no_rate_and_calls_nothing_noisy(scorer, write_embeddings, tmp_path):
    embeddings = write_embeddings(n=300)
    in_another_basis(embeddings)
    result = score(embeddings, tmp_path / "s", scorer=scorer, check=True)
    assert result.label_means.startswith("no soft label: the pairs score ")
    assert result.noise_rate is None
    assert not result.verdicts


def two_widths(folder: Path, n: int) -> Path:
    """Image and caption embeddings of different widths that see the same things; the first fifth is mismatched."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    seen = draw.normal(size=(n, 8))
    image, text = seen @ draw.normal(size=(8, 16)), seen @ draw.normal(size=(8, 12))
    text[: n // 5] = np.roll(text[: n // 5], 1, axis=0)
    table = pa.table({"image_embedding": pa.array(image.tolist()), "text_embedding": pa.array(text.tolist())})
    pq.write_table(table, folder / "a.parquet")
    return folder


def test_two_widths_are_refused_where_they_would_be_compared_and_the_fix_names_who_can(tmp_path):
    embeddings = two_widths(tmp_path / "e", 60)
    for scorer in ("clip-score", "csls"):
        with pytest.raises(NcauditError, match="16 dimensions and text_embedding 12") as told:
            score(embeddings, tmp_path / "s", scorer=scorer)
        assert "--scorer bicro" in told.value.fix
        assert "structure" in told.value.fix
    with pytest.raises(NcauditError, match=r"16 dimensions and text_embedding 12.*--align none"):
        score(embeddings, tmp_path / "s", align="none")
    with pytest.raises(NcauditError, match="too few to learn one"):
        score(embeddings, tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_bicro_learns_a_space_for_two_widths(tmp_path):
    result = score(two_widths(tmp_path / "e", 600), tmp_path / "s", check=False)
    table = read(tmp_path / "s/a.parquet")
    assert table["similarity"].null_count == 600
    label = table["soft_label"].to_numpy()
    assert label[120:].mean() > label[:120].mean() + 0.5
    assert result.noise_rate == pytest.approx(0.2, abs=0.08)
    assert result.mean_similarity is None


@pytest.mark.slow
def test_the_command_learns_a_space_for_two_widths_and_tells_the_noise_rate(tmp_path):
    embeddings = two_widths(tmp_path / "e", 600)
    ran = command("score", embeddings, "--out", tmp_path / "s", "--no-check", "--json")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert 0 <= told["noise_rate_low"] <= told["noise_rate"] <= told["noise_rate_high"] <= 1
    assert told["noise_rate"] == pytest.approx(0.2, abs=0.08)
    assert told["power"] == []
    assert sum(told["verdicts"].values()) == 600


@pytest.mark.parametrize("scorer", ["bicro", "clip-score", "csls"])
def test_identical_embeddings_are_refused_not_scored_alike(scorer, tmp_path):
    (tmp_path / "e").mkdir()
    same = pa.array([[1.0, 0.0]] * 50)
    pq.write_table(pa.table({"image_embedding": same, "text_embedding": same}), tmp_path / "e/a.parquet")
    with pytest.raises(NcauditError):
        score(tmp_path / "e", tmp_path / "s", scorer=scorer)
    assert not (tmp_path / "s").exists()


def test_an_empty_table_is_refused(write_embeddings, tmp_path):
    with pytest.raises(NcauditError, match="holds no rows"):
        score(write_embeddings(n=0), tmp_path / "s")


def test_an_empty_shard_among_others_gives_an_empty_table(write_embeddings, tmp_path):
    write_embeddings("a", n=0)
    score(write_embeddings("b"), tmp_path / "s")
    assert len(read(tmp_path / "s/a.parquet")) == 0


def test_scores_below_the_embeddings_are_not_read_as_embeddings(write_embeddings):
    embeddings = write_embeddings()
    score(embeddings, embeddings / "scores")
    assert score(embeddings, embeddings / "scores").accounting.shards == 1


def test_provenance_tells_the_fit_and_what_the_label_means(write_embeddings, tmp_path):
    result = score(write_embeddings(), tmp_path / "s", check=True)
    told = provenance(tmp_path / "s/00000.parquet")
    assert told["fit"] == result.fit_id
    assert "calibrated against random pairs" in told["label_means"]
    assert str(tmp_path) not in json.dumps(told)


def command(*words: object, **run: object) -> subprocess.CompletedProcess[bytes]:
    return processes.run([sys.executable, "-m", "ncaudit", *words], capture_output=True, check=False, **run)


@pytest.mark.slow
def test_standard_output_holds_the_rows_and_nothing_else(write_embeddings, tmp_path):
    embeddings = write_embeddings(n=120, failed=2)
    ran = command("score", embeddings, "--out", "-")
    assert ran.returncode == 0
    streamed = pa.ipc.open_stream(io.BytesIO(ran.stdout)).read_all()
    score(embeddings, tmp_path / "s.parquet", check=True)
    assert streamed.equals(read(tmp_path / "s.parquet"))
    assert b"120 rows = 118 ok + 2 failed" in ran.stderr
    lines = command("score", embeddings, "--out", "-", "--format", "jsonl").stdout.decode().splitlines()
    assert [json.loads(line)["pair_id"] for line in lines] == streamed["pair_id"].to_pylist()
    rows = command("score", embeddings, "--out", "-", "--format", "csv").stdout.decode().splitlines()
    assert len(rows) == 121


@pytest.mark.slow
def test_a_reader_that_stops_ends_the_command_quietly(write_embeddings):
    embeddings = write_embeddings(n=30_000)
    words = "--no-check --scorer clip-score --out - --format jsonl".split()
    line = [sys.executable, "-m", "ncaudit", "-q", "score", embeddings, *words]
    with processes.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert json.loads(running.stdout.readline())["status"] == "ok"
        running.stdout.close()
        assert (running.wait(), running.stderr.read()) == (141, b"")


@pytest.mark.slow
def test_json_is_one_object_and_errors_are_two_lines(write_embeddings, tmp_path):
    ran = command("score", write_embeddings(), "--out", tmp_path / "s", "--json")
    assert json.loads(ran.stdout)["accounting"]["rows"] == 200
    ran = command("score", tmp_path / "nowhere", "--out", tmp_path / "t")
    assert ran.returncode == 1
    first, second = ran.stderr.decode().splitlines()
    assert first.startswith("ncaudit: ")
    assert second.startswith("  fix: ")
    assert command("score", tmp_path, "--out", "-", "--json").returncode == 2


def dataset(folder: Path, table: pa.Table, **write: object) -> Path:
    folder.mkdir()
    pq.write_table(table, folder / "00000.parquet", **write)
    return folder


def user_table(n: int = 200) -> pa.Table:
    """What a user has: images, captions, a column named like one of ours, and metadata of their own."""
    table = pa.table(
        {
            "jpg": pa.array([b"\xff" * 100 for _ in range(n)]),
            "caption": pa.array([f"caption 0 {i}" if i % 9 else None for i in range(n)]),
            "similarity": pa.array([i / n for i in range(n)]),
        }
    )
    return table.replace_schema_metadata(
        {"huggingface": '{"info": {"features": {"jpg": {"_type": "Image"}}}}', "mine": "é"}
    )


def test_the_users_dataset_comes_back_whole_with_our_columns(write_embeddings, tmp_path):
    table = user_table()
    data = dataset(tmp_path / "data", table, row_group_size=64)
    embeddings = write_embeddings(failed=4)
    result = score(embeddings, tmp_path / "labelled", data=[str(data)])
    written = read(tmp_path / "labelled/00000.parquet")
    assert written.select(table.column_names).equals(table)
    assert written.schema.metadata[b"huggingface"] == table.schema.metadata[b"huggingface"]
    assert pq.ParquetFile(tmp_path / "labelled/00000.parquet").metadata.num_row_groups == 4
    score(embeddings, tmp_path / "s")
    labels = read(tmp_path / "s/00000.parquet")["soft_label"]
    assert written["ncaudit_soft_label"].to_pylist() == labels.to_pylist()
    assert (result.accounting.ok, result.accounting.failed) == (196, 4)
    assert score(embeddings, tmp_path / "labelled", data=[str(data)]).accounting.shards_resumed == 1


def test_a_dataset_of_other_rows_is_refused(write_embeddings, tmp_path):
    data = dataset(tmp_path / "data", user_table(150))
    with pytest.raises(NcauditError, match=r"150 rows and .* 200 pairs"):
        score(write_embeddings(), tmp_path / "out", data=[str(data)])
    assert not (tmp_path / "out").exists()


def test_the_dataset_is_never_written_over(write_embeddings, tmp_path):
    data = dataset(tmp_path / "data", user_table())
    with pytest.raises(NcauditError, match="is an input and would be written over"):
        score(write_embeddings(), data, data=[str(data)])
