"""What a result shows in a notebook."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from ncaudit.engines.local import Accounting
from ncaudit.readable import MOST, Readable


@dataclass(frozen=True)
class Part:
    auroc: float | None
    pairs: int


@dataclass(frozen=True, repr=False)
class Result(Readable, first=("noise_rate", "part.auroc", "verdicts", "accounting", "seconds")):
    noise_rate: float | None
    verdicts: Mapping[str, int]
    accounting: Accounting
    seconds: float
    out: str = "scores"
    part: Part | None = None
    names: tuple[str, ...] = ()


def result(**changed: object) -> Result:
    known = {
        "noise_rate": 0.1802,
        "verdicts": {"clean": 1_418, "noisy": 355},
        "accounting": Accounting(1, 0, (), {"ok": 1_999, "image_missing": 1}),
        "seconds": 27.26,
    }
    return Result(**{**known, **changed})


def test_its_line_tells_what_matters_in_the_order_that_is_named():
    assert repr(result()) == (
        "Result: noise_rate 18.0%, verdicts (1,418 clean, 355 noisy), 2,000 rows = 1,999 ok + 1 failed, 27.3 s"
    )


def test_what_is_not_known_is_left_out():
    assert repr(result(noise_rate=None, verdicts={})).startswith("Result: 2,000 rows")


def test_a_field_of_a_field_is_told_where_there_is_one():
    assert "part.auroc 0.966" in repr(result(part=Part(0.96612, 10)))
    assert "auroc" not in repr(result(part=Part(None, 10)))


@pytest.mark.parametrize("text", ["\x1b[31m", "‮abc", "a\nb"])
def test_a_line_is_one_line_and_steers_nothing(text):
    told = repr(result(verdicts={text: 1}))
    assert told.isprintable()


def test_a_notebook_gets_every_field_and_no_markup_of_a_user():
    html = result(names=("<script>", "b"), out="a&b", part=Part(0.5, 7))._repr_html_()
    assert "<script>" not in html
    assert all(told in html for told in ("&lt;script&gt;", "a&amp;b", "18.0%", "1,418", "0.5", "7"))


def test_a_long_list_is_cut_and_says_so():
    html = result(names=tuple(f"name {number}" for number in range(MOST + 5)))._repr_html_()
    assert f"name {MOST - 1}<br>and 5 more" in html
    assert f"name {MOST}" not in html


def test_a_subclass_without_an_order_of_its_own_keeps_that_of_its_base():
    @dataclass(frozen=True, repr=False)
    class More(Result):
        more: int = 3

    told = More(0.5, {}, Accounting(1, 0, (), {}), 1.0)
    assert repr(told).startswith("More: noise_rate 50.0%")
    assert "more" in told._repr_html_()
