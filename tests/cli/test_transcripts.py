"""What every command tells at its end, word for word: `tests/worlds/transcripts.py` says how it is renewed."""

import pytest

from tests.worlds.transcripts import GOLDEN, LINES, make, masked, too_wide, transcripts

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning")]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("transcripts")
        make(folder, patch)
        found = dict(transcripts(patch))
        patch.chdir(folder.parent)
        yield found


@pytest.mark.parametrize("name", LINES)
def test_a_command_tells_what_it_told(told, name):
    assert masked(told[name]) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", LINES)
def test_no_line_is_too_wide(told, name):
    assert not too_wide(told[name])


def test_every_transcript_is_of_a_command():
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(LINES)


def test_what_differs_between_runs_is_masked_and_nothing_else():
    assert masked("noise rate 18.5% of 2,000 rows, fit 0123456789abcdef") == "noise rate ##.#% of #,### rows, fit ID"
    assert masked("float32 in scores-2/, by ViT-B-32") == "float32 in scores-2/, by ViT-B-32"
    assert masked("0.000  000000416  a red car") == "#.###  #########  CAPTION"
    assert masked("from: a.parquet (212-c26c), 856.1 KiB, 1,500 pairs/s") == "from: a.parquet (ID), # KiB, # pairs/s"
