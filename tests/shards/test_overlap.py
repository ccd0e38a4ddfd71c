"""Reading ahead and writing behind keep order, bounds and errors."""

import io
import threading
import time
from contextlib import closing

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.shards import overlap
from ncaudit.shards.overlap import ahead, behind, written_behind


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.001)
    assert condition()


def counted(made, items):
    for item in items:
        made.append(item)
        yield item


def test_one_item_is_made_ahead_and_no_more():
    made = []
    with closing(ahead(counted(made, range(4)))) as stream:
        assert next(stream) == 0
        until(lambda: made == [0, 1])
        time.sleep(0.02)
        assert made == [0, 1]
    assert made == [0, 1]


def test_items_are_made_ahead_up_to_a_weight_and_all_of_them_arrive_in_order():
    made, weights = [], [5, 5, 5, 50, 1, 1]
    with closing(ahead(counted(made, weights), weigh=lambda item: item, most=10)) as stream:
        assert next(stream) == 5
        until(lambda: made == [5, 5, 5, 50])  # ten wait, so one more is made, and then 60 do
        time.sleep(0.02)
        assert made == [5, 5, 5, 50]
        assert list(stream) == [5, 5, 50, 1, 1]


def test_leaving_early_waits_for_the_item_being_made_and_makes_no_other():
    made, begun, go = [], threading.Event(), threading.Event()

    def items():
        yield 0
        begun.set()
        go.wait(20)
        made.append(1)
        yield 1
        made.append(2)

    stream = ahead(items())
    assert next(stream) == 0
    begun.wait(20)
    threading.Timer(0.05, go.set).start()
    stream.close()
    assert made == [1]


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


class Disk(io.BytesIO):
    """A file that takes so many bytes, and counts the threads that write to it."""

    def __init__(self, room=10**9):
        super().__init__()
        self.room, self.threads = room, set()

    def write(self, data):
        self.threads.add(threading.current_thread())
        if len(self.getvalue()) + len(data) > self.room:
            raise OSError(28, "No space left on device")
        return super().write(data)


def write_table(disk, rows=50_000, most=1_000):
    table = pa.table({"n": np.arange(rows), "text": [f"row {i}" for i in range(rows)]})
    with written_behind(disk, most) as file, pq.ParquetWriter(file, table.schema) as writer:
        writer.write_table(table, row_group_size=1_000)
    return table


def test_a_file_written_behind_has_the_bytes_of_one_written_at_once_and_another_thread_wrote_them():
    disk, plain = Disk(), io.BytesIO()
    table = write_table(disk)
    pq.write_table(table, plain, row_group_size=1_000)
    assert disk.getvalue() == plain.getvalue()
    assert threading.main_thread() not in disk.threads


def test_a_file_goes_on_from_its_place():
    disk = Disk()
    disk.write(b"head")
    with written_behind(disk) as file:
        assert file.tell() == 4
        assert file.write(b"more") == 4
        assert file.tell() == 8
    assert disk.getvalue() == b"headmore"


@pytest.mark.parametrize("room", [0, 3_000, 200_000])
def test_a_disk_that_is_full_is_told_in_the_systems_own_words(room):
    with pytest.raises(OSError, match="No space left") as told:
        write_table(Disk(room))
    assert told.value.errno == 28


def test_no_more_than_so_many_bytes_wait_to_be_written():
    go, disk = threading.Event(), Disk()
    slow = type("Slow", (), {"write": lambda self, data: go.wait(20) and disk.write(data), "tell": disk.tell})()
    handed = []

    def hand(file):
        for _ in range(10):
            file.write(b"x" * 100)
            handed.append(1)

    with written_behind(slow, most=300) as file:
        thread = threading.Thread(target=hand, args=(file,))
        thread.start()
        until(lambda: len(handed) == 4)  # one is being written, three wait
        time.sleep(0.02)
        assert len(handed) == 4
        go.set()
        thread.join()
    assert disk.getvalue() == b"x" * 1_000


def test_what_waits_is_not_written_once_the_block_has_failed():
    go, disk = threading.Event(), Disk()
    slow = type("Slow", (), {"write": lambda self, data: go.wait(20) and disk.write(data), "tell": disk.tell})()

    def run():
        with written_behind(slow) as file:
            file.write(b"first")
            file.write(b"second")
            threading.Timer(0.05, go.set).start()
            raise ValueError("on the way")

    with pytest.raises(ValueError, match="on the way"):
        run()
    assert disk.getvalue() in (b"", b"first")


def test_small_writes_are_handed_over_together_and_large_ones_at_once(monkeypatch):
    handed, put = [], overlap._Line.put
    monkeypatch.setattr(
        overlap._Line, "put", lambda self, item, weight: handed.append(weight) or put(self, item, weight)
    )
    disk = Disk()
    with written_behind(disk) as file:
        for _ in range(1_000):
            file.write(b"xy")
        file.write(b"z" * overlap.TOGETHER)
        file.write(b"end")
    assert disk.getvalue() == b"xy" * 1_000 + b"z" * overlap.TOGETHER + b"end"
    assert handed == [2_000 + overlap.TOGETHER, 3]
