"""Dates and times as people write them in a condition, in the units of the column beside them.

Knows the common forms of ISO 8601, time zones and arrow's types of time; nothing of conditions or files.
"""

import datetime
import re
import zoneinfo
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ncaudit.verbs.filter.exact import ARROW, FLIPPED, NUMPY

CLOCK_FORM = r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?"
FORM = re.compile(
    rf"""\s*(?:(?P<date>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})(?:[T\ ](?P<clock>{CLOCK_FORM}))?|(?P<alone>{CLOCK_FORM}))
        \s*(?P<zone>Z|[+-][0-9]{{2}}(?::?[0-9]{{2}})?)?\s*""",
    re.VERBOSE | re.IGNORECASE,
)
OFFSET = re.compile(r"([+-])([0-9]{2}):?([0-9]{2})?")
EPOCH = datetime.date(1970, 1, 1).toordinal()
DAY_S = 86_400
PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
A_DATE, A_MOMENT = "'2024-03-01'", "'2024-03-01 12:30:00'"
DATE, CLOCK, SPAN = "a date", "a time of day", "a span of time"
LOCAL, ZONED = "a time without a zone", "a time with a zone"


class NotThat(ValueError):
    """What was written is no value of the column's type: what it is instead, and how it would be one."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what, self.fix = what, fix


@dataclass(frozen=True)
class _Written:
    """date: days from 1970. clock: seconds from midnight. offset_s: of the zone, east of Greenwich."""

    date: int | None
    clock: Fraction | None
    offset_s: int | None

    @property
    def local_s(self) -> Fraction:
        return Fraction(self.date or 0) * DAY_S + (self.clock or 0)


def group_of(kind: pa.DataType) -> str:
    """What values of a type of time are; they can be compared with their like, and dates with times without a zone."""
    if t.is_timestamp(kind):
        return ZONED if kind.tz else LOCAL
    if t.is_date(kind):
        return DATE
    return CLOCK if t.is_time(kind) else SPAN


def can_meet(one: str, other: str) -> bool:
    """Whether two of `group_of` can be compared: a date is its midnight."""
    return one == other or {one, other} == {DATE, LOCAL}


def ticks(column: pa.Array) -> pa.Array:
    """A column of a type of time as int64, counted in its own unit."""
    narrow = t.is_date32(column.type) or t.is_time32(column.type)
    return column.cast(pa.int32() if narrow else pa.int64()).cast(pa.int64())


def read_ticks(text: str, kind: pa.DataType) -> Fraction:
    """What was written, counted in the units of a column of this type.

    A date or time without a zone is read in the column's own. Raises NotThat with the form that works.
    """
    written = None if t.is_duration(kind) else _read(text)
    if written is None:
        raise NotThat(f"is no {kind}", _form(kind))
    _require_like(written, text, kind)
    return (written.local_s - _offset_s(written, kind)) * _per_second(kind)


def _require_like(written: "_Written", text: str, kind: pa.DataType) -> None:
    """Raises NotThat where one is a time of day and the other is not, or only what was written has a zone."""
    group = group_of(kind)
    if (written.date is None) != (group is CLOCK):
        told = CLOCK if written.date is None else DATE
        raise NotThat(f"is {told}, and the column is {kind}", _form(kind))
    if written.offset_s is not None and group is not ZONED:
        bare = re.sub(r"\s*(Z|[+-][0-9:]{2,6})\s*$", "", text, flags=re.IGNORECASE)
        raise NotThat(f"has a zone, and the column is {kind}, without one", f"write it without: {bare!r}")


def _form(kind: pa.DataType) -> str:
    if t.is_duration(kind):
        return "compare it with another span, or write the column as a number"
    if t.is_time(kind):
        return "write a time of day: '12:30:00'"
    if t.is_date(kind):
        return f"write a date: {A_DATE}"
    behind = f", read in {kind.tz}; another zone goes behind it: '2024-03-01 12:30:00+02:00'" if kind.tz else ""
    return f"write a date or a time: {A_DATE} or {A_MOMENT}{behind}"


def _read(text: str) -> _Written | None:
    match = FORM.fullmatch(text)
    if match is None:
        return None
    date, clock, alone, zone = match.group("date", "clock", "alone", "zone")
    clock = clock or alone
    try:
        days = None if date is None else datetime.date.fromisoformat(date).toordinal() - EPOCH
        return _Written(days, None if clock is None else _seconds(clock), None if zone is None else _zone_s(zone))
    except ValueError:  # no such day, hour or zone
        return None


def _seconds(clock: str) -> Fraction:
    hours, minutes, seconds = (*clock.split(":"), "0")[:3]
    if int(hours) > 23 or int(minutes) > 59 or Fraction(seconds) >= 60:
        raise ValueError(clock)
    return Fraction(int(hours) * 3_600 + int(minutes) * 60) + Fraction(seconds)


def _zone_s(zone: str) -> int:
    match = OFFSET.fullmatch(zone)
    if match is None:
        return 0
    hours, minutes = int(match[2]), int(match[3] or 0)
    if hours > 23 or minutes > 59:
        raise ValueError(zone)
    return (-1 if match[1] == "-" else 1) * (hours * 3_600 + minutes * 60)


def _offset_s(written: _Written, kind: pa.DataType) -> int:
    """How far east of Greenwich what was written is; of two hours of one name the first is meant."""
    if written.offset_s is not None or not t.is_timestamp(kind) or not kind.tz:
        return written.offset_s or 0
    if OFFSET.fullmatch(kind.tz):
        return _zone_s(kind.tz)
    day = datetime.date.fromordinal((written.date or 0) + EPOCH)
    moment = datetime.datetime.combine(day, datetime.time()) + datetime.timedelta(seconds=int(written.clock or 0))
    offset = moment.replace(tzinfo=_zone(kind.tz)).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


@lru_cache(maxsize=16)
def _zone(name: str) -> datetime.tzinfo:
    if name.upper() in ("UTC", "Z", "GMT", "ETC/UTC"):  # also where there is no table of zones
        return datetime.UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # not there, not a name, not a file
        fix = "write the zone behind the time: '2024-03-01 00:00:00+00:00'"
        raise NotThat(f"has no zone, and the column's, {name}, is not known here", fix) from error


def _per_second(kind: pa.DataType) -> Fraction:
    if t.is_date32(kind):
        return Fraction(1, DAY_S)
    return Fraction(PER_SECOND["ms" if t.is_date64(kind) else kind.unit])


def compare_moments(left: pa.Array, sign: str, right: pa.Array) -> pa.Array:
    """`left sign right` for every row of two columns that `can_meet`, whatever their units; null where either is."""
    times = _per_second(right.type) / _per_second(left.type)
    if times < 1:
        return compare_moments(right, FLIPPED.get(sign, sign), left)
    one, other = ticks(left), ticks(right)
    if times == 1:
        return ARROW[sign](one, other)
    # the finer side in the coarser unit, rounded down: multiplying the other would leave int64
    coarse = one.fill_null(0).to_numpy(zero_copy_only=False)
    whole, rest = np.divmod(other.fill_null(0).to_numpy(zero_copy_only=False), int(times))
    later = (coarse == whole) & (rest > 0)
    found = np.where(later, sign in ("<", "<=", "!=", "<>"), NUMPY[sign](coarse, whole))
    return pc.if_else(pc.and_(one.is_valid(), other.is_valid()), pa.array(found), pa.scalar(None, pa.bool_()))
