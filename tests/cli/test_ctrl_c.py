"""Ctrl-C at any instant: exit code 130, and how to go on; a rerun gives what an undisturbed run gives."""

import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.worlds import processes
from tests.worlds.sample import SAMPLE, TINY

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sends SIGINT and reads /proc")

RESUME, AGAIN = (
    "ncaudit: interrupted; what is finished is kept. Resume with:",
    "ncaudit: interrupted before anything was finished. Begin again with:",
)
LOOK = ["inspect", "data.parquet"]
EMBED = ["embed", "data.parquet", "--out", "new", "--model", TINY, "--precision", "float32", "--workers", "1"]
# a library of somebody else's, within whose code the user presses Ctrl-C
PRESSED = """
    import signal, sys

    def pressed(becomes):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            if becomes is not None:
                raise becomes from None

    {patch}
    from ncaudit.__main__ import main
    sys.argv[0] = "ncaudit"
    main()
"""
IN_THE_MODEL = """
    import open_clip
    def create(*_, **__):
        pressed(RuntimeError("could not determine the shape of object type UntypedStorage"))
    open_clip.create_model = create
"""
IN_GENERATED_CODE = """
    import ncaudit.cli.app, ncaudit.verbs.inspect.inspect as module
    module.inspect = lambda *_: exec("signal.raise_signal(signal.SIGINT)", {"signal": signal})
"""
IN_AN_IMPORT = """
    import ncaudit.cli.app, ncaudit.verbs.inspect.inspect as module
    module.inspect = lambda *_: pressed(ImportError("cannot import name 'x' from partially initialized module 'y'"))
"""
AND_SWALLOWED = """
    import ncaudit.cli.app, ncaudit.verbs.inspect.inspect as module
    before = module.inspect
    def inspect(*given):
        pressed(None)
        return before(*given)
    module.inspect = inspect
"""
AT_THE_END = """
    import ncaudit.cli.app, ncaudit.cli.commands.command as module
    before = module.output.result
    def result(*given, **more):
        before(*given, **more)
        pressed(None)
    module.output.result = result
"""


def hears_ctrl_c():
    """Tests that run in the background of a shell are deaf to it, and what they start would be so, too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def ends(patch, words, cwd):
    """(exit code, standard error's lines) of a command whose user presses Ctrl-C within a library."""
    program = textwrap.dedent(PRESSED).replace("{patch}", textwrap.dedent(patch))
    (cwd / "pressed.py").write_text(program)  # a module: as `python -m ncaudit` is
    ran = processes.run([sys.executable, "-m", "pressed", *words], capture_output=True, text=True, cwd=cwd)
    return ran.returncode, ran.stderr.splitlines()


@pytest.mark.slow
def test_within_the_loading_of_a_model_it_is_no_bad_model(tmp_path):
    words = ["embed", str(SAMPLE), "--out", "new", "--model", TINY, "--workers", "0"]
    code, told = ends(IN_THE_MODEL, words, tmp_path)
    assert (code, told[-2:]) == (130, [AGAIN, f"  ncaudit {' '.join(words)}"])
    assert not list(tmp_path.rglob("*.parquet"))


@pytest.mark.parametrize(
    ("patch", "said"),
    [(IN_GENERATED_CODE, AGAIN), (IN_AN_IMPORT, AGAIN), (AND_SWALLOWED, AGAIN), (AT_THE_END, RESUME)],
    ids=["generated code", "an import", "swallowed", "swallowed at the end"],
)
def test_within_a_library_it_is_told_as_what_it_is(tmp_path, patch, said):
    code, told = ends(patch, ["inspect", str(SAMPLE)], tmp_path)
    assert (code, told[-2:]) == (130, [said, f"  ncaudit inspect {SAMPLE}"])
    assert "Traceback" not in "".join(told)


@pytest.mark.slow
@pytest.mark.parametrize(("words", "instants"), [(LOOK, 4), (EMBED, 2)], ids=["inspect", "embed"])
def test_at_any_instant_it_ends_with_130_and_a_rerun_ends_the_same(tmp_path, words, instants):
    pq.write_table(pq.read_table(SAMPLE / "train.parquet").slice(0, 40), tmp_path / "data.parquet")
    process, began = begin(words, tmp_path), time.monotonic()
    process.communicate()
    seconds, whole, codes, draw = time.monotonic() - began, files(tmp_path), [], random.Random(5)
    for fraction in (0.0, *(draw.random() for _ in range(instants))):
        shutil.rmtree(tmp_path / "new", ignore_errors=True)
        codes.append(hit(begin(words, tmp_path), fraction * seconds, words))
    assert codes[0] == 130
    assert set(codes) <= {0, 130}  # this machine may be quicker now than it was at first
    assert processes.run(command(words), cwd=tmp_path, capture_output=True).returncode == 0
    assert files(tmp_path) == whole


def command(words):
    return [sys.executable, "-m", "ncaudit", *words]


def begin(words, cwd):
    """The process, as soon as it is ncaudit's: before that Python itself answers."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command(words), cwd=cwd, stdout=pipe, stderr=pipe, text=True, preexec_fn=hears_ctrl_c, start_new_session=True
    )
    while "numpy" not in Path(f"/proc/{process.pid}/maps").read_text() and process.poll() is None:
        time.sleep(0.001)
    return process


def hit(process, after, words):
    """The exit code; 130 comes with what to do."""
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    told = process.communicate()[1]
    assert "Traceback" not in told
    assert "ignored" not in told
    if process.returncode == 130:
        first, second = told.splitlines()[-2:]
        assert first in (RESUME, AGAIN)
        assert second == f"  ncaudit {' '.join(words)}"
    return process.returncode


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
