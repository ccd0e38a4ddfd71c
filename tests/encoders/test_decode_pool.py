"""Images come back in order, a crash costs one image, and workers outlive nobody."""

import io
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import CancelledError

import numpy as np
import pytest
from PIL import Image

from ncaudit.encoders import decode_pool
from ncaudit.encoders.decode_pool import DecodePool
from ncaudit.encoders.images import Decoded, ImageError, Preprocess
from ncaudit.errors import NcauditError
from ncaudit.schema import UNFINISHED
from tests.worlds.images import encoded, of_one_colour

PREPROCESS = Preprocess((16, 16))
DEADLY = b"this kills its decoder"
# what a broken native library does, in the worker only
KILLER = (
    "import os; import ncaudit.encoders.decode_pool as pool; decode = pool.decode\n"
    f"pool.decode = lambda data, *a: os.kill(os.getpid(), 11) if data == {DEADLY!r} else decode(data, *a)\n"
    "pool.serve()"
)


def png(value):
    return of_one_colour((value, 0, 0), (16, 16))


def first_pixels(outcomes):
    return [int(outcome.pixels[0, 0, 0]) for outcome in outcomes if isinstance(outcome, Decoded)]


@pytest.mark.parametrize("workers", [0, 2])
def test_outcomes_come_back_in_order_and_failures_in_their_place(workers):
    images = [png(i) for i in range(40)]
    images[17] = b"<html>"
    with DecodePool(workers) as pool:
        outcomes = list(pool.submit(images, PREPROCESS, 10_000).results())
    assert isinstance(outcomes[17], ImageError)
    assert first_pixels(outcomes) == [i for i in range(40) if i != 17]


def test_a_crash_costs_the_image_that_crashes_and_no_other(monkeypatch):
    monkeypatch.setattr(decode_pool, "_PROGRAM", decode_pool._PROGRAM.replace("serve()", "") + KILLER)
    images = [png(i) for i in range(60)]
    for deadly in (3, 4, 50):
        images[deadly] = DEADLY
    with DecodePool(2) as pool:
        outcomes = list(pool.submit(images, PREPROCESS, 10_000).results())
        again = list(pool.submit(images[:3], PREPROCESS, 10_000).results())
    crashed = [i for i, outcome in enumerate(outcomes) if isinstance(outcome, ImageError)]
    assert crashed == [3, 4, 50]
    assert (outcomes[3].status, outcomes[3].detail) == ("image_undecodable", "the decoder crashed on it")
    assert first_pixels(outcomes) == [i for i in range(60) if i not in crashed]
    assert first_pixels(again) == [0, 1, 2]


def acting(act):
    """A worker's program in which `act(pool, data)` is done before an image is decoded."""
    return decode_pool._PROGRAM.replace(
        "serve()",
        "import os, time; import ncaudit.encoders.decode_pool as pool; decode = pool.decode\n"
        "pool.SECONDS_PER_IMAGE = .5\n"
        f"pool.decode = lambda data, *a: ({act}, decode(data, *a))[1]\n"
        "pool.serve()",
    )


def test_an_image_that_computes_without_end_is_stopped_and_no_other(monkeypatch):
    deadly = f"[None for _ in iter(int, 1)] if data == {DEADLY!r} else None"
    monkeypatch.setattr(decode_pool, "_PROGRAM", acting(deadly))
    images = [png(i) for i in range(20)]
    images[3] = DEADLY
    with DecodePool(1) as pool:
        outcomes = list(pool.submit(images, PREPROCESS, 10_000).results())
    assert (outcomes[3].status, outcomes[3].detail) == (UNFINISHED, "its decoder was stopped after 60 s of computing")
    assert first_pixels(outcomes) == [i for i in range(20) if i != 3]


def test_a_machine_that_is_busy_or_asleep_stops_no_image(monkeypatch):
    monkeypatch.setattr(decode_pool, "_PROGRAM", acting("time.sleep(1)"))
    with DecodePool(1) as pool:
        assert first_pixels(pool.submit([png(7)], PREPROCESS, 10_000).results()) == [7]


