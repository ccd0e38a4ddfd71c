"""Page headers are strangers' words: numbers where numbers belong, and of a size that a page can have; or no page."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from ncaudit.errors import BadTable
from ncaudit.shards.readers.bounds.pages import DATA, DICTIONARY, Chunk, Page, local_pages, refuse_bombs

STRUCT, WHOLE, TRUE = 12, 5, 1


def varint(number):
    """As Thrift's compact protocol has it, zigzag."""
    number, out = number << 1 if number >= 0 else (-number << 1) - 1, b""
    while number > 0x7F:
        number, out = number >> 7, out + bytes([number & 0x7F | 0x80])
    return out + bytes([number])


def struct(*fields):
    """Fields as (number, value): a value is a whole number, True or a tuple of fields."""
    out, before = b"", 0
    for place, value in fields:
        kind = TRUE if value is True else STRUCT if isinstance(value, tuple) else WHOLE
        said = b"" if value is True else struct(*value) if isinstance(value, tuple) else varint(value)
        out, before = out + bytes([place - before << 4 | kind]) + said, place
    return out + b"\0"


def pages(tmp_path, data, values=3, at=0):
    (tmp_path / "chunk").write_bytes(data)
    with open(tmp_path / "chunk", "rb") as file:
        facts = SimpleNamespace(
            data_page_offset=at, has_dictionary_page=False, dictionary_page_offset=None, num_values=values
        )
        return list(local_pages(file.fileno(), facts))


def header(kind=0, unpacked=9, packed=4, place=5, values=3, encoding=0):
    return struct((1, kind), (2, unpacked), (3, packed), (place, ((1, values), (2, encoding))))


def test_a_header_says_what_its_page_takes(tmp_path):
    coded = header(kind=2, place=7, values=2, unpacked=50, packed=4, encoding=2)
    data = header(encoding=8)
    found = pages(tmp_path, coded + b"dict" + data + b"page")
    first, second = len(coded), len(coded) + len(b"dict") + len(data)
    assert found == [Page(DICTIONARY, 2, 4, 50, 2, first), Page(DATA, 3, 4, 9, 8, second)]


# what one damaged byte makes of a number: another kind of value, or a number that no page has
NONE = [((1, 5),), True, -1, 2**31, 2**63 - 1]


@pytest.mark.parametrize("place", ["unpacked", "packed", "values", "encoding", "kind"])
@pytest.mark.parametrize("said", NONE, ids=["a struct", "a truth", "less than nothing", "33 bits", "64 bits"])
def test_what_is_no_number_of_a_page_is_no_page_and_never_an_error(tmp_path, place, said):
    for page in pages(tmp_path, header(**{place: said}) + b"page"):
        assert all(type(number) in (int, bool) and 0 <= number < 2**31 for number in vars(page).values())


@pytest.mark.parametrize("said", [3, True])
def test_a_number_where_a_struct_belongs_is_no_page(tmp_path, said):
    assert pages(tmp_path, struct((1, 0), (2, 9), (3, 4), (5, said)) + b"page") == []


@pytest.mark.parametrize("at", [-1, -(2**63), 10**6, 2**63 - 1])
def test_a_place_outside_the_file_holds_no_page(tmp_path, at):
    assert pages(tmp_path, header() + b"page", at=at) == []


def test_a_page_that_says_it_is_larger_than_its_column_is_damage_told_before_memory_is_taken():
    chunk = Chunk("text", 0, 0, SimpleNamespace(max_repetition_level=0), 5, [Page(DATA, 5, 73, 90, 0)], 72)
    with pytest.raises(BadTable, match=r"s\.parquet: a page of column text \(row group 0\) says that it has 73 bytes"):
        refuse_bombs("s.parquet", chunk, 1 << 20)
    refuse_bombs("s.parquet", replace(chunk, size=73), 1 << 20)
