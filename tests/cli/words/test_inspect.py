"""The words of `inspect`: what it is, what it holds, what is wrong with it, and the next command last."""

from dataclasses import replace
from typing import Any

import pytest

from ncaudit.cli.layout.rendering import plain
from ncaudit.cli.words import inspect
from ncaudit.engines.local import ShardError
from ncaudit.verbs.inspect.findings import Captions, FolderInspection, Images, KeyColumn, ShardsInspection, Told
from ncaudit.verbs.inspect.image_sample import ImageSample

SHARDS = ShardsInspection(
    sources=("data",), kind="dataset", what="table (parquet)", next=("ncaudit embed data",), first=(), format="parquet",
    shards=2, bytes=3 << 20, rows=2_000, pairs=2_000, columns={"jpg": "binary", "caption": "string"}, captions=None,
    keys=(), images=None, url=None, prior_scores=(), class_columns=(), truth_columns=(), words={}, mean_soft_label=None,
    soft_labels_below_half=0, dims=None, features=(), provenance=(), schema_differences=(), other_kinds={}, damaged=(),
    without_pairs=(),
)  # fmt: skip
SAMPLE = ImageSample(
    sampled=64, read=63, formats={"jpeg": 63}, width=(10, 20, 30), height=(11, 21, 31), problems={"image_missing": 1},
    first_problem="\x07gone", bordered=True,
)  # fmt: skip


def lines(result: Any) -> list[str]:
    return plain(inspect.lines(result))


def told(**changes: Any) -> list[str]:
    return lines(replace(SHARDS, **changes))


def between(**changes: Any) -> list[str]:
    """What is told between the columns and the next command."""
    return told(**changes)[2:-1]


def test_shards_are_told_from_what_they_are_to_the_next_command():
    assert told() == [
        "table (parquet): 2,000 rows in 2 shards, 3.0 MiB",
        "columns: jpg (binary), caption (string)",
        "next: ncaudit embed data",
    ]
    first = told(pairs=3_000, shards=1, bytes=1_000)[0]
    assert first == "table (parquet): 2,000 rows = 3,000 pairs in 1 shard, 1000 bytes"


def test_what_must_be_done_first_comes_before_the_commands_and_further_ones_after_them():
    found = told(first=("name one kind",), next=("one", "two"))
    assert found[-3:] == ["first: name one kind", "next: one", "also: two"]


def test_a_folder_is_told_by_its_facts():
    facts = {"dims": 512, "noise_rate": 0.25, "model": "\x1b[2J"}
    found = FolderInspection(sources=("fit",), kind="fit", what="fit of ncaudit score", next=(), first=(), facts=facts)
    assert lines(found) == ["fit of ncaudit score", "  dims: 512", "  noise_rate: 0.25", "  model: \\x1b[2J"]


def test_many_columns_are_cut_and_counted():
    assert told(columns={f"c{i}": "int64" for i in range(33)})[1].endswith("c29 (int64) and 3 more")


def test_the_images_of_a_sample_are_told_with_what_is_wrong_with_them():
    first, read, problems, border = between(images=Images(column="jpg", held="bytes", missing=1_200, sample=SAMPLE))
    assert first == "images: column jpg (bytes), 1,200 rows without"
    assert read == "  63 of 64 sampled: 63 jpeg; smallest/median/largest width 10/20/30, height 11/21/31"
    assert problems == "  in the sample: 1 image_missing (1.6%) (first: \\x07gone)"
    assert "white borders" in border


def test_captions_are_told_with_examples_that_steer_no_terminal():
    found = Captions(
        column="caption", others=("alt",), several=True, null=1_000, blank=2, examples=("a\x1b[2Jb",),
        of_several_lines=0,
    )  # fmt: skip
    assert between(captions=found) == [
        "captions: column caption, several per row, 1,000 null, 2 blank (could be too: alt)",
        "  a\\x1b[2Jb",
    ]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (KeyColumn(column="uid", null=0, repeated=0), "without repeats"),
        (KeyColumn(column="uid", null=3, repeated=1_200), "1,200 rows repeat one, 3 null"),
    ],
)
def test_keys_are_told_with_what_speaks_against_them(key, said):
    assert between(keys=(key,)) == [f"key: column uid, {said}"]


def test_words_and_labels_are_counted_and_noticed_columns_named():
    words = {"caption": {"ok": 1_500, "other": 500}, "status (sidecars)": {"ok": 3}}
    found = between(words=words, mean_soft_label=0.75, soft_labels_below_half=400, prior_scores=("clip",), url="url")
    assert found == [
        "caption: 1,500 ok (75.0%), 500 other (25.0%)",
        "status (sidecars): 3 ok",  # of other rows than these: no share
        "soft labels: mean 0.750, 400 below .5",
        "prior scores: clip",
        "addresses: url",
    ]


def test_embeddings_are_told_by_their_dimensions_and_features():
    assert between(dims=(512, 512), features=("l14",)) == ["embeddings: 512 dimensions"]
    assert between(dims=(512, 768), features=("b32", "l14")) == [
        "embeddings: 512 dimensions, captions 768",
        "features: b32, l14 (choose with --features)",
    ]


def test_what_tables_say_of_themselves_is_told_once():
    said = {
        "ncaudit": "0.1.0", "verb": "score", "model": {"name": "ViT", "weight_hash": "0123456789abcdef", "heads": "fe"},
        "options": {"k": 10, "fit": None}, "noise_rate": {"rate": 0.25, "low": 0.2, "high": 0.3}, "fit": "0123",
        "label_means": "what it means",
        "cuts": {"noisy_below": 0.5},
    }  # fmt: skip
    source = {"name": "0.parquet", "fingerprint": "0123456789abcdef0123"}
    found = replace(SHARDS, provenance=(Told(shards=1, provenance=said, source=source, data=None),))
    assert plain(inspect.lines(found), verbose=True)[1:-2] == [
        "made by ncaudit 0.1.0 score (1 of 2 shards)",
        "  from: 0.parquet (0123456789abcdef)",
        "  model: ViT, weights 0123456789ab, heads fe",
        "  noise rate: 25.0% (20.0% to 30.0%)",
        "  what it means",
        "  options: k 10",
        "  fit: 0123",
    ]
    assert lines(found)[-3] == "  what it means"  # options and the like are details
    assert told(provenance=(Told(shards=2, provenance={}, source=source, data=source),))[1:3] == [
        "made by ncaudit ?",
        "  from: 0.parquet (0123456789abcdef), made from 0.parquet (0123456789abcdef), the first of them",
    ]


def test_damaged_shards_are_named_up_to_ten_and_the_rest_counted():
    damaged = tuple(ShardError(str(i), f"{i} is damaged", "fetch it") for i in range(12))
    found = between(schema_differences=("a is int64 in 1",), damaged=damaged)
    assert found[:3] == ["schemas differ: a is int64 in 1", "damaged shard: 0 is damaged", "  fix: fetch it"]
    assert len(found) == 1 + 2 * 10 + 1
    assert found[-1] == "and 2 more of the kind 'damaged shard': see --json"
