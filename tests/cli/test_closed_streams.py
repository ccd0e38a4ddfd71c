"""Standard streams that the caller has closed, or that are full: the work is done, and nothing is said twice or raw."""

import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells")]
NCAUDIT = f"{sys.executable} -m ncaudit"


@pytest.fixture
def here(tmp_path):
    pq.write_table(
        pa.table({"pair_id": ["a", "b"], "status": ["ok"] * 2, "soft_label": [0.1, 0.9]}), tmp_path / "s.parquet"
    )
    return tmp_path


def shell(here, line):
    ran = subprocess.run(["sh", "-c", line], cwd=here, capture_output=True, text=True, check=False)
    assert "Traceback" not in ran.stderr
    assert "Exception ignored" not in ran.stderr
    return ran


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_the_work_is_done_whichever_streams_are_closed(here, closed):
    assert shell(here, f"{NCAUDIT} filter s.parquet --min-soft-label .5 --out kept.parquet {closed}").returncode == 0
    assert pq.read_table(here / "kept.parquet")["pair_id"].to_pylist() == ["b"]


@pytest.mark.parametrize(
    "line",
    [
        "filter s.parquet --min-soft-label .5 --out - >&-",
        "filter s.parquet --min-soft-label .5 --out - >/dev/full",
        "inspect s.parquet --json >&-",
        "inspect s.parquet >/dev/full",
        "--version >/dev/full",
    ],
)
def test_data_that_cannot_be_written_is_told(here, line):
    ran = shell(here, f"{NCAUDIT} -q {line}")
    assert ran.returncode == 1
    first, second = ran.stderr.splitlines()
    assert first.startswith("ncaudit: standard output")
    assert second.startswith("  fix: ")


@pytest.mark.parametrize("words", ["--help", "eval scores --help"])
def test_help_on_a_full_disk_is_quiet(here, words):
    ran = shell(here, f"{NCAUDIT} {words} >/dev/full")
    assert (ran.returncode, ran.stderr) == (1, "")
    assert shell(here, f"{NCAUDIT} {words} >&-").returncode == 0


@pytest.mark.parametrize("closed", ["2>&-", ">/dev/full"])
def test_exit_codes_stay_what_they_are(here, closed):
    for words, code in (("filter --nope", 2), ("inspect nothing.parquet", 1), ("inspect s.parquet --features ''", 1)):
        assert shell(here, f"{NCAUDIT} {words} {closed}").returncode == code


def test_rows_from_a_closed_input_are_no_rows(here):
    ran = shell(here, f"{NCAUDIT} -q filter - --min-soft-label .5 --out - <&-")
    assert (ran.returncode, len(ran.stderr.splitlines())) == (1, 2)


def test_no_file_of_ours_takes_the_place_of_a_closed_stream(here):
    program = (
        "import os, sys; from ncaudit.cli.shared import output; output.take_streams();"
        "assert os.open('mine', os.O_CREAT | os.O_WRONLY) > 2; os.write(2, b'a stranger'); sys.stderr.write('words')"
    )
    assert shell(here, f'{sys.executable} -c "{program}" <&- >&- 2>&-').returncode == 0
    assert (here / "mine").read_bytes() == b""
