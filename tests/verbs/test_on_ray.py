"""What rests on all shards, found by a real Ray: the bytes of one process."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.nn.functional import normalize

from ncaudit.core.neighbours.self_search import nearest_in_set
from ncaudit.engines.jobs import ThisProcess
from ncaudit.engines.on_ray.chosen import site_of
from ncaudit.judging import fit_sample
from ncaudit.options import EngineKind, FilterOptions, LabelsOptions, ReportOptions, ScoreOptions
from ncaudit.progress import SILENT
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.tables.repeats import of_tables, spread
from ncaudit.verbs.filter.filter import filter_pairs
from ncaudit.verbs.labels.labels import labels
from ncaudit.verbs.labels.searched import searching
from ncaudit.verbs.report.report import report
from ncaudit.verbs.score.counted import count_repeats
from ncaudit.verbs.score.drawn import draw
from ncaudit.verbs.score.score import score
from tests.worlds.clusters import alone
from tests.worlds.embeddings import embedding_table
from tests.worlds.repeats import written_tables

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
RAY = {"engine": EngineKind.ray, "ray_address": "local", "actors": 2}
SHARDS = 6


@pytest.fixture(scope="module", autouse=True)
def _ray():
    with alone() as ray:
        yield ray


@pytest.fixture
def site(tmp_path):
    options = LabelsOptions(embeddings=["e"], out=str(tmp_path), label_column="kind", **RAY)
    with site_of(options, str(tmp_path)) as found:
        yield found


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    for number in range(SHARDS):
        table = embedding_table(120, seed=number)
        kind = pa.array([("ant", "bee")[row % 2] for row in range(len(table))])
        pq.write_table(table.append_column("kind", kind), folder / f"{number:05}.parquet")
    return folder


def as_here(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def of_tables_alone(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in as_here(folder).items() if name.endswith(".parquet") or name == "audit.json"}


def test_one_site_does_job_after_job_and_all_bytes_are_those_of_one_process(site, tmp_path, monkeypatch):
    """A sample, counts in several blocks and parts, and a search: three kinds of jobs by the same processes."""
    given = written_tables(tmp_path / "e", 12)
    monkeypatch.setattr(of_tables, "BLOCK_ROWS", 200)
    monkeypatch.setattr(spread, "ROWS_PER_PART", 200)
    monkeypatch.setattr(fit_sample, "FEW", 20)
    ours, plain = (draw(at, given, pairs=80, seed=1, progress=SILENT) for at in (site, ThisProcess()))
    assert list(ours.pairs.pair_id) == list(plain.pairs.pair_id)
    assert torch.equal(ours.pairs.image, plain.pairs.image)
    kept = [str(tmp_path / name / "repeats.bin") for name in ("there", "here")]
    for at, path in zip((site, ThisProcess()), kept, strict=True):
        count_repeats(at, given, "these", str(Path(path).parent), path, SILENT)
    assert Path(kept[0]).read_bytes() == Path(kept[1]).read_bytes()
    rows = normalize(torch.from_numpy(np.random.default_rng(0).normal(size=(5_000, 16))), dim=1).half()
    here = nearest_in_set(rows, 5, exact_up_to=100)
    there = nearest_in_set(rows, 5, exact_up_to=100, by=searching(site, Shard("/a", "a"), "cpu"))
    assert torch.equal(here.index, there.index)
    assert torch.equal(here.similarity, there.similarity)


def test_scores_and_their_fit_are_those_of_one_process(tables, tmp_path):
    asked = {"embeddings": [str(tables)], "scorer": "bicro", "device": "cpu", "check": False, "suggest": True}
    here = score(ScoreOptions(out=str(tmp_path / "here"), **asked))
    there = score(ScoreOptions(out=str(tmp_path / "there"), **asked, **RAY))
    assert of_tables_alone(tmp_path / "there") == of_tables_alone(tmp_path / "here")
    for name in ("fit.json", "fit.safetensors"):
        assert (tmp_path / "there/_fit" / name).read_bytes() == (tmp_path / "here/_fit" / name).read_bytes()
    assert (there.fit_id, there.noise_rate, there.notes) == (here.fit_id, here.noise_rate, here.notes)
    assert sorted(os.listdir(tmp_path / "there/_fit")) == ["fit.json", "fit.safetensors", "repeats.bin"]
    for number, rule in enumerate(({"keep_share": 0.3, "keep_share_by": "shard"}, {"kept_precision": 0.9})):
        kept_here, kept_there = (tmp_path / f"{place}-{number}" for place in ("kept-here", "kept-there"))
        chosen = {"scores": [str(tmp_path / "here")], **rule}
        kept = filter_pairs(FilterOptions(out=str(kept_here), **chosen)).kept
        assert filter_pairs(FilterOptions(out=str(kept_there), **chosen, **RAY)).kept == kept > 0
        assert of_tables_alone(kept_there) == of_tables_alone(kept_here)


@pytest.mark.parametrize("strata", [True, False])
def test_scores_after_verdicts_are_those_of_one_process(tables, tmp_path, strata):
    """With strata the tables of judged pairs are scored; without them all rows are, and laid aside meanwhile."""
    rows = [(f"{number}/{row}", row > 30, row // 60, 360) for number in range(SHARDS) for row in range(5, 120, 9)]
    names = ["pair_id", "is_match", "stratum", "stratum_rows"]
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    pq.write_table(pa.table(columns).select(names if strata else names[:2]), tmp_path / "v.parquet")
    asked = {"embeddings": [str(tables)], "device": "cpu", "check": False, "verdicts": str(tmp_path / "v.parquet")}
    here = score(ScoreOptions(out=str(tmp_path / "here"), **asked))
    there = score(ScoreOptions(out=str(tmp_path / "there"), **asked, **RAY))
    assert of_tables_alone(tmp_path / "there") == of_tables_alone(tmp_path / "here")
    assert (there.fit_facts, there.judged_pairs) == (here.fit_facts, len(rows))
    assert sorted(os.listdir(tmp_path / "there/_fit")) == ["fit.json", "fit.safetensors", "repeats.bin"]


def test_judged_classes_are_those_of_one_process(tables, tmp_path):
    asked = {"embeddings": [str(tables)], "label_column": "kind", "device": "cpu"}
    labels(LabelsOptions(out=str(tmp_path / "here"), **asked))
    labels(LabelsOptions(out=str(tmp_path / "there"), **asked, **RAY))
    assert of_tables_alone(tmp_path / "there") == of_tables_alone(tmp_path / "here")
    assert len(of_tables_alone(tmp_path / "here")) == SHARDS + 1


def test_the_report_is_that_of_one_process(tables, tmp_path):
    score(ScoreOptions(embeddings=[str(tables)], out=str(tmp_path / "scores"), device="cpu"))
    pages = []
    for engine in ({}, {**RAY, "actors": 1}, RAY):
        told = report(ReportOptions(scores=[str(tmp_path / "scores")], out=str(tmp_path / "page.html"), **engine))
        pages.append(((tmp_path / "page.html").read_bytes(), told))
    assert pages[0] == pages[1] == pages[2]
    assert pages[0][1].judge_pairs == 200
