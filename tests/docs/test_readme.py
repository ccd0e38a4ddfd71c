"""The README's blocks run as they stand, on the real sample, and what it and docs/ show is what the commands say."""

import re

import pytest

from tests.docs.world import FLAGS, MADE, in_a_copy, outputs, runs_here
from tests.pages import README, blocks, lines_of, name_of, pages

NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?!\w)")
CLOSE = 0.1  # of a number, or .03: machines differ in the last digits, and what follows from them may do so a bit more
MOST_LINES = 150

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning")]


@pytest.fixture(scope="module")
def told(world, tmp_path_factory):
    """What each of the README's commands writes."""
    with pytest.MonkeyPatch.context() as patch:
        in_a_copy(world, tmp_path_factory.mktemp("readme"), patch, without=MADE)
        return outputs(README, FLAGS)


def shown_blocks():
    found = [(page, block) for page in pages() for block in blocks(page) if block.shown is not None]
    return [pytest.param(block, id=f"{name_of(page)}: {block.lines()[-1]}") for page, block in found]


def test_every_command_of_the_readme_runs(told):
    assert set(told) == {line for line in lines_of(README) if runs_here(line)}


@pytest.mark.parametrize("block", shown_blocks())
def test_what_a_page_shows_is_what_the_command_says_on_the_sample(block, told):
    said = "".join(told[line] for line in block.lines())
    assert shows(block.shown, said), said


def shows(shown, told):
    """Whether all that is shown was told, in this order: words to the letter, numbers closely; `…` stands for more."""
    pattern = r"\s*".join(_pattern(line) for line in shown.split())
    found = re.fullmatch(rf"\s*{pattern}\s*", told, re.DOTALL)
    if not found:
        return False
    wanted = [number for word in shown.split() for number in NUMBER.findall(word)]
    pairs = [(_value(a), _value(b)) for a, b in zip(wanted, found.groups(), strict=True)]
    return all(abs(a - b) <= max(CLOSE * abs(a), 0.03) for a, b in pairs)


def _pattern(word):
    """A word as a regular expression, each of its numbers a group."""
    parts, end = [], 0
    for match in NUMBER.finditer(word):
        parts += [re.escape(word[end : match.start()]), r"(\d[\d,]*(?:\.\d+)?)"]
        end = match.end()
    return "".join([*parts, re.escape(word[end:])]).replace("…", ".*?")


def _value(number):
    return float(number.replace(",", ""))


def test_a_shown_output_that_is_not_told_is_found():
    told = "bicro (fit 1a2b): 18.0% of 2,000\n  more\nend 0.966 ± 0.015\n"
    assert shows("bicro (fit …): 18.1% of 2,000\n…\nend 0.967 ± 0.015\n", told)
    assert not shows("bicro (fit …): 28.0% of 2,000\n…\nend 0.966 ± 0.015\n", told)
    assert not shows("bicro (fit …): 18.0% of 2,000\nend 0.966 ± 0.015\n", told)
    assert not shows("bicro (fit …): 18.0% of 2,000\n…\nend 0.966 + 0.015\n", told)


def test_a_newcomer_can_finish_it():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= MOST_LINES
