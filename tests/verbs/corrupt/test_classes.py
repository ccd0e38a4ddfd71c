"""Known label noise: what is changed, what is not, and what is told about it."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable, NcauditError, UsageError
from ncaudit.options import CorruptOptions
from ncaudit.shards.files.provenance import attach, provenance_of
from ncaudit.verbs.corrupt.captions import corrupt
from ncaudit.verbs.corrupt.classes import CorruptLabelsResult, corrupt_labels
from tests.worlds import processes

CLASSES = ("ant", "bee", "cow", "dog")
TRUTH = ["true_label", "label_is_right", "noise_type"]
KINDS = ["label-symmetric", "label-asymmetric"]


def shard(path: Path, labels: Any, **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    count = len(labels)
    columns = {"image": pa.array([b"photo"] * count), "caption": [f"c{i}" for i in range(count)], **more}
    pq.write_table(pa.table({**columns, "kind": labels}), path, row_group_size=64)
    return path


def world(folder: Path, rows: int = 400) -> str:
    """Two shards, four classes in turn."""
    for name in ("a", "b"):
        shard(folder / f"{name}.parquet", [CLASSES[i % 4] for i in range(rows)])
    return str(folder)


def embedded(path: Path, labels: Any, image: Any, text: Any) -> Path:
    """An embedding table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = {"image_embedding": image, "text_embedding": text}
    columns = {
        name: pa.array([None if v is None else list(map(float, v)) for v in value], pa.list_(pa.float32()))
        for name, value in rows.items()
    }
    pq.write_table(pa.table({**columns, "kind": labels}), path)
    return path


def run(source: str | Path, out: Path, **options: Any) -> CorruptLabelsResult:
    usual: dict[str, Any] = {"rate": 0.4, "kind": "label-symmetric", "label_column": "kind"}
    return corrupt_labels(CorruptOptions(sources=[str(source)], out=str(out), **{**usual, **options}))