def test_a_decoder_that_the_system_kills_does_not_convict_its_image(monkeypatch):
    monkeypatch.setattr(decode_pool, "_PROGRAM", acting("os.kill(os.getpid(), 9)"))
    with DecodePool(1) as pool:
        (outcome,) = pool.submit([png(1)], PREPROCESS, 10_000).results()
    assert (outcome.status, "memory" in outcome.detail) == (UNFINISHED, True)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_beyond_pils_own_bound_is_decoded_in_silence_wherever(workers, recwarn):
    data = encoded(Image.new("1", (14_000, 14_000)))
    with DecodePool(workers) as pool:
        (outcome,) = pool.submit([data], PREPROCESS, 300_000_000).results()
    assert (outcome.width, outcome.height) == (14_000, 14_000)
    assert not recwarn.list


def test_workers_that_cannot_start_are_an_error_not_undecodable_images(monkeypatch):
    monkeypatch.setattr(decode_pool, "_PROGRAM", "raise SystemExit(1)  # {path}")
    with DecodePool(1) as pool, pytest.raises(NcauditError, match="cannot be started") as caught:
        list(pool.submit([png(1)], PREPROCESS, 10_000).results())
    assert "--workers 0" in caught.value.fix


def test_closing_does_not_wait_for_what_nobody_wants():
    pool = DecodePool(1)
    pool.submit([png(1)] * 20_000, PREPROCESS, 10_000)
    begun = time.monotonic()
    pool.close()
    assert time.monotonic() - begun < 5


def test_closing_does_not_wait_for_the_image_that_is_being_decoded(monkeypatch, tmp_path):
    begun = tmp_path / "begun"
    slow = f"import time; pool.decode = lambda *_: (open({str(begun)!r}, 'w').close(), time.sleep(60)); pool.serve()"
    program = "import ncaudit.encoders.decode_pool as pool; " + slow
    monkeypatch.setattr(decode_pool, "_PROGRAM", decode_pool._PROGRAM.replace("serve()", program))
    pool = DecodePool(1)
    pending = pool.submit([png(1)], PREPROCESS, 10_000)
    while not begun.exists():
        time.sleep(0.01)
    since = time.monotonic()
    pool.close()
    assert time.monotonic() - since < 30
    with pytest.raises(CancelledError):
        list(pending.results())


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


# A script as people write it: no main guard, and what it does at its top must happen once.
SCRIPT = """
import io, sys, time
from PIL import Image
from ncaudit.encoders.decode_pool import DecodePool
from ncaudit.encoders.images import Preprocess
print("begun", flush=True)
buffer = io.BytesIO(); Image.new("RGB", (16, 16)).save(buffer, "PNG")
pool = DecodePool(2)
print(len(list(pool.submit([buffer.getvalue()] * 40, Preprocess((16, 16)), 1000).results())), flush=True)
time.sleep(60 if "wait" in sys.argv else 0)
pool.close()
"""


def test_a_script_without_a_main_guard_runs_once(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["begun", "40"], done.stderr


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="reads /proc")
def test_workers_die_with_a_parent_that_is_killed_and_ignore_ctrl_c(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "script.py", "wait"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True) as parent:
        assert [parent.stdout.readline().strip() for _ in range(2)] == ["begun", "40"]
        workers = children_of(parent.pid)
        assert len(workers) == 2
        assert all(os.getpgid(worker) != os.getpgid(parent.pid) for worker in workers)  # the terminal's Ctrl-C
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        deadline = time.monotonic() + 10
        while any(map(is_alive, workers)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(is_alive, workers))


def test_pixels_survive_the_journey_exactly():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8))
    buffer = io.BytesIO()
    noise.save(buffer, "PNG")
    with DecodePool(1) as pool:
        (outcome,) = pool.submit([buffer.getvalue()], PREPROCESS, 10_000).results()
    np.testing.assert_array_equal(outcome.pixels, np.asarray(noise))
