"""How often each status stands in a table: known answers, whoever tells them, the footer or the column."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable
from ncaudit.shards.readers import word_counts as module
from ncaudit.shards.readers.word_counts import word_counts

LONG = "a" * 40


def written(tmp_path, words, **how):
    """Four rows per row group."""
    path = tmp_path / "table.parquet"
    inside = pa.array([{"status": "inner"}] * len(words))  # a leaf of that name, in another column before it
    table = pa.table({"user": inside, "status": pa.array(words, pa.string())})
    pq.write_table(table, path, row_group_size=4, **how)
    return str(path)


@pytest.fixture
def read(monkeypatch):
    """The row groups whose column was read."""
    found, reads = [], module._read
    monkeypatch.setattr(module, "_read", lambda path, name, groups: found.extend(groups) or reads(path, name, groups))
    return found


def test_the_footer_tells_of_row_groups_with_one_word(tmp_path, read):
    words = ["ok"] * 8 + ["image_missing"] * 2
    assert word_counts(written(tmp_path, words), "status") == {"ok": 8, "image_missing": 2}
    assert read == []


def test_mixed_row_groups_alone_are_read(tmp_path, read):
    words = ["ok"] * 4 + ["ok", "image_missing", "ok", "caption_missing"] + ["ok"] * 3
    assert word_counts(written(tmp_path, words), "status") == {"ok": 9, "image_missing": 1, "caption_missing": 1}
    assert read == [1]


def test_a_page_that_a_disk_has_lost_is_found(tmp_path):
    path = written(tmp_path, ["ok"] * 8)
    group = pq.read_metadata(path).row_group(1)
    chunk = next(c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == "status")
    start = chunk.dictionary_page_offset
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(bytes(chunk.total_compressed_size))
    with pytest.raises(BadTable):
        word_counts(path, "status")


def test_without_statistics_all_is_read(tmp_path, read):
    words = ["ok"] * 4 + ["image_missing"] * 3
    path = written(tmp_path, words, write_statistics=False)
    assert word_counts(path, "status") == {"ok": 4, "image_missing": 3}
    assert read == [0, 1]


def test_cells_without_a_word_are_counted_too(tmp_path, read):
    words = ["ok", None, "ok", "ok", None, None, None, None]
    assert word_counts(written(tmp_path, words), "status") == {"ok": 3, "None": 5}
    assert read == [0, 1]


def test_words_whose_ends_statistics_may_lack_are_read(tmp_path, read):
    assert word_counts(written(tmp_path, [LONG] * 4), "status") == {LONG: 4}
    assert read == [0]


def test_a_table_without_rows_has_no_words(tmp_path):
    assert word_counts(written(tmp_path, []), "status") == {}


def test_another_column_of_that_name_is_not_what_we_wrote(tmp_path):
    pq.write_table(pa.table({"status": [1, 2]}), tmp_path / "t.parquet")
    with pytest.raises(BadTable, match="its column status is not as ncaudit wrote it"):
        word_counts(str(tmp_path / "t.parquet"), "status")
    with pytest.raises(BadTable, match="column other"):
        word_counts(str(tmp_path / "t.parquet"), "other")
