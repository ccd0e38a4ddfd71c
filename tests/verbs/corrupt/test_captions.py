import json
import sys
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable, NcauditError, UsageError
from ncaudit.options import CorruptOptions
from ncaudit.verbs.corrupt.captions import corrupt
from tests.worlds import processes
from tests.worlds.made import made_in

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
HUGGINGFACE = {b"huggingface": json.dumps({"info": {"features": {"image": {"_type": "Image"}}}}).encode()}
KINDS = ["shuffle", "topic", "near"]  # that move captions and make them wrong
CHANGING = [*KINDS, "word", "half-truth"]
TRUTH = ["is_match", "caption_of", "noise_type"]
ANIMALS = ("dog", "cat", "horse", "cow", "owl")


def shard(path, captions, photos=None, *, kind=None, group=7):
    path.parent.mkdir(parents=True, exist_ok=True)
    photos = photos if photos is not None else [f"{path}{i}" for i in range(len(captions))]
    images = [None if photo is None else {"bytes": photo.encode(), "path": None} for photo in photos]
    urls = [f"u{i}" for i in range(len(captions))]
    table = pa.table({"image": pa.array(images, IMAGE), "url": urls, "caption": pa.array(captions, kind)})
    pq.write_table(table.replace_schema_metadata(HUGGINGFACE), path, row_group_size=group)
    return path


def world(folder, rows=60):
    """Two shards of distinct photos with distinct captions, five topics in turn."""
    for name in ("A", "B"):
        captions = [f"a {ANIMALS[i % 5]} and a {ANIMALS[i % 5]} number {name}{i}" for i in range(rows)]
        shard(folder / name / "00000.parquet", captions)
    return str(folder)


def clustered(kind: str, clusters: int) -> dict[str, int]:
    """The number of clusters, for the kind that has any."""
    return {"clusters": clusters} if kind == "topic" else {}


def run(source, out, **options):
    sources = [source] if isinstance(source, str) else source
    return corrupt(CorruptOptions(sources=sources, out=str(out), **{"rate": 0.3, **options}))


def read(folder):
    """All rows of a dataset, with the name of each row and its caption, shard after shard."""
    rows = []
    for path in sorted(folder.rglob("[!_]*.parquet")):
        stem = str(path.relative_to(folder)).removesuffix(".parquet")
        rows += [{**row, "name": f"{stem}/{i}"} for i, row in enumerate(pq.read_table(path).to_pylist())]
    return rows


def group_rows(path):
    metadata = pq.read_metadata(path)
    return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_only_chosen_captions_change_and_the_truth_says_which(tmp_path, kind):
    source = world(tmp_path / "in")
    result = run(source, tmp_path / "out", kind=kind, **clustered(kind, 5))
    before, after = read(tmp_path / "in"), read(tmp_path / "out")
    own = {row["name"]: row["caption"] for row in before}
    assert len(after) == len(before) == 120
    for old, new in zip(before, after, strict=True):
        assert {**new, "caption": None} == {**old, "caption": None, **{name: new[name] for name in TRUTH}}
        assert new["caption"] == own[new["caption_of"]]
        assert new["is_match"] == (new["caption_of"] == new["name"]) == (new["noise_type"] == "none")
    wrong = [row for row in after if not row["is_match"]]
    assert {row["noise_type"] for row in wrong} == {kind}
    assert len(wrong) == result.mismatched == 36
    assert result.rate == pytest.approx(0.3)
    assert result.accounting.rows == result.accounting.ok == 120


def test_shuffled_captions_are_a_permutation(tmp_path):
    run(world(tmp_path / "in"), tmp_path / "out")
    assert sorted(r["caption"] for r in read(tmp_path / "out")) == sorted(r["caption"] for r in read(tmp_path / "in"))


@pytest.mark.parametrize("kind", CHANGING)
def test_a_rerun_and_another_order_of_sources_give_the_same_bytes(tmp_path, kind):
    world(tmp_path / "in")
    sources = [str(tmp_path / "in" / name) for name in ("A", "B")]
    run(sources, tmp_path / "out", kind=kind, **clustered(kind, 5))
    first = made_in(tmp_path / "out")
    assert run(sources, tmp_path / "out", kind=kind, **clustered(kind, 5)).accounting.shards_resumed == 2
    assert made_in(tmp_path / "out") == first
    run(sources[::-1], tmp_path / "other", kind=kind, **clustered(kind, 5))
    assert made_in(tmp_path / "other") == first
    run(sources, tmp_path / "seed", kind=kind, **clustered(kind, 5), seed=1)
    assert made_in(tmp_path / "seed") != first


