"""Verdicts that are heard elsewhere, table by table: the judged pairs, their scores and strata of one process."""

import os
from contextlib import nullcontext

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ncaudit
from ncaudit import SampleOptions, ScoreOptions
from ncaudit.core.statistics.stratified_sample import score_edges
from ncaudit.engines.jobs import ThisProcess
from ncaudit.errors import BadTable
from ncaudit.progress import SILENT
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.tables.embeddings import open_embeddings
from ncaudit.verbs.score import score as score_module
from ncaudit.verbs.score.judged import aside, scored_rows
from ncaudit.verbs.score.judged.heard import Heard
from ncaudit.verbs.score.judged.judged_scores import read_judges
from tests.worlds.embeddings import embedding_table
from tests.worlds.sites import Elsewhere

SHARDS, ROWS = 5, 90
FIT = {"scorer": "clip-score", "check": False}


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Embeddings of some shards, and two reviews: one of drawn pairs, with their strata, one of any pairs."""
    folder = tmp_path_factory.mktemp("heard")
    (folder / "e").mkdir()
    for number in range(SHARDS):
        pq.write_table(embedding_table(ROWS, seed=number), folder / f"e/{number}.parquet")
    ncaudit.score(ScoreOptions(embeddings=[str(folder / "e")], out=str(folder / "blind"), **FIT))
    ncaudit.sample(SampleOptions(scores=[str(folder / "blind")], out=str(folder / "drawn.parquet"), n=40))
    review = pq.read_table(folder / "drawn.parquet").to_pandas()
    review["is_match"] = np.arange(len(review)) % 4 > 0
    review.to_csv(folder / "drawn.csv", index=False)
    review[["pair_id", "is_match", "shard", "row"]].to_csv(folder / "any.csv", index=False)
    return folder


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def scored(given, out, review, monkeypatch, site=None):
    asked = {"embeddings": [str(given / "e")], "verdicts": str(given / review), **FIT}
    with monkeypatch.context() as patch:
        if site is not None:
            patch.setattr(score_module, "site_of", lambda options, place: nullcontext(site))
        return ncaudit.score(ScoreOptions(out=str(out), **asked))


@pytest.mark.parametrize("review", ["drawn.csv", "any.csv"])
def test_scores_after_verdicts_are_those_of_one_process(given, tmp_path, monkeypatch, review):
    here = scored(given, tmp_path / "here", review, monkeypatch)
    there = scored(given, tmp_path / "there", review, monkeypatch, Elsewhere())
    assert there.fit_facts == here.fit_facts
    assert (there.judged_pairs, there.noise_rate) == (40, here.noise_rate)
    ours, plain = files(tmp_path / "there"), files(tmp_path / "here")
    assert [name for name in ours if "judging" in name] == []
    for name, data in plain.items():
        assert ours[name] == data or "ncaudit.json" in name, name


def tables_of(given):
    return [open_embeddings(shard) for shard in find_shards([str(given / "e")])]


def saved_fit(given):
    return ncaudit.judging.saved_fits.load_fit(str(given / "blind/_fit"))


def whole_scores(given):
    """As the score tables have them, of all rows that have one."""
    return np.concatenate([t["score"].drop_null().to_numpy() for t in map(pq.read_table, score_tables(given))])


def score_tables(given):
    return sorted((given / "blind").glob("*.parquet"))


@pytest.mark.parametrize("site", [ThisProcess(), Elsewhere()], ids=["here", "there"])
def test_strata_of_pairs_that_were_not_drawn_are_those_of_all_rows(given, tmp_path, site):
    tables, saved = tables_of(given), saved_fit(given)
    judges = read_judges([str(given / "any.csv")], 1 << 26)
    heard = Heard.of(site, judges, tables, SILENT)
    with aside.laid_aside(str(tmp_path / "aside"), "these") as place:
        scored_rows.scored(site, saved.fit, "cpu", [judges[0].pairs], tables, heard.numbers, place, SILENT)
        told = aside.edges(site, place, tables)
    plain = score_edges(whole_scores(given).astype(np.float32).astype(np.float64))
    assert [one.tolist() for one in told] == [one.tolist() for one in plain]
    assert not (tmp_path / "aside").exists()


def only(given, tmp_path, tables):
    """The drawn review without the verdicts on all but some tables."""
    review = pq.read_table(given / "drawn.parquet").to_pandas()
    mine = review["shard"].isin(tables)
    review["is_match"] = np.where(mine, "yes", "")
    review.to_csv(tmp_path / "some.csv", index=False)
    return str(tmp_path / "some.csv"), int(mine.sum())


def test_of_drawn_pairs_only_the_tables_that_have_them_are_scored_and_of_these_only_their_batches(
    given, tmp_path, monkeypatch
):
    path, pairs = only(given, tmp_path, ["1.parquet", "3.parquet"])
    counted = []
    scores = scored_rows._Scoring._scores

    def counting(self, batch):
        counted.append(len(batch))
        return scores(self, batch)

    monkeypatch.setattr(scored_rows._Scoring, "_scores", counting)
    site, tables = Elsewhere(), tables_of(given)
    heard = Heard.of(site, read_judges([path], 1 << 26), tables, SILENT)
    assert heard.numbers == [1, 3]
    found = heard.scored(site, saved_fit(given), "cpu", str(tmp_path / "aside"), SILENT)
    assert len(found.score) == pairs
    assert site.jobs == [SHARDS, 2]
    assert counted == [ROWS, ROWS]


def test_a_batch_that_nobody_speaks_of_is_not_scored(given, tmp_path, monkeypatch):
    embeddings = open_embeddings.__globals__["EmbeddingTable"]
    whole = embeddings.batches
    monkeypatch.setattr(embeddings, "batches", lambda self, rows=10: whole(self, rows))
    (tmp_path / "v.csv").write_text("pair_id,is_match,stratum,stratum_rows\n0/5,yes,0,450\n0/17,no,0,450\n")
    calls = []
    scores = scored_rows._Scoring._scores
    monkeypatch.setattr(scored_rows._Scoring, "_scores", lambda self, b: calls.append(b.row[0]) or scores(self, b))
    heard = Heard.of(ThisProcess(), read_judges([str(tmp_path / "v.csv")], 1 << 26), tables_of(given), SILENT)
    found = heard.scored(ThisProcess(), saved_fit(given), "cpu", None, SILENT)
    assert found.mismatched.tolist() == [False, True]
    assert calls == [0, 10]


def test_what_a_killed_run_has_laid_aside_is_not_scored_again(given, tmp_path, monkeypatch):
    tables, saved, folder = tables_of(given), saved_fit(given), str(tmp_path / "aside")
    heard = Heard.of(Elsewhere(), read_judges([str(given / "any.csv")], 1 << 26), tables, SILENT)
    plain = heard.scored(Elsewhere(), saved, "cpu", folder, SILENT)
    written, write = [], aside.Aside.write

    def writing(self, table, scores):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(table)
        write(self, table, scores)

    monkeypatch.setattr(aside.Aside, "write", writing)
    with pytest.raises(KeyboardInterrupt):
        heard.scored(Elsewhere(), saved, "cpu", folder, SILENT)
    assert len(os.listdir(folder)) == 3
    again = []
    monkeypatch.setattr(aside.Aside, "write", lambda self, t, s: again.append(t) or write(self, t, s))
    found = heard.scored(Elsewhere(), saved, "cpu", folder, SILENT)
    assert sorted([*written, *again]) == list(range(SHARDS))
    assert (found.weight.tolist(), found.rate) == (plain.weight.tolist(), plain.rate)
    assert not os.path.exists(folder)


def test_what_comes_here_does_not_grow_with_the_rows(given, tmp_path):
    sizes = []
    for rows in (50, 2_000):
        folder = tmp_path / str(rows)
        (folder / "e").mkdir(parents=True)
        for number in range(3):
            pq.write_table(embedding_table(rows, seed=number), folder / f"e/{number}.parquet")
        (folder / "v.csv").write_text("pair_id,is_match\n0/1,yes\n1/7,no\n")
        site = Weighed()
        heard = Heard.of(site, read_judges([str(folder / "v.csv")], 1 << 26), tables_of(folder), SILENT)
        heard.scored(site, saved_fit(given), "cpu", str(folder / "aside"), SILENT)
        sizes.append(site.most_rows)
    assert sizes[0] == sizes[1] == 1


class Weighed(Elsewhere):
    """Tells the most rows of a table that any task has told of."""

    most_rows = 0

    def engine(self, job):
        site, inner = self, super().engine(job)

        class Looked:
            def each(self, tasks, progress):
                for task, outcome in inner.each(tasks, progress):
                    rows = getattr(outcome.more, "rows", ())
                    told = [len(part.place) for parts in rows for part in parts] if isinstance(rows, list) else []
                    site.most_rows = max(site.most_rows, sum(told))
                    yield task, outcome

        return Looked()


def test_a_pair_of_no_table_is_told_before_anything_is_fitted_elsewhere_too(given, tmp_path, monkeypatch):
    (tmp_path / "v.csv").write_text("pair_id,is_match\n0/1,yes\nelsewhere/7,no\n")
    monkeypatch.setattr("ncaudit.verbs.score.parts.the_fit", lambda *_: pytest.fail("a fit is made"))
    with pytest.raises(BadTable, match=r"1 of 2 judged pairs .*first: elsewhere/7; the first one here is 0/0"):
        scored(given, tmp_path / "out", str(tmp_path / "v.csv"), monkeypatch, Elsewhere())
    assert not (tmp_path / "out").exists()


def test_a_name_of_all_rows_sends_two_of_each_table(given, tmp_path):
    folder = tmp_path / "alike"
    (folder / "e").mkdir(parents=True)
    for number in range(3):
        table = embedding_table(ROWS, seed=number)
        names = pa.array(["photo"] * ROWS)
        pq.write_table(
            table.set_column(table.column_names.index("pair_id"), "pair_id", names), folder / f"e/{number}.parquet"
        )
    (folder / "v.csv").write_text("pair_id,is_match\nphoto,yes\n")
    site = Weighed()
    with pytest.raises(BadTable, match=r"pair_id photo names several rows, row 0 of .* and row 1"):
        Heard.of(site, read_judges([str(folder / "v.csv")], 1 << 26), tables_of(folder), SILENT)
    assert site.most_rows == 2