def read(folder: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(folder.rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_only_labels_change_and_the_truth_says_which(tmp_path: Path, kind: str) -> None:
    result = run(world(tmp_path / "in"), tmp_path / "out", kind=kind)
    before, after = read(tmp_path / "in"), read(tmp_path / "out")
    assert len(after) == len(before) == 800
    for old, new in zip(before, after, strict=True):
        assert {**new, "kind": None} == {**old, "kind": None, **{name: new[name] for name in TRUTH}}
        assert new["true_label"] == old["kind"]
        assert new["label_is_right"] == (new["kind"] == old["kind"]) == (new["noise_type"] == "none")
        assert new["noise_type"] in ("none", kind)
    wrong = sum(not row["label_is_right"] for row in after)
    assert (result.wrong, result.labelled, result.unlabelled, result.classes) == (wrong, 800, 0, 4)
    assert result.rate == wrong / 800
    assert "is_match" not in after[0]


def test_symmetric_noise_may_draw_the_old_class_and_tells_the_real_rate(tmp_path: Path) -> None:
    result = run(world(tmp_path / "in", rows=2_000), tmp_path / "out")
    assert result.wrong + result.unchanged == 1_600  # 40 % of 4,000
    assert result.rate == pytest.approx(0.4 * (1 - 1 / 4), abs=0.02)
    turned = Counter((row["true_label"], row["kind"]) for row in read(tmp_path / "out") if not row["label_is_right"])
    assert len(turned) == 12  # every class into every other one
    assert max(turned.values()) < 1.6 * min(turned.values())


def test_asymmetric_noise_turns_each_class_into_the_next_where_nothing_is_embedded(tmp_path: Path) -> None:
    result = run(world(tmp_path / "in"), tmp_path / "out", kind="label-asymmetric")
    assert result.confused_with == {"ant": "bee", "bee": "cow", "cow": "dog", "dog": "ant"}
    assert (result.wrong, result.unchanged, result.rate) == (320, 0, 0.4)
    for row in read(tmp_path / "out"):
        assert row["label_is_right"] or row["kind"] == result.confused_with[row["true_label"]]


NEAR = {"ant": (1, 0, 0), "bee": (0, 1, 0), "cow": (1, 0.1, 0), "dog": (0.2, 1, 0)}
MAP = {"ant": "cow", "cow": "ant", "bee": "dog", "dog": "bee"}


def test_embedding_tables_confuse_classes_with_the_nearest_mean(tmp_path: Path) -> None:
    labels = [CLASSES[i % 4] for i in range(40)] + ["eel", "eel"]
    vectors = [*(NEAR[label] for label in labels[:40]), None, (0, 0, 0)]  # of eels nothing is embedded
    source = embedded(tmp_path / "in" / "e.parquet", labels, vectors, [(1, 1)] * 42)
    model = {"name": "tiny", "weight_hash": "abc"}
    table = pq.read_table(source)
    pq.write_table(table.cast(attach(table.schema, {"model": model, "verb": "embed"})), source)
    result = run(source, tmp_path / "out", kind="label-asymmetric")
    assert result.confused_with == {**MAP, "eel": "ant"}
    told = provenance_of(pq.read_schema(tmp_path / "out" / "e.parquet"))
    assert told is not None
    assert (told["model"], told["verb"], told["options"]["confused_with"]) == (model, "corrupt", result.confused_with)
    with pytest.raises(UsageError, match="holds embeddings itself"):
        run(source, tmp_path / "other", kind="label-asymmetric", embeddings=[str(source)])


def test_a_raw_dataset_takes_the_means_from_its_embeddings(tmp_path: Path) -> None:
    labels = [CLASSES[i % 4] for i in range(40)]
    source = shard(tmp_path / "in" / "s.parquet", labels)
    given = embedded(tmp_path / "e" / "s.parquet", labels, [(1, 1)] * 40, [NEAR[label] for label in labels])
    result = run(source, tmp_path / "out", kind="label-asymmetric", embeddings=[str(given)])
    assert result.confused_with == MAP


def test_one_of_several_labels_is_replaced_by_one_that_is_not_there(tmp_path: Path) -> None:
    labels = [[CLASSES[i % 4], CLASSES[(i + 2) % 4]] for i in range(400)]
    for kind in KINDS:
        result = run(shard(tmp_path / "in" / "s.parquet", labels), tmp_path / kind, kind=kind, rate=1)
        rows = read(tmp_path / kind)
        assert sum(not row["label_is_right"] for row in rows) == result.wrong > 200
        for row, old in zip(rows, labels, strict=True):
            assert row["true_label"] == old
            assert len(set(row["kind"])) == 2
            assert len(set(row["kind"]) & set(old)) == (2 if row["label_is_right"] else 1)


def test_a_row_that_has_the_other_class_already_keeps_its_labels(tmp_path: Path) -> None:
    source = shard(tmp_path / "in" / "s.parquet", [["a", "b"], ["b"], ["a"]])
    result = run(source, tmp_path / "out", kind="label-asymmetric", rate=1)
    assert [row["kind"] for row in read(tmp_path / "out")] == [["a", "b"], ["a"], ["b"]]
    assert (result.wrong, result.unchanged, result.rate) == (2, 1, 2 / 3)


@pytest.mark.parametrize("many", [False, True])
def test_rows_without_a_label_stay_so_and_are_not_counted(tmp_path: Path, many: bool) -> None:
    labels: list[Any] = [None if i % 2 else (["x", None] if i % 4 else ["y"]) for i in range(80)]
    labels[1] = [] if many else None
    plain = [label and label[0] for label in labels]
    result = run(shard(tmp_path / "in" / "s.parquet", labels if many else plain), tmp_path / "out", rate=1)
    rows = read(tmp_path / "out")
    assert (result.labelled, result.unlabelled) == (40, 40)
    assert result.rate == result.wrong / 40
    for row in rows[1::2]:
        assert (row["kind"], row["label_is_right"], row["noise_type"]) == (row["true_label"], None, "none")
        assert not row["kind"]
    assert result.accounting.rows == result.accounting.ok == 80


@pytest.mark.parametrize(
    "column",
    [
        pa.array([7, 8, None] * 20, pa.int8()),
        pa.array([True, False, None] * 20),
        pa.array(["x", "y", None] * 20, pa.large_string()),
        pa.array(["x", "y", None] * 20).dictionary_encode(),
        pa.array([[7, 8], [9], None] * 20, pa.large_list(pa.uint16())),
        pa.array([["x", "y"], ["z", None], None] * 20, pa.list_(pa.string(), 2)),
        pa.array([[True], [False], None] * 20),
    ],
    ids=lambda column: str(column.type),
)
def test_every_type_of_class_is_kept(tmp_path: Path, column: pa.Array) -> None:
    shard(tmp_path / "in" / "s.parquet", column)
    shard(tmp_path / "in" / "t.parquet", pa.nulls(5))
    result = run(tmp_path / "in", tmp_path / "out", rate=1)
    schema = pq.read_schema(tmp_path / "out" / "s.parquet")
    before = pq.read_schema(tmp_path / "in" / "s.parquet").field("kind").type
    assert schema.field("kind").type == schema.field("true_label").type == before
    rows = read(tmp_path / "out")
    assert [row["true_label"] for row in rows[:60]] == column.to_pylist()
    assert sum(row["kind"] != row["true_label"] for row in rows) == result.wrong > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_rerun_does_nothing_again_and_the_seed_decides(tmp_path: Path, kind: str) -> None:
    source = world(tmp_path / "in")
    run(source, tmp_path / "out", kind=kind)
    first = files(tmp_path / "out")
    assert run(source, tmp_path / "out", kind=kind).accounting.shards_resumed == 2
    assert files(tmp_path / "out") == first
    run(source, tmp_path / "seed", kind=kind, seed=1)
    assert files(tmp_path / "seed") != first
    shard(tmp_path / "in" / "b.parquet", ["bee"] * 10)
    assert run(source, tmp_path / "out", kind=kind).accounting.shards_resumed == 0


def test_rate_zero_gives_the_dataset_back(tmp_path: Path) -> None:
    assert run(world(tmp_path / "in"), tmp_path / "out", rate=0).rate == 0
    assert all(row["label_is_right"] and row["noise_type"] == "none" for row in read(tmp_path / "out"))


@pytest.mark.parametrize(
    ("labels", "column", "said"),
    [
        (["x", "y"], "topic", "has no column 'topic'"),
        ([0.5, 1.5], "kind", "column kind is of type double"),
        (["x", "x"], "kind", "column kind holds 1 class in 1 shard: no label could be wrong"),
        (pa.nulls(2, pa.string()), "kind", "column kind holds 0 classes"),
        ([["x", "y"]] * 8, "kind", "no label can be changed: 3 of 8 rows with a label were chosen"),
    ],
)
def test_columns_in_which_no_label_could_be_wrong_are_refused(
    tmp_path: Path, labels: Any, column: str, said: str
) -> None:
    with pytest.raises(NcauditError, match=said):
        run(shard(tmp_path / "s.parquet", labels), tmp_path / "out", label_column=column)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", TRUTH)
def test_labels_are_not_corrupted_twice(tmp_path: Path, name: str) -> None:
    source = shard(tmp_path / "s.parquet", ["x", "y"], **{name: ["1", "2"]})
    with pytest.raises(BadTable, match=rf"already has a column {name}: its labels may be corrupted already"):
        run(source, tmp_path / "out")


def test_text_in_one_shard_and_numbers_in_another_are_refused(tmp_path: Path) -> None:
    shard(tmp_path / "in" / "a.parquet", ["x", "y"])
    shard(tmp_path / "in" / "b.parquet", [1, 2])
    with pytest.raises(BadTable, match=r"column kind holds text in .*a\.parquet and numbers in .*b\.parquet"):
        run(tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "label-symmetric"}, "needs to know the labels"),
        ({"label_column": "kind"}, "--label-column is for label kinds, not for --kind shuffle"),
        ({"kind": "label-symmetric", "label_column": "k", "embeddings": ["e"]}, "--embeddings is not needed"),
        *(
            ({"kind": kind, "label_column": "k", name: value}, f"--{name.replace('_', '-')} is about captions")
            for kind in KINDS
            for name, value in (("clusters", 5), ("nearest", 3), ("caption_column", "c"), ("image_root", "r"))
        ),
    ],
)
def test_flags_that_make_no_sense_together_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        CorruptOptions(sources=["s"], out="o", rate=0.1, **options)


