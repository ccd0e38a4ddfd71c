"""Captions that say something else: a word exchanged, a phrase put behind, and the control that makes nothing wrong."""

import re
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable, NcauditError, UsageError
from ncaudit.options import CorruptOptions
from ncaudit.verbs.corrupt.captions import corrupt
from tests.verbs.corrupt.test_captions import read, shard, world

CHANGES = ["put_in", "replaced", "lent_by", "share_right"]


def run(source, out, kind, **options):
    return corrupt(CorruptOptions(sources=[str(source)], out=str(out), kind=kind, **{"rate": 1.0, **options}))


def captions(folder):
    return [row["caption"] for row in read(folder)]


def many(folder, rows=200):
    """Two shards of scenes in words of several frequencies; no two captions alike."""
    animals = ["dog"] * 8 + ["cat"] * 8 + ["horse"] * 4 + ["owl"] * 4 + ["lynx"]
    for name in ("A", "B"):
        told = [f"A {animals[i % 25]} near the river at kilometre {i}{name}." for i in range(rows)]
        shard(folder / name / "00000.parquet", told)
    return folder


def test_a_word_is_exchanged_for_the_only_other_that_is_as_frequent(tmp_path):
    # "dog" and "cat" in two captions each, "owl" in one, "a" and "of" in all: only they may go
    told = ["a dog of a kind", "a dog of a sort", "a cat of a kind", "a cat of a sort"] + ["a picture of a"] * 40
    shard(tmp_path / "in" / "0.parquet", told)
    result = run(tmp_path / "in", tmp_path / "out", "word")
    after = read(tmp_path / "out")
    assert [row["caption"] for row in after[4:]] == ["a picture of a"] * 40  # of too many captions, and alone in count
    for old, row in zip(told[:4], after[:4], strict=True):
        assert row["caption"] == old.replace(row["replaced"], row["put_in"])
        assert {row["replaced"], row["put_in"]} <= {"dog", "cat", "kind", "sort"}
        assert (row["is_match"], row["noise_type"], row["caption_of"]) == (False, "word", row["name"])
        assert (row["lent_by"], row["share_right"]) == (None, pytest.approx(0.8))
    assert (result.mismatched, result.changed, result.not_swappable) == (4, 4, 40)


def test_exactly_one_word_differs_and_is_as_frequent_as_the_one_it_stands_for(tmp_path):
    many(tmp_path / "in")
    run(tmp_path / "in", tmp_path / "out", "word", rate=0.5)
    before, after = captions(tmp_path / "in"), read(tmp_path / "out")
    count = Counter(word for caption in before for word in set(re.findall(r"\w+", caption.casefold())))
    wrong = [(old, row) for old, row in zip(before, after, strict=True) if not row["is_match"]]
    assert len(wrong) == 200
    for old, row in wrong:
        pairs = list(zip(old.split(), row["caption"].split(), strict=True))
        (changed,) = [pair for pair in pairs if pair[0] != pair[1]]
        assert [word.strip(".") for word in changed] == [row["replaced"], row["put_in"]]
        one, other = (count[row[name].casefold()] for name in ("replaced", "put_in"))
        assert one.bit_length() == other.bit_length()
        assert one <= 40  # a tenth of all captions: neither "near" nor "the"
    for old, row in zip(before, after, strict=True):
        if row["is_match"]:
            assert (row["caption"], *(row[name] for name in CHANGES)) == (old, None, None, None, 1.0)


def test_letters_keep_their_case_and_digits_stay_digits(tmp_path):
    told = ["RED 1", "blue 2", "Green 3"]
    shard(tmp_path / "in" / "0.parquet", told)
    for seed in range(6):
        run(tmp_path / "in", tmp_path / f"out{seed}", "word", seed=seed)
        for old, new in zip(told, captions(tmp_path / f"out{seed}"), strict=True):
            (word, digit), (other, number) = old.split(), new.split()
            assert digit == number or (word == other and number in "123")
            assert word == other or (other.casefold() in "red blue green".split() and digit == number)
            assert (other.isupper(), other.istitle(), other.islower()) == (
                word.isupper(), word.istitle(), word.islower(),
            )  # fmt: skip


def test_a_changed_caption_is_none_of_the_same_photo(tmp_path):
    # every exchange that there is would give the caption of the other row of the photo
    shard(tmp_path / "in" / "0.parquet", ["x dog", "x cat", "x x"], photos=["p", "p", "q"])
    with pytest.raises(NcauditError, match="no caption can be changed: 3 of 3 pairs"):
        run(tmp_path / "in", tmp_path / "out", "word")


@pytest.mark.parametrize(
    ("own", "near", "made"),
    [
        ("a dog", "a cat on a sofa", "a dog, a cat on a sofa"),
        ("A dog runs.", "A cat, a sofa and a lamp.", "A dog runs, a sofa and a lamp."),  # the phrase that says most
        ("a dog (2.5 kg)", "a cat (3.5 kg, brown all over)", "a dog (2.5 kg), brown all over"),
        ("一只狗。", "一只猫，在沙发上。", None),  # either phrase is one word that the caption lacks
    ],
)
def test_a_phrase_of_the_near_caption_is_put_behind(tmp_path, own, near, made):
    shard(tmp_path / "in" / "0.parquet", [own, near])
    run(tmp_path / "in", tmp_path / "out", "half-truth", nearest=1)
    row = read(tmp_path / "out")[0]
    if made is None:
        assert row["caption"] in ("一只狗, 一只猫。", "一只狗, 在沙发上。")
    else:
        assert row["caption"] == made
    assert (row["lent_by"], row["replaced"], row["is_match"]) == ("0/1", None, False)
    assert row["put_in"] in row["caption"]


