"""Work in fixed parts: the same results for any number of threads, and nothing is left as it was not."""

import threading
import time

import pytest
import torch

from ncaudit.core.parallel import by_rows, in_order, in_parallel, spread, together


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_the_parts(threads):
    def slowly(part: int) -> int:
        time.sleep(0.01 if part == 0 else 0)
        return part * part

    with spread(threads):
        assert in_parallel(slowly, range(9)) == [part * part for part in range(9)]
        assert list(in_order(slowly, iter(range(9)))) == [part * part for part in range(9)]
        assert in_parallel(slowly, []) == []


def test_parts_are_done_at_the_same_time_and_never_by_more_threads_than_asked_for():
    meeting = threading.Barrier(3, timeout=30)
    now, most, lock = [0], [0], threading.Lock()

    def counted(part: int) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.002)
        with lock:
            now[0] -= 1

    with spread(3):
        in_parallel(lambda part: meeting.wait(), range(3))  # breaks unless three are there at once
        in_parallel(counted, range(40))
    assert most[0] <= 3


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_parts_may_have_parts(threads):
    def outer(part: int) -> list[int]:
        return in_parallel(lambda inner: in_parallel(lambda last: part + inner + last, range(3))[-1], range(4))

    with spread(threads):
        assert in_parallel(outer, range(5)) == [[part + inner + 2 for inner in range(4)] for part in range(5)]


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_ends_all_and_is_raised_once_nobody_works(threads):
    at_work = []

    def fails(part: int) -> None:
        at_work.append(part)
        try:
            if part == 2:
                raise ValueError(f"part {part}")
            time.sleep(0.005)
        finally:
            at_work.remove(part)

    with spread(threads):
        with pytest.raises(ValueError, match="part 2"):
            in_parallel(fails, range(200))
        assert not at_work
        assert in_parallel(len, ["a", "bc"]) == [1, 2]


def test_ctrl_c_in_a_helper_is_ctrl_c():
    def interrupted(part: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise KeyboardInterrupt
        time.sleep(0.05)

    with spread(2), pytest.raises(KeyboardInterrupt):
        in_parallel(interrupted, range(20))


def test_a_stream_is_read_only_as_far_as_there_are_threads():
    read = []

    def parts():
        for part in range(10):
            read.append(part)
            yield part

    with spread(2):
        stream = in_order(lambda part: part, parts(), most=4)
        assert next(stream) == 0
        assert read == [0, 1]


def test_torch_has_one_thread_within_and_its_own_number_without():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with spread(2):
            assert in_parallel(lambda _: torch.get_num_threads(), range(8)) == [1] * 8
            with spread(4):
                assert torch.get_num_threads() == 1
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 3
        with together(2):
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_helpers_learn_and_infer_as_whoever_asked_does():
    def modes(_: int) -> tuple[bool, bool]:
        time.sleep(0.002)
        return torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    with spread(3):
        assert set(in_parallel(modes, range(12))) == {(True, False)}
        with torch.no_grad():
            assert set(in_parallel(modes, range(12))) == {(False, False)}
        with torch.inference_mode():
            assert set(in_parallel(modes, range(12))) == {(False, True)}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("rows", [0, 1, 6, 7])
def test_rows_of_several_tables_go_together(rows, threads):
    left, right = torch.randn(rows, 4), torch.arange(rows)
    with spread(threads):
        found = by_rows(lambda a, b: a.sum(dim=1) + b, left, right, rows=3)
    assert torch.equal(found, left.sum(dim=1) + right)


def test_no_helper_is_left():
    with spread(4):
        in_parallel(lambda part: time.sleep(0.001), range(8))
    deadline = time.monotonic() + 10
    while any(thread.name.startswith("ncaudit-help") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
