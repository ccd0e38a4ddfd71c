"""What a spreadsheet program makes of a name that it takes for a number, a date or a formula.

Knows how such programs write numbers and dates; nothing of files or of pairs.
"""

import re
from decimal import Decimal, InvalidOperation

DIGITS_KEPT = 15  # a spreadsheet program keeps no more of a number
GROUPS = re.compile(r"[,.'’\s\u00a0\u202f](?=\d{3}(\D|$))")  # before every three digits, in some language
NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d{1,4})?", re.IGNORECASE)
PARTS = re.compile(r"[^\W\d_]+|\d+")
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec mai okt dez mrz mär fév avr juin juil aoû déc ene abr ago dic"
LEAST_OF_A_DATE = 2
MOST_OF_A_DATE = 6


def may_have_become(name: str, written: str) -> bool:
    """Whether a spreadsheet program may have made `written` of `name`, or both are the same but for spaces and case.

    >>> [may_have_become("000000336", w) for w in ("336", "336.0", "3.36E+02", "3E+02", "337")]
    [True, True, True, True, False]
    >>> may_have_become("3-1", "3-Jan"), may_have_become("1e5", "100000"), may_have_become("a/3", "b/3")
    (True, True, False)
    """
    plain = _bare(written)
    if not plain or plain == _bare(name) or plain.startswith("#"):  # #NAME?, ####: only the place is left
        return True
    return _same_number(name, plain) or _date(name, plain)


def _bare(word: str) -> str:
    return " ".join(word.strip().strip("'\"").split()).casefold()


def _same_number(name: str, written: str) -> bool:
    """Whether both are one number, in the digits that are left of it."""
    before, after, ungrouped = _number(name), _number(written), _number(GROUPS.sub("", written))
    if before is None or after is None:
        return before is not None and before == ungrouped
    return before in (after, ungrouped) or _shortened(before, after, written)


def _number(word: str) -> Decimal | None:
    plain = _bare(word)
    if not NUMBER.fullmatch(plain) or len(plain) > 400:
        return None
    try:
        return Decimal(plain.replace(",", "."))
    except InvalidOperation:
        return None


def _shortened(before: Decimal, after: Decimal, written: str) -> bool:
    """Whether digits at the end were given up: for an exponent, or as there are too many of them."""
    digits, had = len(after.normalize().as_tuple().digits), len(before.as_tuple().digits)
    if digits >= had or not ("e" in written or had > DIGITS_KEPT):
        return False
    if after.adjusted() - before.adjusted() not in (0, 1):
        return False
    return abs(before - after) <= Decimal(1).scaleb(before.adjusted() - digits + 1)


def _date(name: str, written: str) -> bool:
    """Whether `name` is a few short parts that may be a date, and `written` looks like one."""
    parts = PARTS.findall(name)
    looks = any(ch in written for ch in "-/.: ") and any(ch.isdigit() for ch in written)
    return looks and _few_short(parts) and _few_short(PARTS.findall(written)) and _shares_a_number(parts, written)


def _few_short(parts: list[str]) -> bool:
    short = all(part[:3].casefold() in MONTHS.split() or (part.isdigit() and len(part) <= 4) for part in parts)
    return short and LEAST_OF_A_DATE <= len(parts) <= MOST_OF_A_DATE


def _shares_a_number(parts: list[str], written: str) -> bool:
    numbers = {int(part) % 100 for part in PARTS.findall(written) if part.isdigit()}
    return any(part.isdigit() and int(part) % 100 in numbers for part in parts)