def test_how_much_of_a_half_truth_is_right_is_counted_in_phrases(tmp_path):
    shard(tmp_path / "in" / "0.parquet", ["a dog", "a cat, on a sofa"])
    run(tmp_path / "in", tmp_path / "out", "half-truth", nearest=1)
    assert [row["share_right"] for row in read(tmp_path / "out")] == [0.5, pytest.approx(2 / 3)]


def test_where_the_near_caption_has_nothing_more_to_say_the_caption_stays(tmp_path):
    shard(tmp_path / "in" / "0.parquet", ["a brown dog", "a dog", "an owl at sea"])
    result = run(tmp_path / "in", tmp_path / "out", "half-truth", nearest=1)
    assert captions(tmp_path / "out")[0] == "a brown dog"
    assert result.not_swappable == 3 - result.mismatched


@pytest.mark.parametrize("kind", ["word", "half-truth"])
def test_the_index_lists_what_was_changed(tmp_path, kind):
    result = run(world(tmp_path / "in"), tmp_path / "out", kind, rate=0.25)
    kept = ["caption_of", "noise_type", *CHANGES]
    wrong = [row for row in read(tmp_path / "out") if not row["is_match"]]
    assert pq.read_table(result.index).to_pylist() == [
        {"pair_id": row["name"], **{name: row[name] for name in kept}} for row in wrong
    ]
    assert len(wrong) == result.mismatched == 30


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_the_caption_column_keeps_its_type_and_missing_captions_stay_missing(tmp_path, kind):
    path = shard(tmp_path / "in" / "0.parquet", ["a dog", None, "a cat", " "], kind=pa.string())
    table = pq.read_table(path)
    column = table.schema.get_field_index("caption")
    pq.write_table(table.set_column(column, "caption", table["caption"].cast(kind)), path)
    run(tmp_path / "in", tmp_path / "out", "word")
    made = pq.read_table(tmp_path / "out" / "0.parquet")
    assert made.schema.field("caption").type == pq.read_schema(path).field("caption").type
    assert made["caption"].to_pylist() == ["a cat", None, "a dog", " "]


def test_a_paraphrase_is_another_caption_of_the_same_photo_and_nothing_is_wrong(tmp_path):
    told = ["a dog", "ein Hund", "a dog", "a cat", "a bird", "un oiseau"]
    shard(tmp_path / "in" / "0.parquet", told, photos=["p", "p", "p", "q", "r", "r"])
    result = run(tmp_path / "in", tmp_path / "out", "paraphrase")
    after = read(tmp_path / "out")
    assert [row["caption"] for row in after] == ["ein Hund", after[1]["caption"], "ein Hund", "a cat", *told[:3:-1]]
    assert after[1]["caption"] == "a dog"
    assert all(row["is_match"] for row in after)
    assert [row["noise_type"] for row in after] == ["paraphrase"] * 3 + ["none"] + ["paraphrase"] * 2
    assert after[0]["caption_of"] == "0/1"
    assert (result.mismatched, result.changed, result.rate, result.not_swappable) == (0, 5, 0.0, 0)
    assert not set(CHANGES) & set(after[0])


def test_a_paraphrase_asks_for_photos_with_several_captions(tmp_path):
    with pytest.raises(NcauditError, match="no photo has two captions that read differently"):
        run(world(tmp_path / "in"), tmp_path / "out", "paraphrase")


@pytest.mark.parametrize("kind", ["word", "half-truth"])
def test_lists_of_captions_are_refused_by_kinds_that_change_one(tmp_path, kind):
    shard(tmp_path / "in" / "0.parquet", [["a dog", "a hound"], ["a cat"]], kind=pa.list_(pa.string()))
    with pytest.raises(BadTable, match="several captions in a row"):
        run(tmp_path / "in", tmp_path / "out", kind)


@pytest.mark.parametrize("kind", ["word", "half-truth", "paraphrase"])
def test_rate_zero_changes_nothing(tmp_path, kind):
    result = run(world(tmp_path / "in"), tmp_path / "out", kind, rate=0.0)
    assert captions(tmp_path / "out") == captions(tmp_path / "in")
    assert (result.changed, result.mismatched) == (0, 0)


def test_a_dataset_that_has_a_column_of_the_truth_is_refused(tmp_path):
    path = shard(tmp_path / "in" / "0.parquet", ["a dog", "a cat"])
    table = pq.read_table(path)
    pq.write_table(table.append_column("replaced", pa.array(["x", "y"])), path)
    with pytest.raises(BadTable, match="already has a column replaced"):
        run(tmp_path / "in", tmp_path / "out", "word")
    assert run(tmp_path / "in", tmp_path / "shuffled", "shuffle").mismatched == 2


def test_what_a_kind_does_not_look_at_is_refused():
    with pytest.raises(UsageError, match="--nearest"):
        CorruptOptions(sources=["in"], out="out", kind="word", rate=0.1, nearest=3)