def test_a_torn_output_is_written_again(tmp_path):
    source = world(tmp_path / "in")
    run(source, tmp_path / "out")
    first = files(tmp_path / "out")
    torn = tmp_path / "out" / "A" / "00000.parquet"
    torn.write_bytes(torn.read_bytes()[:-9])
    (tmp_path / "out" / "_corruption.parquet").unlink()
    run(source, tmp_path / "out")
    assert files(tmp_path / "out") == first


def test_a_changed_shard_renews_the_outputs_that_took_its_captions(tmp_path):
    source = world(tmp_path / "in")
    run(source, tmp_path / "out")
    shard(tmp_path / "in" / "B" / "00000.parquet", [f"renewed {i}" for i in range(60)])
    assert run(source, tmp_path / "out").accounting.shards_resumed == 0
    run(source, tmp_path / "fresh")
    assert made_in(tmp_path / "out") == made_in(tmp_path / "fresh")


def test_schema_row_groups_and_metadata_stay_as_they_were(tmp_path):
    run(world(tmp_path / "in"), tmp_path / "out")
    before, after = (tmp_path / folder / "A" / "00000.parquet" for folder in ("in", "out"))
    schema = pq.read_schema(after)
    assert schema.names == ["image", "url", "caption", *TRUTH]
    assert pa.schema(list(schema)[:3]) == pa.schema(list(pq.read_schema(before)))
    assert schema.metadata[b"huggingface"] == HUGGINGFACE[b"huggingface"]
    assert group_rows(before) == group_rows(after) == [7] * 8 + [4]


def test_the_index_lists_every_moved_caption_and_is_no_shard(tmp_path):
    result = run(world(tmp_path / "in"), tmp_path / "out")
    moved = [
        {"pair_id": row["name"], "caption_of": row["caption_of"], "noise_type": "shuffle"}
        for row in read(tmp_path / "out")
        if not row["is_match"]
    ]
    assert pq.read_table(result.index).to_pylist() == moved
    with pytest.raises(BadTable, match="already has a column is_match"):  # the index itself has none: it was not read
        run(str(tmp_path / "out"), tmp_path / "again")


@pytest.mark.parametrize("kind", KINDS)
def test_rate_zero_gives_the_dataset_back_and_rate_one_swaps_all(tmp_path, kind):
    source = world(tmp_path / "in")
    assert run(source, tmp_path / "zero", rate=0, kind=kind).mismatched == 0
    rows = read(tmp_path / "zero")
    assert [row["caption"] for row in rows] == [row["caption"] for row in read(tmp_path / "in")]
    assert all(row["is_match"] and row["caption_of"] == row["name"] and row["noise_type"] == "none" for row in rows)
    assert run(source, tmp_path / "one", rate=1, kind=kind, **clustered(kind, 2)).rate == 1


def test_topic_swaps_stay_inside_a_cluster(tmp_path):
    topics = ("dog kennel bone leash collar paw", "boat harbour sail mast anchor rope")
    captions = [" ".join(words) for topic in topics for words in combinations(topic.split(), 3)]
    source = str(shard(tmp_path / "in" / "s.parquet", captions))
    assert run(source, tmp_path / "out", kind="topic", clusters=2, rate=1).mismatched == 40
    for i, row in enumerate(read(tmp_path / "out")):
        assert row["caption"] in (captions[:20] if i < 20 else captions[20:])


def test_near_swaps_take_one_of_the_nearest_captions(tmp_path):
    run(world(tmp_path / "in"), tmp_path / "out", kind="near", rate=1)
    own = {row["name"]: row["caption"] for row in read(tmp_path / "in")}
    swapped = read(tmp_path / "out")
    assert all(row["caption"] != own[row["name"]] for row in swapped)
    assert all(row["caption"].split()[1] == own[row["name"]].split()[1] for row in swapped)


