"""What names photos and captions, and what names nothing."""

import pyarrow as pa
import pyarrow.compute as pc

from ncaudit.shards.tables.contents import content_column


def test_blank_text_names_nothing_and_text_that_is_not_utf_8_is_no_error():
    text = pa.array([b"a ", b" ", "\u2003".encode(), None], pa.large_binary()).view(pa.large_string())
    broken = pa.array([b"\xff", b" ", b"", b"a"], pa.large_binary()).view(pa.large_string())
    named = [content_column(pa.record_batch({"caption": column}), "caption") for column in (text, broken)]
    assert named[0].to_pylist() == ["a ", None, None, None]
    assert pc.is_valid(named[1]).to_pylist() == [True, False, False, True]
