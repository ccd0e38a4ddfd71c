"""Every shell and Python block of the pages in docs/ runs, in order, in a prepared folder (see `world.py`)."""

import shlex

import pytest

from tests.docs.world import NEEDS, OTHERS, QUICK, in_a_copy, outputs, runs_here
from tests.pages import README, blocks, lines_of, name_of, pages

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning")]
TO_RUN = [page for page in pages() if page != README and {block.language for block in blocks(page)} & {"sh", "python"}]


@pytest.mark.parametrize("page", TO_RUN, ids=name_of)
def test_every_block_of_a_page_runs(page, world, tmp_path, monkeypatch):
    in_a_copy(world, tmp_path, monkeypatch)
    assert set(outputs(page, QUICK)) == {line for line in lines_of(page) if runs_here(line)}


def test_whatever_is_not_run_says_why():
    assert runs_here("ncaudit embed data/ --out emb")
    assert not runs_here("ncaudit embed s3://bucket --out emb   # needs the network")
    with pytest.raises(AssertionError):
        runs_here("ncaudit embed data/ --out emb   # needs patience")
    every = [line for page in pages() for line in lines_of(page)]
    assert {shlex.split(line)[0] for line in every} == {"ncaudit", *OTHERS}
    assert {line.partition("# needs ")[2] for line in every} - {""} == NEEDS


def test_every_block_has_a_language_that_is_known():
    assert {block.language for page in pages() for block in blocks(page)} <= {"sh", "python", "text"}
