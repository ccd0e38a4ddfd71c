"""Four architectures of open_clip as they are, one of each kind of tower: saved, loaded, and four pairs embedded.

All others that fit are walked by `tests/benchmarks/families.py`, with the same checks.
"""

import pytest

from tests.worlds.families import build, check, needs_transformers, weights_gib

SMALL = {  # the smallest of each: whether captions are encoded at their own length
    "ViT-S-32-alt": True,  # open_clip's own towers
    "RN50": True,  # convolutions, attention pooling
    "PE-Core-T-16-384": True,  # an image tower of timm
    "roberta-ViT-B-32": False,  # a text tower of transformers
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_it_embeds_what_was_built(tmp_path, name):
    if needs_transformers(name):
        pytest.importorskip("transformers")
    checked = check(build(name, tmp_path / "model"), tmp_path / "out")
    assert checked.faults == ()
    assert checked.trims is SMALL[name]


def test_weights_are_counted_without_making_them():
    assert weights_gib("RN50") == pytest.approx(102_007_137 * 4 / 2**30, rel=0.01)  # as many parameters as published