def test_each_function_does_its_own_kinds() -> None:
    captions = CorruptOptions(sources=["s"], out="o", rate=0.1)
    labels = CorruptOptions(sources=["s"], out="o", rate=0.1, kind="label-symmetric", label_column="kind")
    with pytest.raises(UsageError, match="is about captions"):
        corrupt_labels(captions)
    with pytest.raises(UsageError, match="is about labels"):
        corrupt(labels)


@pytest.mark.slow
def test_the_command_tells_the_real_rate_and_the_map(tmp_path: Path) -> None:
    def cli(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ncaudit", "corrupt", world(tmp_path / "in"), *words]
        return processes.run(command, capture_output=True, text=True)

    asked = ["--out", str(tmp_path / "out"), "--rate", "0.4", "--kind", "label-asymmetric", "--label-column", "kind"]
    told = json.loads(cli(*asked, "--json").stdout)
    assert (told["asked_rate"], told["rate"], told["wrong"], told["kind"]) == (0.4, 0.4, 320, "label-asymmetric")
    assert told["confused_with"]["dog"] == "ant"
    words = cli(*asked).stdout
    assert "320 labels wrong (label-asymmetric), 40.00% of 800 labelled rows" in words
    assert "ant -> bee" in words
    assert cli("--out", "x", "--rate", "0.4", "--label-column", "kind").returncode == 2


def test_the_draw_is_uniform_where_rows_have_many_labels(tmp_path: Path) -> None:
    names = [f"k{i}" for i in range(5)]
    labels = [[names[0], names[1], names[2]]] * 3_000 + [[name] for name in names]
    run(shard(tmp_path / "in" / "s.parquet", labels), tmp_path / "out", rate=1)
    rows = read(tmp_path / "out")[:3_000]
    new = Counter(label for row in rows for label in row["kind"] if label not in labels[0])
    right = sum(row["label_is_right"] for row in rows)
    # each of the two other classes, and the replaced one itself, with equal chance
    np.testing.assert_allclose([new["k3"], new["k4"], right], 1_000, atol=120)
