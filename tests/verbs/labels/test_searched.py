"""Neighbours that are searched elsewhere are those searched here, to the last bit, and so is what rests on them."""

from contextlib import nullcontext

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.nn.functional import normalize

from ncaudit.core.neighbours import self_search
from ncaudit.core.neighbours.self_search import nearest_in_set
from ncaudit.shards.files.shard import Shard
from ncaudit.verbs.labels import labels as labels_module
from ncaudit.verbs.labels.searched import searching
from tests.verbs.labels.test_labels import labels, world, written
from tests.worlds.sites import Elsewhere

ROWS = 6_000


@pytest.fixture
def rows():
    draw = torch.Generator().manual_seed(0)
    centres = torch.randn(30, 16, generator=draw)
    spread = 0.3 * torch.randn(ROWS, 16, generator=draw)
    return normalize(centres[torch.randint(30, (ROWS,), generator=draw)] + spread, dim=1).half()


def test_every_round_finds_the_same_wherever_it_is_done(rows, monkeypatch):
    monkeypatch.setattr(self_search, "ROWS", 1_000)
    monkeypatch.setattr(self_search, "LEAST_ROWS", 500)
    photo, site = torch.arange(ROWS) // 2, Elsewhere()
    here = nearest_in_set(rows, 7, [photo], exact_up_to=100)
    there = nearest_in_set(rows, 7, [photo], exact_up_to=100, by=searching(site, Shard("/a", "a"), "cpu"))
    assert torch.equal(here.index, there.index)
    assert torch.equal(here.similarity, there.similarity)
    assert here.recall == there.recall
    assert sum(site.jobs) >= 6  # rounds that were done there


def test_classes_judged_elsewhere_are_the_bytes_of_those_judged_here(tmp_path, monkeypatch):
    columns, _ = world()
    columns["status"] = np.where(np.arange(len(columns["kind"])) % 50, "ok", "image_missing").tolist()
    folder = written(tmp_path / "in", {name: values[:200] for name, values in columns.items()}, "a")
    written(folder, {name: values[200:] for name, values in columns.items()}, "b")
    labels(folder, tmp_path / "here")
    site = Elsewhere()
    monkeypatch.setattr(labels_module, "site_of", lambda options, out: nullcontext(site))
    labels(folder, tmp_path / "there")
    names = ("a.parquet", "b.parquet", "audit.json")
    assert [(tmp_path / "there" / name).read_bytes() for name in names] == [
        (tmp_path / "here" / name).read_bytes() for name in names
    ]
    assert site.jobs == [2, 2, 2]  # classes, images, captions of both tables


def test_a_table_without_any_row_to_search_is_done_elsewhere_too(tmp_path, monkeypatch):
    columns, _ = world()
    folder = written(tmp_path / "in", columns, "a")
    table = pq.read_table(folder / "a.parquet").slice(0, 3)
    for name in ("image_embedding", "text_embedding"):
        place = table.schema.names.index(name)
        table = table.set_column(place, name, pa.nulls(3, pa.list_(pa.float16())))
    status = pa.array(["image_missing"] * 3)
    names = table.schema.names
    table = table.set_column(names.index("status"), "status", status) if "status" in names else (
        table.append_column("status", status)
    )
    pq.write_table(table, folder / "b.parquet")
    monkeypatch.setattr(labels_module, "site_of", lambda options, out: nullcontext(Elsewhere()))
    labels(folder, tmp_path / "there")
    assert pq.read_table(tmp_path / "there" / "b.parquet")["status"].to_pylist() == ["image_missing"] * 3
