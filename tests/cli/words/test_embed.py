"""The words of `embed`: where the embeddings are, how pairs are named, by which model."""

from dataclasses import replace
from typing import Any

import pytest

from ncaudit.cli.layout.rendering import plain
from ncaudit.cli.words import embed
from ncaudit.encoders.open_clip import ModelIdentity
from ncaudit.engines.local import Accounting
from ncaudit.verbs.embed.embed import EmbedResult

MODEL = ModelIdentity("ViT-B-32", "0123456789abcdef", "gelu", None, "float32", 512, 512)  # preprocessing is not told
RESULT = EmbedResult(
    out="emb", model=MODEL, batch_pairs=64, key="uid", input_rows=4, accounting=Accounting(1, 0, (), {"ok": 4}),
    seconds=1.0, notes=("look",),
)  # fmt: skip


def lines(result: Any) -> list[str]:
    return plain(embed.lines(result))


def told(**changes: Any) -> list[str]:
    return lines(replace(RESULT, **changes))


def test_where_by_which_name_and_by_which_model():
    assert told() == [
        "4 rows = 4 ok + 0 failed (1 shard)",
        "embeddings in emb, 512 dimensions; pairs are named by column uid",
        "next: ncaudit score emb --out scores/",
        "by ViT-B-32, gelu, float32, weights 0123456789ab, batches of 64",
        "note: look",
    ]
    assert not any(line.startswith("next") for line in told(out="-"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"out": "-"}, "embeddings on standard output, "),
        ({"key": None}, "named by shard and row"),
        ({"model": replace(MODEL, text_dims=768)}, ", 512/768 dimensions;"),
        ({"model": replace(MODEL, heads="fedcba9876543210")}, "weights 0123456789ab, heads fedcba987654, batches"),
    ],
)
def test_what_differs_is_told_in_its_place(changes, said):
    assert said in "\n".join(told(**changes))


def test_rows_with_several_captions_are_counted_as_pairs():
    assert told(input_rows=2)[1] == "2 input rows with several captions are 4 pairs, a row of the tables each"
