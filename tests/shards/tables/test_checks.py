"""Values of every light type have words, different ones different words."""

from decimal import Decimal

import pyarrow as pa
import pytest

from ncaudit.errors import BadTable
from ncaudit.shards.tables.checks import require_plain, words_of

COLUMNS = [
    pa.array([2**64 - 1, 2**64 - 2, None], pa.uint64()),
    pa.array([Decimal(10**60), Decimal(10**60 + 1), None], pa.decimal256(76, 0)),
    pa.array([Decimal("1.5"), Decimal("1.25"), None], pa.decimal64(10, 2)),
    pa.array([2**62, 2**62 + 1, None], pa.timestamp("s")),
    pa.array([1, 2, None], pa.timestamp("us", "Mars/Olympus")),
    pa.array([1, 2, None], pa.timestamp("ms", "Europe/Berlin")),
    pa.array([1, 2, None], pa.time64("ns")),
    pa.array([1, 2, None], pa.duration("s")),
    pa.array([1.5, 0.25, None], pa.float16()),
    pa.array([True, False, None]),
    pa.array(["a", "b", None]).dictionary_encode(),
]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: str(column.type))
def test_words(column):
    told = words_of(column).to_pylist()
    assert told[0] != told[1]
    assert told[2] is None


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.string()), pa.struct({"a": pa.int8()}), pa.binary(), pa.binary(4)], ids=str
)
def test_what_has_no_words_is_refused_with_the_flag(kind):
    with pytest.raises(BadTable, match="t: c is") as error:
        require_plain("t", pa.schema({"c": kind}), "c", "--stratify")
    assert error.value.fix == "name a column of text, numbers or dates with --stratify"