def test_siblings_and_equal_captions_are_no_mismatch_and_the_reported_rate_is_the_real_one(tmp_path):
    photos = [f"photo {i // 5}" for i in range(50)]  # five captions per photo, and few different captions
    captions = [f"caption {i % 3}" for i in range(50)]
    source = str(shard(tmp_path / "in" / "s.parquet", captions, photos))
    for seed in range(5):
        result = run(source, tmp_path / f"out{seed}", rate=0.9, seed=seed)
        rows = read(tmp_path / f"out{seed}")
        place = {f"s/{i}": i for i in range(50)}
        truly = [
            photos[place[r["caption_of"]]] == photos[i] or captions[place[r["caption_of"]]] == captions[i]
            for i, r in enumerate(rows)
        ]
        assert [row["is_match"] for row in rows] == truly
        assert result.mismatched == 50 - sum(truly)
        assert result.not_swappable == 45 - result.mismatched
        assert result.rate == pytest.approx(result.mismatched / 50)


def test_captions_that_differ_in_case_and_blanks_only_are_equal(tmp_path):
    source = str(shard(tmp_path / "s.parquet", ["A dog", " a DOG ", "a dog", "A DOG"]))
    with pytest.raises(NcauditError, match="no caption can be swapped"):
        run(source, tmp_path / "out", rate=1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_row_cannot_be_swapped(tmp_path, kind):
    source = str(shard(tmp_path / "s.parquet", ["a dog"]))
    with pytest.raises(NcauditError, match="no caption can be swapped: 1 of 1"):
        run(source, tmp_path / "out", rate=1, kind=kind)
    assert not (tmp_path / "out").exists()


def test_missing_and_blank_captions_are_left_alone_and_counted(tmp_path):
    captions = [None if i % 4 == 0 else "  " if i % 4 == 1 else f"caption {i}" for i in range(40)]
    result = run(str(shard(tmp_path / "in" / "s.parquet", captions)), tmp_path / "out", rate=0.5)
    rows = read(tmp_path / "out")
    assert all(row["caption"] == captions[i] and row["is_match"] for i, row in enumerate(rows) if i % 4 < 2)
    assert (result.mismatched, result.rate) == (10, 0.5)
    assert result.accounting.statuses == {"ok": 20, "caption_missing": 20}


def test_a_missing_image_is_like_no_other(tmp_path):
    source = str(shard(tmp_path / "in" / "s.parquet", ["a", "b", "c", "d"], [None, None, None, None]))
    assert run(source, tmp_path / "out", rate=1).mismatched == 4


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.string_view()], ids=str
)
def test_every_type_of_text_is_kept(tmp_path, kind):
    shard(tmp_path / "in" / "a.parquet", [f"caption {i}" for i in range(20)], kind=kind)
    shard(tmp_path / "in" / "b.parquet", [None] * 3, kind=pa.null())
    result = run(str(tmp_path / "in"), tmp_path / "out", rate=0.5)
    assert result.mismatched == 10
    for name in ("a", "b"):
        before, after = (pq.read_schema(tmp_path / folder / f"{name}.parquet") for folder in ("in", "out"))
        assert after.field("caption") == before.field("caption")


@pytest.mark.parametrize("noise", KINDS)
def test_a_row_with_several_captions_gets_all_those_of_another_row(tmp_path, noise):
    captions = [[f"a {ANIMALS[i % 5]} {i}", f"{ANIMALS[i % 5]}, {i}"] for i in range(30)] + [[], None]
    source = str(shard(tmp_path / "in" / "s.parquet", captions, kind=pa.list_(pa.string())))
    result = run(source, tmp_path / "out", rate=0.5, kind=noise, **clustered(noise, 2))
    rows = read(tmp_path / "out")
    assert result.mismatched == 15
    assert all(row["caption"] == captions[int(row["caption_of"].split("/")[1])] for row in rows)


def embeddings(folder, vectors, *, name="s.parquet", modality="image", **more):
    """Embeddings in which one modality carries the meaning and the other is always the same."""
    kind = pa.list_(pa.float32())
    constant = np.ones((len(vectors), 2))
    image, text = (vectors, constant) if modality == "image" else (constant, vectors)
    columns = {"image_embedding": pa.array(image.tolist(), kind), "text_embedding": pa.array(text.tolist(), kind)}
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({**columns, **more}), folder / name)
    return [str(folder)]


def test_topics_come_from_the_image_embeddings_where_there_are_any(tmp_path):
    topic = np.arange(40) % 2
    vectors = np.eye(2)[topic] + np.random.default_rng(0).normal(size=(40, 2)) * 0.01
    given = embeddings(tmp_path / "emb", vectors)
    source = str(shard(tmp_path / "in" / "s.parquet", [f"caption {i}" for i in range(40)]))
    result = run(source, tmp_path / "out", kind="topic", clusters=2, rate=1, embeddings=given)
    places = [int(row["caption_of"].split("/")[1]) for row in read(tmp_path / "out")]
    assert result.mismatched == 40
    np.testing.assert_array_equal(topic[places], topic)


