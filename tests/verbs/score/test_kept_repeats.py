import numpy as np
import pytest

from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.tables.embeddings import open_embeddings
from ncaudit.shards.tables.repeats import count_pairs
from ncaudit.verbs.score import kept_repeats as kept

PHOTO, CAPTION = np.array([7, 7, 8, 9, 7]), np.array([1, 1, 1, 2, 3])


@pytest.fixture
def tables(write_embeddings):
    return [open_embeddings(shard) for shard in find_shards([str(write_embeddings(n=5))])]


def counted(repeats):
    """image_count, caption_count, images_of_caption, pair_count of the rows above."""
    both = (repeats.image_count(PHOTO), repeats.caption_count(CAPTION), repeats.images_of_caption(CAPTION))
    return [one.tolist() for one in (*both, repeats.pair_count(PHOTO, CAPTION))]


@pytest.mark.parametrize("held", [kept.HELD_BYTES, 0])
def test_counts_come_back_as_they_were_read_or_mapped(tables, tmp_path, monkeypatch, held):
    monkeypatch.setattr(kept, "HELD_BYTES", held)
    path = str(tmp_path / kept.REPEATS)
    kept.keep_repeats(path, count_pairs([(PHOTO, CAPTION)]), tables)
    found = kept.kept_repeats(path, tables)
    assert counted(found) == [[3, 3, 1, 1, 3], [3, 3, 3, 1, 1], [2, 2, 2, 1, 1], [2, 2, 1, 1, 1]]


@pytest.mark.parametrize("damage", [b"", b"{}", b"x" * 5000])
def test_what_is_no_count_is_none(tables, tmp_path, damage):
    path = tmp_path / kept.REPEATS
    path.write_bytes(damage)
    assert kept.kept_repeats(str(path), tables) is None


@pytest.mark.parametrize("held", [kept.HELD_BYTES, 0])
def test_a_file_that_was_cut_is_none(tables, tmp_path, monkeypatch, held):
    monkeypatch.setattr(kept, "HELD_BYTES", held)
    path = tmp_path / kept.REPEATS
    kept.keep_repeats(str(path), count_pairs([(PHOTO, CAPTION)]), tables)
    path.write_bytes(path.read_bytes()[:-8])
    assert kept.kept_repeats(str(path), tables) is None


def test_counts_of_other_tables_are_none(tables, tmp_path, write_embeddings):
    path = str(tmp_path / kept.REPEATS)
    kept.keep_repeats(path, count_pairs([(PHOTO, CAPTION)]), tables)
    other = open_embeddings(Shard.of_file(f"{write_embeddings('1', n=6)}/1.parquet"))
    assert kept.kept_repeats(path, [*tables, other]) is None
