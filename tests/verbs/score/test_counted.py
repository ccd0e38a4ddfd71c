"""Repeats counted elsewhere, in blocks and parts: the same as in memory, and no part of the work holds all rows."""

import numpy as np
import pytest

from ncaudit.engines.jobs import ThisProcess
from ncaudit.errors import BadTable
from ncaudit.progress import SILENT, Silent
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.tables.embeddings import open_embeddings
from ncaudit.shards.tables.repeats import kept, of_tables, spread
from ncaudit.verbs.score import counted
from ncaudit.verbs.score.counted import count_repeats, shared_names
from tests.worlds.repeats import written_tables
from tests.worlds.sites import Elsewhere

HERE = ThisProcess()


@pytest.fixture
def small(monkeypatch):
    """Blocks and parts of some hundred rows, and no table small enough to be counted at once."""
    monkeypatch.setattr(of_tables, "BLOCK_ROWS", 200)
    monkeypatch.setattr(spread, "ROWS_PER_PART", 200)
    monkeypatch.setattr(counted, "IN_MEMORY_ROWS", 0)


def opened(folder):
    return [open_embeddings(shard) for shard in find_shards([str(folder)])]


def fitted(tmp_path):
    return str(tmp_path / "_fit"), str(tmp_path / "_fit/repeats.bin")


def test_counts_from_elsewhere_and_from_here_are_one_file(tmp_path, monkeypatch):
    tables = written_tables(tmp_path / "e", 12)
    folder, path = fitted(tmp_path)
    count_repeats(HERE, tables, "these", folder, path, SILENT)  # in memory
    plain = (tmp_path / "_fit/repeats.bin").read_bytes()
    for site in (HERE, Elsewhere()):
        with monkeypatch.context() as patch:
            patch.setattr(of_tables, "BLOCK_ROWS", 200)
            patch.setattr(spread, "ROWS_PER_PART", 200)
            patch.setattr(counted, "IN_MEMORY_ROWS", 0)
            count_repeats(site, tables, "these", folder, path, SILENT)
        assert (tmp_path / "_fit/repeats.bin").read_bytes() == plain
        assert [one.name for one in (tmp_path / "_fit").iterdir()] == ["repeats.bin"]


def test_counts_that_are_not_kept_are_the_same(tmp_path, small):
    tables = written_tables(tmp_path / "e", 12)
    image, caption = (np.concatenate(both) for both in zip(*of_tables.contents(tables, SILENT), strict=True))
    mapped = count_repeats(HERE, tables, "these", None, None, SILENT)
    assert isinstance(mapped.images.ids, np.memmap)
    plain = counted.count_pairs([(image, caption)])
    assert mapped.pair_count(image, caption).tolist() == plain.pair_count(image, caption).tolist()
    assert mapped.image_count(image).max() > 1


@pytest.mark.parametrize("shards", [12, 96])
def test_nobody_holds_more_than_a_block_or_a_part(tmp_path, small, monkeypatch, shards):
    held = {"read": 0, "write": 0, "array": 0}
    count, write, read = of_tables.count_part, spread.Spread.write, of_tables.read_array

    def counting(by_image, by_caption):
        held["read"] = max(held["read"], len(by_image) + len(by_caption))
        return count(by_image, by_caption)

    def writing(self, block, by_kind):
        held["write"] = max(held["write"], sum(len(rows) for rows in by_kind))
        write(self, block, by_kind)

    def reading(path, start, length):
        held["array"] = max(held["array"], length)
        return read(path, start, length)

    monkeypatch.setattr(of_tables, "count_part", counting)
    monkeypatch.setattr(spread.Spread, "write", writing)
    monkeypatch.setattr(of_tables, "read_array", reading)
    tables = written_tables(tmp_path / "e", shards)
    count_repeats(ThisProcess(), tables, "these", *fitted(tmp_path), SILENT)
    assert held["write"] <= 2 * 200
    assert held["read"] <= 3 * 2 * 200  # photos fall into parts by chance
    assert held["array"] <= 200


def test_what_a_killed_run_had_written_is_not_written_again(tmp_path, small, monkeypatch):
    tables, (folder, path) = written_tables(tmp_path / "e", 12), fitted(tmp_path)
    looked = []
    contents = of_tables.contents
    monkeypatch.setattr(of_tables, "contents", lambda tables, progress: looked.append(1) or contents(tables, progress))

    def stopped(*_):
        raise BadTable("killed", fix="none")

    with monkeypatch.context() as patch:
        patch.setattr(counted, "put_together", stopped)
        with pytest.raises(BadTable):
            count_repeats(Elsewhere(), tables, "these", folder, path, SILENT)
    assert len(looked) > 1
    before = len(looked)
    count_repeats(Elsewhere(), tables, "these", folder, path, SILENT)
    assert len(looked) == before
    assert kept.kept_repeats(path, "these") is not None


def test_progress_accounts_for_every_row(tmp_path, small):
    told = []
    listener = type("Listener", (Silent,), {"advance": lambda self, done, failed=0: told.append((done, failed))})()
    tables = written_tables(tmp_path / "e", 12)
    count_repeats(Elsewhere(), tables, "these", *fitted(tmp_path), listener)
    assert sum(done for done, _ in told) == sum(table.rows for table in tables)
    assert sum(failed for _, failed in told) == 12 * 2


def test_names_that_are_shared_are_found_elsewhere_as_here(tmp_path, small):
    tables = written_tables(tmp_path / "e", 12, named=lambda shard, row: f"{(shard * 50 + row) % 570}")
    told = [shared_names(site, tables, "these", str(tmp_path / "_fit"), SILENT) for site in (HERE, Elsewhere())]
    assert told[0] == told[1]
    assert (told[0].rows, told[0].name(tables)) == (60, "0")
    assert not (tmp_path / "_fit").exists() or not any((tmp_path / "_fit").iterdir())
