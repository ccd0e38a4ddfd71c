"""While a command computes all libraries keep to its threads, and afterwards they are as they were."""

import os
import subprocess
import sys

import pyarrow as pa
import torch
from threadpoolctl import threadpool_info

from ncaudit.engines.pace import computing


def blas_threads() -> set[int]:
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


def test_libraries_keep_to_the_threads_and_are_as_they_were():
    before = pa.cpu_count(), torch.get_num_threads(), blas_threads()
    with computing(3, exact=True):
        assert pa.cpu_count() == 3
        assert torch.get_num_threads() == 1
        assert blas_threads() <= {1}
    with computing(3):
        assert pa.cpu_count() == 3
        assert torch.get_num_threads() == 3
    assert (pa.cpu_count(), torch.get_num_threads(), blas_threads()) == before


def test_torch_is_not_loaded_for_it():
    program = (
        "import sys; from ncaudit.engines.pace import computing\n"
        "with computing(None): pass\n"
        "assert not {'torch', 'faiss', 'sklearn'} & set(sys.modules), 'loaded'"
    )
    ran = subprocess.run([sys.executable, "-c", program], env={**os.environ}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
