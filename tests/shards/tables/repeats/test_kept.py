import numpy as np
import pytest

from ncaudit.shards.tables.repeats import kept
from ncaudit.shards.tables.repeats.counts import count_pairs

PHOTO, CAPTION = np.array([7, 7, 8, 9, 7]), np.array([1, 1, 1, 2, 3])


def counted(repeats):
    """image_count, caption_count, images_of_caption, pair_count of the rows above."""
    both = (repeats.image_count(PHOTO), repeats.caption_count(CAPTION), repeats.images_of_caption(CAPTION))
    return [one.tolist() for one in (*both, repeats.pair_count(PHOTO, CAPTION))]


@pytest.mark.parametrize("held", [kept.HELD_BYTES, 0])
def test_counts_come_back_as_they_were_read_or_mapped(tmp_path, monkeypatch, held):
    monkeypatch.setattr(kept, "HELD_BYTES", held)
    path = str(tmp_path / kept.REPEATS)
    kept.keep_repeats(path, count_pairs([(PHOTO, CAPTION)]), "these")
    found = kept.kept_repeats(path, "these")
    assert counted(found) == [[3, 3, 1, 1, 3], [3, 3, 3, 1, 1], [2, 2, 2, 1, 1], [2, 2, 1, 1, 1]]


@pytest.mark.parametrize("damage", [b"", b"{}", b"x" * 5000])
def test_what_is_no_count_is_none(tmp_path, damage):
    path = tmp_path / kept.REPEATS
    path.write_bytes(damage)
    assert kept.kept_repeats(str(path), "these") is None


@pytest.mark.parametrize("held", [kept.HELD_BYTES, 0])
def test_a_file_that_was_cut_is_none(tmp_path, monkeypatch, held):
    monkeypatch.setattr(kept, "HELD_BYTES", held)
    path = tmp_path / kept.REPEATS
    kept.keep_repeats(str(path), count_pairs([(PHOTO, CAPTION)]), "these")
    path.write_bytes(path.read_bytes()[:-8])
    assert kept.kept_repeats(str(path), "these") is None


def test_counts_of_other_tables_are_none(tmp_path):
    path = str(tmp_path / kept.REPEATS)
    kept.keep_repeats(path, count_pairs([(PHOTO, CAPTION)]), "these")
    assert kept.kept_repeats(path, "these and another") is None


def test_a_file_without_a_name_is_mapped(tmp_path):
    repeats = count_pairs([(PHOTO, CAPTION)])
    with (tmp_path / "counts").open("w+b") as file:
        lengths = kept.write_counts(file, "these", lambda number: [repeats.arrays[number]])
        file.flush()
        found = kept.mapped(file, lengths)
    (tmp_path / "counts").unlink()
    assert counted(found) == counted(repeats)


def test_pieces_give_the_bytes_of_the_whole(tmp_path):
    repeats = count_pairs([(PHOTO, CAPTION)])
    kept.keep_repeats(str(tmp_path / "whole"), repeats, "these")
    with (tmp_path / "pieces").open("w+b") as file:
        kept.write_counts(file, "these", lambda number: np.array_split(repeats.arrays[number], 2))
    assert (tmp_path / "pieces").read_bytes() == (tmp_path / "whole").read_bytes()
