"""The two lines at any width: no number is ever cut, and what matters least goes first."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncaudit.cli.shared.live.two_lines import about, clock, ended_line, first_line, plain_line, second_line
from ncaudit.cli.shared.live.work import Work

SECONDS = 700.0


def work(*, status="", failed=0, name="power check", total=5_000, done=1_250, job="score"):
    now = [0.0]
    found = Work(job, lambda: now[0])
    found.job(job, {"draw the sample": 1.0, "fit": 1.0, name: 1.0, "count repeats": 0.0, "score the rows": 1.0})
    found.begin("draw the sample", 10, "rows")
    found.stage.advance(0.0, 10, 0)
    found.begin(name, total, "rows")
    now[0] = SECONDS
    found.stage.advance(SECONDS, done, failed)
    found.stage.status = status
    return found


def test_at_80_columns_all_is_told():
    found = work(failed=3)
    assert first_line(found, 78) == "score: 3 of 5, power check  11:40, about 59 min left"
    second = second_line(found, 78)
    assert (second.bar, second.words) == (30, "1,250/5,000 rows  1.8/s  11:40  3 failed")


def test_the_bar_goes_first_then_the_pace_then_the_time():
    found = work(failed=3, status="loss 1.250, R@1 40.0/38.5")
    told = {width: second_line(found, width) for width in (90, 70, 60, 44, 36)}
    assert told[90].bar == 10
    assert told[70].bar == 0
    assert told[70].words == "1,250/5,000 rows  1.8/s  11:40  3 failed  loss 1.250  R@1 40.0/38.5"
    assert told[60].words == "1,250/5,000 rows  3 failed  loss 1.250  R@1 40.0/38.5"
    assert told[44].words == "1,250/5,000 rows  3 failed  loss 1.250"
    assert told[36].words == "1,250/5,000 rows  3 failed"


STATUS = st.sampled_from(["", "loss 0.123, R@1 9.9/8.8", "image neighbours"])


@given(st.integers(30, 140), st.integers(1, 10**9), st.integers(0, 10**6), STATUS)
def test_no_line_is_too_long_and_every_number_that_stands_there_is_whole(width, total, failed, status):
    found = work(total=total, done=min(total, 77), failed=failed, status=status)
    first, second = first_line(found, width), second_line(found, width)
    assert len(first) <= width
    assert 2 + (second.bar + 2 if second.bar else 0) + len(second.words) <= width
    assert not re.search(r"\d…", first)
    all_of_it = second_line(found, 200).words.split()
    assert [word for word in second.words.split() if word not in all_of_it] == []
    assert f"/{total:,} row" in second.words


def test_narrow_lines_shorten_the_stages_name_and_keep_the_time():
    found = work()
    assert first_line(found, 50) == "score: 3 of 5, power check  11:40, ~59 min left"
    assert first_line(found, 46) == "score: 3 of 5, power check  ~59 min left"
    assert first_line(found, 38) == "score: 3 of 5, power ch…  ~59 min left"
    assert first_line(found, 30) == "score: 3 of 5, power check"


def test_a_stage_that_counts_itself_has_no_other_number():
    found = work(name="epoch 3 of 8", job="train")
    assert first_line(found, 78).startswith("train: epoch 3 of 8  ")
    found = work(name="train 1 of 3, plain: epoch 3 of 8", job="demo")
    assert first_line(found, 78).startswith("demo: 3 of 5, train 1 of 3, plain: epoch 3 of 8  ")


def test_before_the_first_stage_the_command_starts():
    found = Work("score", lambda: 0.0)
    assert first_line(found, 78) == "score: starting  0:00"
    assert second_line(found, 78) is None


def test_no_pace_is_told_of_a_handful_of_steps():
    assert "/s" not in second_line(work(total=8, done=3), 78).words


def test_work_without_parts_tells_its_time_alone():
    assert second_line(work(total=None, done=0), 78).words == "11:40"


def test_what_is_told_keeps_its_width_while_numbers_grow():
    few, many = (second_line(work(done=done), 78).words.index("/5,000") for done in (3, 4_999))
    assert few == many


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "about 5 s"), (31, "about 35 s"), (56, "about 1 min"), (61, "about 2 min"), (3_500, "about 59 min")],
)
def test_the_rest_is_told_no_more_exactly_than_it_is_known(seconds, told):
    assert about(seconds) == told


def test_hours_are_told_in_tens_of_minutes():
    assert [about(3_601), about(7_200), about(36_000)] == ["about 1 h 10 min", "about 2 h", "about 10 h"]
    assert clock(36_000) == "10:00:00"


def test_an_ended_stage_is_one_line_with_its_figures_and_its_time():
    found = work(failed=2, status="loss 1.250, R@1 40.0/38.5")
    stage = found.end()
    assert ended_line(stage) == "power check: 1,250/5,000 rows, 2 failed, 1.8/s, loss 1.250, R@1 40.0/38.5, in 11:40"


def test_a_log_is_told_the_same_with_what_is_left():
    assert plain_line(work()) == "power check: 1,250/5,000 rows, 1.8/s, 11:40, about 59 min left in all"


def test_what_users_wrote_steers_no_terminal():
    found = work(status="\x1b[2J", name="read \x1b[31mred\nnow")
    lines = first_line(found, 100) + second_line(found, 100).words + ended_line(found.end())
    assert "\x1b" not in lines
    assert "\n" not in lines
