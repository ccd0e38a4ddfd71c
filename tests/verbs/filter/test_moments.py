"""Dates and times in a condition mean what they say, in the column's own zone and unit; what cannot be is told."""

import datetime as dt

import pyarrow as pa
import pytest

from ncaudit.errors import NcauditError
from ncaudit.verbs.filter.where import parse

UTC = dt.UTC
NOON = dt.datetime(2024, 7, 1, 12)


def _stamps(unit, zone=None):
    """Noon of a summer's day in UTC, the day after, null."""
    base = int(NOON.replace(tzinfo=UTC).timestamp()) * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    day = base + 86_400 * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    return pa.array([base, day, None], pa.int64()).cast(pa.timestamp(unit, zone))


BATCH = pa.record_batch(
    {
        **{f"utc_{unit}": _stamps(unit, "UTC") for unit in ("s", "ms", "us", "ns")},
        **{f"bare_{unit}": _stamps(unit) for unit in ("s", "ms", "us", "ns")},
        "berlin": _stamps("us", "Europe/Berlin"),
        "india": _stamps("ms", "+05:30"),
        "nowhere": _stamps("us", "Mars/Olympus"),
        "day": pa.array([19905, 19906, None], pa.date32()),  # 2024-07-01
        "day64": pa.array([19905 * 86_400_000, 19906 * 86_400_000, None], pa.date64()),
        "clock_s": pa.array([12 * 3600, 13 * 3600, None], pa.time32("s")),
        "clock_ns": pa.array([12 * 3600 * 10**9, 12 * 3600 * 10**9 + 1, None], pa.time64("ns")),
        "far": pa.array([253402300799 * 100, -(10**12), None], pa.timestamp("s")),
        "span": pa.array([1, 2, None], pa.duration("s")),
        "span_ns": pa.array([10**9, 2 * 10**9 + 1, None], pa.duration("ns")),
        "coded": pa.array(["2024-07-01", None, "x"]).dictionary_encode(),
    }
)
MEANINGS = {
    **{
        f"{zone}_{unit} = '2024-07-01 12:00'": [1, 0, 0] for zone in ("utc", "bare") for unit in ("s", "ms", "us", "ns")
    },
    **{f"{zone}_{unit} >= '2024-07-02'": [0, 1, 0] for zone in ("utc", "bare") for unit in ("s", "ms", "us", "ns")},
    "utc_us = '2024-07-01T12:00:00Z'": [1, 0, 0],
    "utc_us = '2024-07-01 14:00+02:00'": [1, 0, 0],
    "utc_us = '2024-07-01 14:00 +0200'": [1, 0, 0],
    "utc_us = '2024-07-01t07:00:00.000-05'": [1, 0, 0],
    "berlin = '2024-07-01 14:00'": [1, 0, 0],  # summer time
    "berlin = '2024-07-01 12:00Z'": [1, 0, 0],
    "india = '2024-07-01 17:30'": [1, 0, 0],
    "nowhere = '2024-07-01 12:00Z'": [1, 0, 0],
    "bare_s > '2024-07-01 11:59:59.999999999'": [1, 1, 0],
    "bare_s in ('2024-07-01 12:00:00.5', '2024-07-02 12:00')": [0, 1, 0],
    "bare_ns < '9999-12-31'": [1, 1, 0],  # beyond nanoseconds
    "bare_ns > '0001-01-01' and bare_ns != '1200-01-01'": [1, 1, 0],
    "far > '9999-12-31 23:59:59'": [1, 0, 0],
    "day = '2024-07-01'": [1, 0, 0],
    "day > '2024-07-01 00:00:01'": [0, 1, 0],
    "day64 between '2024-06-01' and '2024-07-01'": [1, 0, 0],
    "day64 not between '2024-06-01' and '2024-07-01'": [0, 1, 0],
    "clock_s <= '12:00'": [1, 0, 0],
    "clock_ns > '12:00:00.0000000005'": [0, 1, 0],
    "clock_ns = clock_s": [1, 0, 0],
    "utc_s = berlin and india = utc_ns": [1, 1, 0],
    "bare_s > day": [1, 1, 0],
    "far > bare_ns": [1, 0, 0],
    "span >= span_ns": [1, 0, 0],
    "span is not null": [1, 1, 0],
    "'2024-07-02' <= utc_us": [0, 1, 0],
}


@pytest.mark.parametrize("text", MEANINGS)
def test_rows_for_which_it_holds(text):
    assert parse(text).bind(BATCH.schema, "t")(BATCH).tolist() == [bool(hit) for hit in MEANINGS[text]]


def test_an_hour_that_comes_twice_is_the_first_and_one_that_is_skipped_is_still_a_time():
    twice = [int(dt.datetime(2024, 10, 27, hour, 30, tzinfo=UTC).timestamp()) for hour in (0, 1)]
    batch = pa.record_batch({"t": pa.array(twice).cast(pa.timestamp("s")).cast(pa.timestamp("s", "Europe/Berlin"))})
    assert parse("t = '2024-10-27 02:30'").bind(batch.schema, "t")(batch).tolist() == [True, False]
    assert parse("t > '2024-03-31 02:30'").bind(batch.schema, "t")(batch).tolist() == [True, True]


WRONG = {
    "bare_us > '2024-07-01T00:00:00Z'": (
        "has a zone, and the column is timestamp[us], without one",
        "'2024-07-01T00:00:00'",
    ),
    "day > '2024-07-01+02:00'": ("has a zone", "write it without: '2024-07-01'"),
    "day > '12:30'": ("'12:30' is a time of day, and the column is date32[day]", "write a date: '2024-03-01'"),
    "utc_us > '12:30'": ("is a time of day", "'2024-03-01' or '2024-03-01 12:30:00', read in UTC; another zone"),
    "clock_s > '2024-07-01'": ("is a date, and the column is time32[s]", "'12:30:00'"),
    "utc_us > 'yesterday'": ("'yesterday' is no timestamp[us, tz=UTC]", "'2024-03-01'"),
    "utc_us > '2024-02-30'": ("'2024-02-30' is no timestamp", "'2024-03-01'"),
    "utc_us > '2024-02-03 25:00'": ("is no timestamp", "'2024-03-01'"),
    "utc_us > '2024-07-0112:00'": ("is no timestamp", "'2024-03-01'"),
    "utc_us > 20240701": ("utc_us is a time with a zone and 20240701 is a number", "utc_us >= '2024-03-01'"),
    "utc_us > bare_us": ("time with a zone and bare_us is a time without a zone, cannot", ">= '2024-03-01'"),
    "clock_s > day": ("clock_s is a time of day and day is a date, cannot", "clock_s >= '12:30:00'"),
    "nowhere > '2024-07-01'": (
        "has no zone, and the column's, Mars/Olympus, is not known here",
        "2024-03-01 00:00:00+00:00",
    ),
    "span > '1 day'": ("'1 day' is no duration[s]", "another span"),
    "coded > day": ("coded is text and day is a date", "coded = 'text'"),
    "utc_us": ("utc_us is timestamp[us, tz=UTC] in t; compare it", "utc_us >= '2024-03-01'"),
}


@pytest.mark.parametrize("text", WRONG)
def test_what_cannot_be_compared_is_told_with_the_form_that_works(text):
    with pytest.raises(NcauditError) as error:
        parse(text).bind(BATCH.schema, "t")
    assert WRONG[text][0] in error.value.message
    assert WRONG[text][1] in error.value.fix
