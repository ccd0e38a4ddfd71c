"""Spreadsheet programs change names that look like numbers or dates; what they made is known again, no more."""

import pytest

from ncaudit.shards.people.changed_ids import may_have_become

CHANGED = [
    ("000000336", ["336", "336.0", "336,0", "3.36E+02", "3,36E+02", "3.4E+02", " 336 ", "'000000336"]),
    ("100000", ["1E+05", "1.00E+05", "100,000", "100.000", "100 000", "100\u00a0000", "100'000"]),
    ("1e5", ["100000", "1E+05"]),
    ("1234567890123456789", ["1.23457E+18", "1234567890123450000", "1234567890123456800"]),
    ("3-1", ["3-Jan", "03-01", "2026-01-03", "03.01.2026", "1/3/2026", "2026-03-01 00:00:00", "3. Jan"]),
    ("MARCH1", ["1-Mar", "01. Mrz"]),
    ("1/2", ["1-Feb", "2-Jan"]),
    ("true", ["TRUE"]),
    ("-abc", ["#NAME?"]),
    ("0.5", [".5", "0,5"]),
]
OTHERS = [
    ("000000336", ["337", "33", "3360", "3E+03", "0336x", "300"]),
    ("336", ["300", "3-Mar", "336/1", "a336"]),
    ("a/3", ["b/3", "a/4", "3"]),
    ("shard/7", ["7", "7-Jan"]),
    ("photo1", ["photo2", "1"]),
    ("9" * 500, ["1E+05"]),
    ("1e999999999", ["2e999999999"]),
]


@pytest.mark.parametrize(("name", "written"), [(name, one) for name, all_ in CHANGED for one in all_])
def test_what_a_spreadsheet_program_makes_of_a_name_is_known_again(name, written):
    assert may_have_become(name, written)


@pytest.mark.parametrize(("name", "written"), [(name, one) for name, all_ in OTHERS for one in all_])
def test_another_name_is_no_change_of_it(name, written):
    assert not may_have_become(name, written)


def test_digits_that_were_given_up_may_round_up_to_one_more_before_the_point():
    assert may_have_become("999600", "1.00E+06")
    assert not may_have_become("999600", "1.00E+07")
