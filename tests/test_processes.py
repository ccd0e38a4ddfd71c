"""Processes that tests fork begin, live and end as those that the system starts."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.worlds import processes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
ENDS = {  # what they do, and how it ends
    "falling off": ("pass", 0, ""),
    "a code": ("import sys; sys.exit(3)", 3, ""),
    "words": ("import sys; sys.exit('no room')", 1, "no room\n"),
    "an error": ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
    "a hook's words": ("import sys; sys.excepthook = lambda *_: sys.stderr.write('mine'); 1 / 0", 1, "mine"),
    "Ctrl-C": ("raise KeyboardInterrupt", -signal.SIGINT, "KeyboardInterrupt\n"),
    "a signal": ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, ""),
    "what it put off": ("import atexit, sys; atexit.register(lambda: sys.stderr.write('last'))", 0, "last"),
}


def python(*words):
    return [sys.executable, "-c", *words]


def run(program, *words, **how):
    return processes.run(python(program, *words), capture_output=True, text=True, **how)


@pytest.mark.parametrize("begin", [processes.Popen, processes.new], ids=["forked", "new"])
@pytest.mark.parametrize("how", ENDS)
def test_it_ends_as_its_program_does(how, begin):
    program, code, words = ENDS[how]
    with begin(python(program), **PIPES) as process:
        told, error = process.communicate(timeout=60)
    assert (process.returncode, told) == (code, "")
    assert error.endswith(words)
    assert "Process" not in error
    assert bool(words) is bool(error)


def test_it_is_forked_where_nothing_is_asked_that_is_read_at_the_start():
    def is_forked(**more):
        return processes._can_be_forked(python("pass"), {**plain, **more})

    assert run("import sys; print(__name__)").stdout == "__main__\n"  # by now there is what others are forked from
    plain = dict(processes._started_with)
    assert is_forked()
    assert is_forked(PYTHONPATH="elsewhere", PYTHONBREAKPOINT="x.y", MINE="1")
    assert not any(
        is_forked(**asked) for asked in ({"PYTHONHASHSEED": "7"}, {"OMP_NUM_THREADS": "9"}, {"HF_HOME": "x"})
    )


def test_its_words_streams_folder_and_environment_are_its_own(tmp_path):
    program = "import os, sys; print(sys.argv, os.getcwd(), sorted(os.environ), sys.stdin.read())"
    kept = {name: value for name, value in os.environ.items() if name.startswith(processes.READ_AT_START)}
    ran = run(program, "a b", cwd=tmp_path, input="in", env={**kept, "MINE": "1"})
    assert ran.stdout.startswith(f"['-c', 'a b'] {tmp_path} ")
    assert "'MINE'" in ran.stdout
    assert "HOME" not in ran.stdout
    assert ran.stdout.endswith(" in\n")
    with open(tmp_path / "both", "w") as file:
        processes.run(python("print(1, flush=True); 1 / 0"), stdout=file, stderr=subprocess.STDOUT)
    assert (tmp_path / "both").read_text().startswith("1\nTraceback")


def test_a_module_of_its_folder_is_run_as_the_main_one(tmp_path):
    (tmp_path / "mine.py").write_text("import sys; print(__name__, sys.argv[1:])")
    ran = processes.run([sys.executable, "-m", "mine", "x"], cwd=tmp_path, capture_output=True, text=True)
    assert ran.stdout == "__main__ ['x']\n"


def test_a_file_is_run_as_the_main_one_and_finds_its_neighbours(tmp_path):
    (tmp_path / "beside.py").write_text("FOUND = 1")
    (tmp_path / "mine.py").write_text("import sys, beside; print(__name__, sys.argv[1:], beside.FOUND)")
    ran = processes.run([sys.executable, tmp_path / "mine.py", "x"], capture_output=True, text=True)
    assert ran.stdout == "__main__ ['x'] 1\n"


def test_its_number_and_session_are_real_and_signals_reach_it():
    program = "import os, time; print(os.getpid(), os.getsid(0), flush=True); time.sleep(60)"
    with processes.Popen(python(program), **PIPES) as process:
        assert process.stdout.readline() == f"{process.pid} {process.pid}\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in process.communicate()[1]
    assert process.returncode == -signal.SIGINT


def test_nobody_else_holds_its_pipes():
    writer = processes.Popen(python("print('x' * 10, flush=True); import time; time.sleep(60)"), stdout=subprocess.PIPE)
    other = processes.Popen(python("import time; time.sleep(60)"))
    writer.kill()
    began = time.monotonic()
    assert writer.communicate()[0] in (b"", b"x" * 10 + b"\n")
    assert time.monotonic() - began < 30
    other.kill()
    other.wait()


def test_ranks_are_joined():
    program = (
        "import torch; from torch import distributed as d; d.init_process_group('gloo');"
        "one = torch.tensor([d.get_rank() + 1]); d.all_reduce(one); print(int(one)); d.destroy_process_group()"
    )
    assert [one.stdout for one in processes.ranks(python(program))] == ["3\n", "3\n"]
