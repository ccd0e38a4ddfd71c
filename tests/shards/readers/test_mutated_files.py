"""Damaged Arrow and parquet never end the process, nor in a traceback: rows are accounted for, or it is told."""

import json
import subprocess
import sys

import pytest

from tests.worlds.mutated_files import KINDS

EACH = 60


@pytest.mark.parametrize("kind", KINDS)
def test_three_hundred_damaged_files_are_read_or_told(kind):
    words = [sys.executable, "-m", "tests.worlds.mutated_files", kind, str(EACH)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    ends = json.loads(done.stdout)
    assert set(ends) <= {"read", "told"}, done.stderr
    assert ends["told"] > EACH / 4  # else the damage would be none
