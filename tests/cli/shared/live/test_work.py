"""How much is done, how fast, and how long the rest takes: worked out by hand on a clock that a test turns."""

import pytest

from ncaudit.cli.shared.live.work import Pace, Work


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def begun(clock, plan, job="score"):
    work = Work(job, clock)
    work.job(job, plan)
    return work


def test_the_pace_is_that_of_the_last_pieces():
    pace = Pace(0.0)
    for second in range(1, 101):  # ten a second, then a hundred
        pace.done(float(second), second * 10 if second <= 50 else 500 + (second - 50) * 100)
    assert pace.per_s(100.0) == pytest.approx(100)
    assert pace.left_s(100.0, 1_000) == pytest.approx(10)


def test_a_single_piece_tells_a_pace_and_none_tells_nothing():
    pace = Pace(0.0)
    assert pace.per_s(9.0) is None
    pace.done(10.0, 50)
    assert pace.per_s(10.0) == 5


def test_pieces_that_take_minutes_still_tell_a_pace():
    pace = Pace(0.0)
    for piece in range(1, 9):
        pace.done(piece * 90.0, piece * 9)
    assert pace.per_s(720.0) == pytest.approx(0.1)
    assert pace.left_s(750.0, 9) == pytest.approx(60)


def test_the_first_piece_counts_no_more_once_others_came():
    pace = Pace(0.0)
    for at, units in ((60.0, 10), (61.0, 20), (62.0, 30), (63.0, 40)):
        pace.done(at, units)
    assert pace.per_s(63.0) == pytest.approx(10)


def test_a_piece_that_is_overdue_slows_the_pace():
    pace = Pace(0.0)
    for at in (1.0, 2.0):
        pace.done(at, int(at) * 10)
    assert pace.per_s(22.0) < 1


def test_thousands_of_small_pieces_are_held_as_few():
    pace = Pace(0.0)
    for piece in range(1, 10_001):
        pace.done(piece / 1000, piece)
    assert len(pace.pieces) < 150
    assert pace.per_s(10.0) == pytest.approx(1000, rel=0.02)


def test_the_last_stage_is_foretold_by_its_own_pace(clock):
    work = begun(clock, {"load": 0.0, "rows": 1.0})
    work.begin("load", None, "rows")
    clock.now = 30.0
    work.begin("rows", 1_000, "rows")
    assert work.left_s() is None
    clock.now = 40.0
    work.stage.advance(clock.now, 100, 0)
    assert work.left_s() == pytest.approx(90)


def test_later_stages_take_what_their_shares_say(clock):
    work = begun(clock, {"one": 1.0, "two": 1.0, "three": 2.0})
    work.begin("one", 10, "steps")
    clock.now = 10.0
    work.stage.advance(clock.now, 10, 0)
    work.begin("two", 10, "steps")
    clock.now = 15.0
    work.stage.advance(clock.now, 5, 0)
    assert work.left_s() == pytest.approx(5 + 20)


def test_nothing_is_foretold_from_too_little(clock):
    work = begun(clock, {"one": 1.0, "two": 99.0})
    work.begin("one", 100, "rows")
    clock.now = 1.0
    work.stage.advance(clock.now, 50, 0)
    assert work.left_s() is None
    clock.now = 21.0  # somebody who has waited so long is told what is known
    assert work.left_s() is not None


def test_what_an_earlier_run_has_done_is_no_speed(clock):
    work = begun(clock, {"rows": 1.0})
    work.begin("rows", 1_000, "rows")
    work.stage.keep(900, 0)
    clock.now = 10.0
    work.stage.advance(clock.now, 10, 0)
    assert work.stage.per_s(clock.now) == pytest.approx(1)
    clock.now = 20.0
    work.stage.advance(clock.now, 10, 0)
    assert work.left_s() == pytest.approx(80)


def test_a_new_estimate_takes_over_without_a_leap(clock):
    work = begun(clock, {"rows": 1.0})
    work.begin("rows", 1_000, "rows")
    clock.now = 10.0
    work.stage.advance(clock.now, 100, 0)
    before = work.left_s()
    clock.now = 10.5
    work.stage.advance(clock.now, 400, 0)  # suddenly much faster
    assert before == pytest.approx(90)
    assert 70 < work.left_s() < 90


def test_a_plan_that_is_told_again_keeps_what_has_begun(clock):
    work = begun(clock, {"draw": 1.0, "fit": 1.0, "rows": 1.0})
    work.begin("draw", 10, "rows")
    work.job("score", {"count": 1.0, "rows": 1.0})
    assert list(work.plan) == ["draw", "count", "rows"]
    assert work.place() == (1, 3)


def test_a_stage_that_no_plan_told_has_its_place_behind_the_one_before(clock):
    work = begun(clock, {"one": 1.0, "two": 1.0})
    work.begin("one", 1, "rows")
    work.begin("surprise", 1, "rows")
    assert work.place() == (2, 3)
    work.begin("two", 1, "rows")
    assert work.place() == (3, 3)


def test_a_part_that_is_planned_anew_stays_where_it_is(clock):
    work = begun(clock, {"embed: rows": 8.0, "score: draw": 1.0, "score: rows": 1.0, "report": 1.0}, "audit")
    for name in ("embed: rows", "score: draw"):
        work.begin(name, 1, "rows")
    work.job("audit", {"embed: rows": 8.0, "score: rows": 2.0, "report": 1.0})
    assert list(work.plan) == ["embed: rows", "score: draw", "score: rows", "report"]
    work.begin("score: rows", 1, "rows")
    assert work.place() == (2, 3)


def test_parts_are_counted_not_their_stages(clock):
    work = begun(clock, {"embed: load": 0.0, "embed: rows": 8.0, "score: fit": 1.0, "score: rows": 1.0}, "audit")
    work.begin("score: rows", 10, "rows")
    assert work.place() == (2, 2)


def test_another_job_or_the_same_once_more_begins_at_nothing(clock):
    work = begun(clock, {"one": 1.0}, "embed")
    work.begin("one", 1, "rows")
    clock.now = 9.0
    for job in ("score", "score"):
        work.job(job, {"draw": 1.0, "fit": 1.0})
        work.begin("draw", 1, "rows")
        assert (work.place(), work.elapsed_s()) == ((1, 2), 0.0)
        work.begin("fit", 1, "rows")
        assert work.place() == (2, 2)


def test_what_a_stage_waits_for_tells_nothing_of_its_pace_nor_of_what_comes_behind(clock):
    work = begun(clock, {"count": 4.0, "write": 1.0})
    work.begin("count", 1_000, "rows")
    clock.now = 600.0  # a cluster that is slow to start
    work.begins()
    work.stage.advance(602.0, 100, 0)
    clock.now = 602.0
    assert work.stage.per_s(602.0) == 50
    assert work.left_s() == pytest.approx(18 + 20 / 4)
    work.stage.advance(620.0, 900, 0)
    clock.now = 620.0
    ended = work.begin("write", 1_000, "rows")
    assert (ended.per_s(620.0), ended.elapsed_s(620.0)) == (50, 620)
    work.stage.advance(630.0, 500, 0)
    work.begins()  # too late to be waiting
    assert work.stage.per_s(630.0) == 50


def test_little_work_after_a_long_wait_is_a_guess_still(clock):
    work = begun(clock, {"count": 1.0})
    work.begin("count", 1_000, "rows")
    clock.now = 600.0
    work.begins()
    clock.now = 601.0
    work.stage.advance(601.0, 1, 0)
    assert work.left_s() is None