def test_nearness_comes_from_the_text_embeddings_where_there_are_any(tmp_path):
    angle = np.linspace(0, 1, 40)
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1)  # the nearest captions of i are i-1 and i+1
    given = embeddings(tmp_path / "emb", vectors, modality="text")
    source = str(shard(tmp_path / "in" / "s.parquet", [f"caption {i}" for i in range(40)]))
    run(source, tmp_path / "out", kind="near", nearest=2, rate=1, embeddings=given)
    places = np.array([int(row["caption_of"].split("/")[1]) for row in read(tmp_path / "out")])
    assert (np.abs(places - np.arange(40))[1:-1] == 1).all()


def test_a_row_without_an_embedding_or_caption_is_never_chosen(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(40, 3))
    vectors[:20] = np.nan
    given = embeddings(tmp_path / "emb", vectors)
    captions = [f"caption {i}" for i in range(39)] + [" "]  # a blank caption may well have an embedding
    source = str(shard(tmp_path / "in" / "s.parquet", captions))
    result = run(source, tmp_path / "out", kind="topic", clusters=1, rate=1, embeddings=given)
    rows = read(tmp_path / "out")
    assert all(row["is_match"] for row in rows[:20])
    assert not any(row["is_match"] for row in rows[20:39])
    assert rows[39]["caption"] == " "
    assert result.mismatched == 19


def test_embeddings_of_another_dataset_are_refused(tmp_path):
    world(tmp_path / "in")
    given = embeddings(tmp_path / "emb", np.eye(3), name="other.parquet")
    with pytest.raises(BadTable, match=r"other\.parquet has no embedding of any row of A/00000\.parquet"):
        run(str(tmp_path / "in"), tmp_path / "out", kind="topic", embeddings=given)


@pytest.mark.parametrize("name", TRUTH)
def test_a_dataset_that_has_a_truth_column_is_refused(tmp_path, name):
    path = shard(tmp_path / "s.parquet", ["a", "b"])
    pq.write_table(pq.read_table(path).append_column(name, pa.array(["x", "y"])), path)
    with pytest.raises(BadTable, match=rf"s\.parquet already has a column {name}"):
        run(str(path), tmp_path / "out")


def test_the_input_is_never_written_over(tmp_path):
    source = world(tmp_path / "in")
    before = files(tmp_path / "in")
    with pytest.raises(NcauditError, match="is an input and would be written over"):
        run(source, tmp_path / "in")
    assert files(tmp_path / "in") == before
    with pytest.raises(UsageError):
        run(source, "out.parquet")


def test_an_output_inside_the_input_is_not_read_by_the_next_run(tmp_path):
    source = world(tmp_path / "in")
    first = run(source, tmp_path / "in" / "noisy")
    again = run(source, tmp_path / "in" / "noisy")
    assert again.accounting.shards == first.accounting.shards == 2


@pytest.mark.slow
def test_the_command_tells_the_real_rate_and_ends_with_a_fix_when_it_cannot(tmp_path):
    def cli(*arguments):
        command = [sys.executable, "-m", "ncaudit", "corrupt", *arguments]
        return processes.run(command, capture_output=True, text=True)

    source = world(tmp_path / "in")
    told = cli(source, "--out", str(tmp_path / "out"), "--rate", "0.3", "--json")
    assert (told.returncode, json.loads(told.stdout)["mismatched"]) == (0, 36)
    words = cli(source, "--out", str(tmp_path / "out"), "--rate", "0.3")
    assert "36 pairs mismatched (shuffle), 30.00%" in words.stdout
    refused = cli(str(tmp_path / "out"), "--out", str(tmp_path / "again"), "--rate", "0.3")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "fix: give the dataset as it was" in refused.stderr


@pytest.mark.parametrize("kind", ["topic", "near"])
def test_what_is_chosen_does_not_depend_on_the_threads(tmp_path, kind):
    source = world(tmp_path / "in", rows=200)
    for threads in (1, 2):
        run(source, tmp_path / f"out{threads}", kind=kind, threads=threads, **clustered(kind, 5))
    assert made_in(tmp_path / "out1") == made_in(tmp_path / "out2")
