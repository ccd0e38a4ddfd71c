"""`labels`: a noisy table is seen through, exact accounts, and what no order, name or copy may change."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import ncaudit
from ncaudit import LabelsOptions, NcauditError
from ncaudit.core.metrics.detection import auroc
from ncaudit.judging import classes as judging
from ncaudit.schema import labels_schema
from ncaudit.verbs.labels import labels as labels_module
from ncaudit.verbs.labels.labels import LabelsResult
from tests.worlds.embeddings import lists

PAIRS, CLASSES = 320, 4
NAMES = np.array(["ant", "bee", "cat", "dog"])


def world(n: int = PAIRS, *, noise: float = 0.4) -> tuple[dict[str, Any], np.ndarray]:
    """Pairs around their class in both modalities, some with a random class; and the true classes."""
    draw = np.random.default_rng(0)
    truth = draw.integers(0, CLASSES, n)
    image, text = (np.eye(CLASSES, 8)[truth] + 0.45 * draw.normal(size=(n, 8)) for _ in range(2))
    given = np.where(draw.random(n) < noise, draw.integers(0, CLASSES, n), truth)
    columns = {
        "pair_id": pa.array([f"p{i}" for i in range(n)]),
        "image_embedding": lists(image, dtype=np.float32),
        "text_embedding": lists(text, dtype=np.float32),
        "kind": pa.array(NAMES[given].tolist()),
    }
    return columns, truth


def written(folder: Path, columns: dict[str, Any], name: str = "a") -> Path:
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return folder


def labels(folder: Path, out: Path | str, **options: Any) -> LabelsResult:
    asked = {"embeddings": [str(folder)], "out": str(out), "label_column": "kind", **options}
    return ncaudit.labels(LabelsOptions(**asked))


def audited(tmp_path: Path, columns: dict[str, Any], name: str = "o", **options: Any) -> tuple[LabelsResult, pa.Table]:
    result = labels(written(tmp_path / f"{name}-in", columns), tmp_path / name, **options)
    return result, pq.read_table(tmp_path / name / "a.parquet")


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> tuple[LabelsResult, pa.Table, np.ndarray]:
    columns, truth = world()
    return (*audited(tmp_path_factory.mktemp("noisy"), columns), truth)


def test_wrong_classes_are_found_and_right_ones_suggested(noisy):
    result, table, truth = noisy
    right = torch.tensor(np.array(table["given_label"].to_pylist()) == NAMES[truth])
    assert auroc(torch.tensor(table["label_quality"].to_pylist()), right) > 0.9
    better = [row["suggested_label"] or row["given_label"] for row in table.to_pylist()]
    assert (np.array(better) == NAMES[truth]).mean() > 0.85
    assert result.noise_rate_low <= 1 - right.float().mean() <= result.noise_rate_high
    assert result.noise_rate_told


def test_the_schema_is_the_contract(noisy):
    _, table, _ = noisy
    assert table.schema.remove_metadata().equals(labels_schema(pa.string()))
    quality = table["label_quality"].to_numpy()
    assert ((quality >= 0) & (quality <= 1)).all()
    assert set(table["partition"].to_pylist()) == {"pure", "hard", "noisy"}


def test_a_suggestion_is_never_the_given_class(noisy):
    _, table, _ = noisy
    rows = table.to_pylist()
    assert all(row["suggested_label"] != row["given_label"] for row in rows)
    assert any(row["suggested_label"] for row in rows)


def test_witnesses_disagree_and_none_is_the_pair_itself(noisy):
    _, table, _ = noisy
    given = {row["pair_id"]: row["given_label"] for row in table.to_pylist()}
    for row in table.to_pylist():
        assert len(row["why"]) == len(set(row["why"])) <= 3
        assert all(given[other] != row["given_label"] for other in row["why"])


def test_the_partition_follows_from_the_neighbours(noisy):
    _, table, _ = noisy
    for row in table.to_pylist():
        agreeing = sum(row[f"{side}_neighbour_label"] == row["given_label"] for side in ("image", "text"))
        assert row["partition"] == ("noisy", "hard", "pure")[agreeing]


def test_the_order_of_rows_changes_no_answer(noisy, tmp_path):
    _, table, _ = noisy
    order = np.random.default_rng(3).permutation(PAIRS)
    columns, _ = world()
    _, shuffled = audited(tmp_path, {name: values.take(pa.array(order)) for name, values in columns.items()})
    expected = table.take(pa.array(order))
    np.testing.assert_allclose(shuffled["label_quality"], expected["label_quality"], atol=5e-3)
    for name in ("partition", "image_neighbour_label", "text_neighbour_label", "why"):
        assert shuffled[name].to_pylist() == expected[name].to_pylist()


def test_the_names_of_the_classes_change_no_answer(noisy, tmp_path):
    _, table, _ = noisy
    columns, _ = world()
    renamed = {"ant": 7, "bee": -2, "cat": 0, "dog": 3}
    columns["kind"] = pa.array([renamed[name] for name in columns["kind"].to_pylist()], pa.int16())
    _, found = audited(tmp_path, columns)
    assert found.schema.field("suggested_label").type == pa.int16()
    np.testing.assert_allclose(found["label_quality"], table["label_quality"], atol=5e-3)
    assert found["image_neighbour_label"].to_pylist() == [
        renamed[n] for n in table["image_neighbour_label"].to_pylist()
    ]


def test_copies_of_a_photo_are_no_witnesses(tmp_path):
    columns, truth = world(noise=0.0)
    wrong = NAMES[(truth[0] + 1) % CLASSES]
    first = pa.array([0] * 20)  # twenty times the same photo, caption and wrong class
    copies = {name: pa.concat_arrays([values, values.take(first)]) for name, values in columns.items()}
    kinds = copies["kind"].to_pylist()
    kinds[0] = wrong
    kinds[PAIRS:] = [wrong] * 20
    copies |= {"kind": pa.array(kinds), "pair_id": pa.array([f"p{i}" for i in range(PAIRS + 20)])}
    _, table = audited(tmp_path, copies)
    rows = table.take(pa.array([0, PAIRS, PAIRS + 19])).to_pylist()
    assert all(row["partition"] == "noisy" and row["label_quality"] < 0.2 for row in rows)
    assert all(row["suggested_label"] == NAMES[truth[0]] for row in rows)


def test_unlabelled_pairs_get_a_suggestion_and_no_quality(tmp_path):
    columns, truth = world()
    kinds = [None if i < 40 else kind for i, kind in enumerate(columns["kind"].to_pylist())]
    result, table = audited(tmp_path, columns | {"kind": pa.array(kinds)})
    rows = table.to_pylist()[:40]
    assert all(row[name] is None for row in rows for name in ("given_label", "partition", "label_quality", "why"))
    assert {row["status"] for row in rows} == {"ok"}
    assert np.mean([row["suggested_label"] == NAMES[truth[i]] for i, row in enumerate(rows)]) > 0.8
    assert result.unlabelled == 40


def test_pairs_with_several_classes_agree_by_any(tmp_path):
    columns, truth = world(500, noise=0.3)
    kinds = [[kind, "thing"] if i % 3 == 0 else [kind] for i, kind in enumerate(columns["kind"].to_pylist())]
    result, table = audited(tmp_path, columns | {"kind": pa.array(kinds)})
    assert table.schema.remove_metadata().equals(labels_schema(pa.list_(pa.string())))
    single = [i for i in range(500) if i % 3]
    right = torch.tensor([kinds[i][0] == NAMES[truth[i]] for i in single])
    assert auroc(torch.tensor([table["label_quality"][i].as_py() for i in single]), right) > 0.85
    for row in table.to_pylist():
        agreeing = sum(bool({*row[f"{s}_neighbour_label"]} & {*row["given_label"]}) for s in ("image", "text"))
        assert row["partition"] == ("noisy", "hard", "pure")[agreeing]
    assert result.class_noise_matrix == ()


def test_failed_rows_keep_their_status_and_every_row_is_counted(tmp_path):
    columns, _ = world()
    status = pa.array(["image_missing" if i < 9 else "ok" for i in range(PAIRS)])
    result, table = audited(tmp_path, columns | {"status": status})
    assert table["status"].to_pylist() == status.to_pylist()
    assert table["label_quality"].null_count == 9
    assert (result.accounting.ok, result.accounting.failed) == (PAIRS - 9, 9)


def test_a_rerun_changes_no_byte_and_judges_nothing_anew(tmp_path, monkeypatch):
    columns, _ = world()
    half = PAIRS // 2
    for name, rows in (("a", slice(0, half)), ("b", slice(half, PAIRS))):
        written(tmp_path / "in", {key: values[rows] for key, values in columns.items()}, name)
    first = labels(tmp_path / "in", tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    (tmp_path / "out/b.parquet").unlink()
    assert labels(tmp_path / "in", tmp_path / "out").accounting.shards_resumed == 1
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    monkeypatch.setattr("ncaudit.verbs.labels.labels.audit", None)
    again = labels(tmp_path / "in", tmp_path / "out")
    assert again.accounting.shards_resumed == 2
    assert (again.noise_rate, again.partitions, again.suggestions) == (
        first.noise_rate,
        first.partitions,
        first.suggestions,
    )


def test_one_table_for_all_shards_holds_the_same_rows(noisy, tmp_path):
    _, table, _ = noisy
    labels(written(tmp_path / "in", world()[0]), tmp_path / "all.parquet")
    assert pq.read_table(tmp_path / "all.parquet").equals(table)


def test_the_table_says_what_it_was_made_from(noisy):
    _, table, _ = noisy
    told = json.loads(table.schema.metadata[b"ncaudit"])
    assert told["verb"] == "labels"
    assert told["options"]["label_column"] == "kind"
    assert "P(the given class is right)" in told["label_means"]
    assert 0 < told["noise_rate"]["rate"] < 1


def test_k_as_given_and_never_more_than_there_are_pairs(tmp_path):
    columns, _ = world(60)
    result, _ = audited(tmp_path, columns, k=500)
    assert result.k == 59
    assert any("59 neighbours vote, not 500" in note for note in result.notes)


def test_classes_smaller_than_k_are_counted(tmp_path):
    columns, _ = world()
    kinds = columns["kind"].to_pylist()
    kinds[:3] = ["rare"] * 3
    result, _ = audited(tmp_path, columns | {"kind": pa.array(kinds)}, k=20)
    assert (result.small_classes, result.small_class_pairs) == (1, 3)
    assert any("at most 20 pairs (3 in all)" in note for note in result.notes)


def test_too_few_labels_to_judge_are_told_and_neighbours_still_vote(tmp_path):
    result, table = audited(tmp_path, world(40)[0])
    assert result.noise_rate is None
    assert "fewer than 50 labelled pairs" in result.label_means
    assert table["label_quality"].null_count == 40
    assert table["partition"].null_count == 0


def test_embeddings_that_show_no_class_leave_the_rate_open(tmp_path):
    columns, _ = world()
    kinds = np.random.default_rng(5).permutation(np.array(columns["kind"].to_pylist()))
    result, _ = audited(tmp_path, columns | {"kind": pa.array(kinds.tolist())})
    assert not result.noise_rate_told
    assert result.noise_rate_low == 0
    assert any("hardly agree" in note for note in result.notes)


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (pa.array(["cat"] * PAIRS), "the same class"),
        (pa.nulls(PAIRS), "no pair with usable embeddings has a class"),
        (pa.array([f"c{i}" for i in range(PAIRS)]), "has one pair"),
        (pa.array([0.5] * PAIRS), "of type double"),
    ],
    ids=["one class", "all null", "a class per pair", "no classes"],
)
def test_a_column_that_cannot_be_audited_is_refused(kinds, message, tmp_path):
    with pytest.raises(NcauditError, match=message):
        audited(tmp_path, world()[0] | {"kind": kinds})
    assert not (tmp_path / "o").exists()


def test_a_missing_column_and_one_of_ours_are_refused(tmp_path):
    columns = world()[0]
    with pytest.raises(NcauditError, match="no column 'species'") as told:
        audited(tmp_path, columns, label_column="species")
    assert "kind" in told.value.fix
    with pytest.raises(NcauditError, match="ncaudit's own column"):
        audited(tmp_path, columns, label_column="pair_id")


def test_shards_whose_classes_are_of_two_types_are_refused(tmp_path):
    columns = world()[0]
    written(tmp_path / "in", columns, "a")
    written(tmp_path / "in", columns | {"kind": pa.array(range(PAIRS))}, "b")
    with pytest.raises(NcauditError, match=r"string in .*int64 in"):
        labels(tmp_path / "in", tmp_path / "out")


def test_k_below_one_is_refused():
    with pytest.raises(NcauditError, match="--k is 0"):
        LabelsOptions(embeddings=["e"], out="o", label_column="kind", k=0)


@pytest.mark.parametrize("kind", [pa.uint64(), pa.decimal128(38, 0), pa.list_(pa.uint64())], ids=str)
def test_classes_beyond_63_bits_are_judged_as_any_other(tmp_path: Path, kind: pa.DataType) -> None:
    columns, _ = world()
    plain, _ = audited(tmp_path, columns)
    number = {name: 2**63 + 5 * i for i, name in enumerate(sorted(NAMES))}
    numbers = [number[name] for name in columns["kind"].to_pylist()]
    columns["kind"] = pa.array([[n] for n in numbers] if pa.types.is_list(kind) else numbers, kind)
    found, table = audited(tmp_path, columns, "large")
    assert (found.classes, found.noise_rate) == (plain.classes, plain.noise_rate)
    assert table.schema.field("suggested_label").type == kind
    suggested = [v[0] if isinstance(v, list) else int(v) for v in table["suggested_label"].to_pylist() if v is not None]
    assert set(suggested) <= set(number.values())
    assert suggested


def test_images_that_are_read_again_in_the_end_give_the_same_bytes(tmp_path, monkeypatch):
    columns, _ = world()
    folder = written(tmp_path / "in", columns)
    labels(folder, tmp_path / "held")
    read: list[int] = []
    rows_of = labels_module._rows
    monkeypatch.setattr(labels_module, "_rows", lambda run, side, *more: read.append(side) or rows_of(run, side, *more))
    monkeypatch.setattr(judging, "HELD_BYTES", 0)
    labels(folder, tmp_path / "again")
    assert read == [0, 1, 0]
    for name in ("a.parquet", "audit.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "held" / name).read_bytes()
