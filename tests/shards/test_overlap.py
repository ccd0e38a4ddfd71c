"""Reading ahead and writing behind keep order, bounds and errors."""

import threading

import pytest

from ncaudit.shards.overlap import ahead, behind


def test_one_item_is_made_ahead_and_no_more():
    made = []

    def items():
        for i in range(4):
            made.append(i)
            yield i

    stream = ahead(items())
    assert next(stream) == 0
    stream.close()  # waits for the item being made
    assert made == [0, 1]


def test_an_error_arrives_where_its_item_would_have():
    def items():
        yield 1
        raise ValueError("second")

    stream = ahead(items())
    assert next(stream) == 1
    with pytest.raises(ValueError, match="second"):
        next(stream)


def test_what_is_written_behind_is_written_in_order_and_in_another_thread():
    written = []
    with behind(lambda item: written.append((item, threading.current_thread()))) as write:
        for i in range(50):
            write(i)
    assert [item for item, _ in written] == list(range(50))
    assert all(thread is not threading.main_thread() for _, thread in written)


@pytest.mark.parametrize("calls", [1, 3])
def test_a_failed_write_is_not_lost(calls):
    def fail(_):
        raise OSError("disk full")

    def run():
        with behind(fail) as write:
            for i in range(calls):
                write(i)

    with pytest.raises(OSError, match="disk full"):
        run()
