"""The page of label tables: the worst classes first, with what to give instead and who says so."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ncaudit
from ncaudit.errors import BadTable, UsageError
from ncaudit.options import ReportOptions
from ncaudit.schema import labels_schema
from ncaudit.shards.files.provenance import attach, fingerprint_of_file
from tests.worlds.reports import Page, dataset, scores

RATE = {"rate": 0.3, "low": 0.2, "high": 0.4, "told": True}
CAPTIONS = ["one", "two", "three", "four", "five"]
ROWS = [
    {"given_label": "cat", "label_quality": 0.9, "partition": "pure"},
    {"given_label": "dog", "label_quality": 0.1, "partition": "noisy", "suggested_label": "cat", "why": ["a/0", "a/3"]},
    {"given_label": None, "suggested_label": "dog", "why": ["a/3"]},
    {"given_label": "dog", "label_quality": 0.6, "partition": "hard"},
    {"status": "image_missing", "given_label": "cat"},
]


def label_table(path, data, rows=ROWS, kind=None, **said):
    kind = kind or pa.string()
    usual = [{"pair_id": f"a/{i}", "shard": "a.parquet", "row": i, "status": "ok"} for i in range(len(rows))]
    schema = labels_schema(kind)
    made = {"verb": "labels", "noise_rate": RATE, "label_means": "as ever", "options": {"label_column": "kind"}, **said}
    if data is not None:
        made["data"] = {"name": data.name, "fingerprint": fingerprint_of_file(str(data))}
    full = [{**one, **row} for one, row in zip(usual, rows, strict=True)]
    arrays = [pa.array([row.get(field.name) for row in full], field.type) for field in schema]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_arrays(arrays, schema=attach(schema, made)), path)
    return path


def made(tmp_path, *tables, data=None, **options):
    given = {"scores": [str(table) for table in tables], "out": str(tmp_path / "r.html")}
    more = {"data": [str(data)], "workers": 0} if data else {}
    return ncaudit.report(ReportOptions(**given, **more, **options)), Page(tmp_path / "r.html")


@pytest.fixture
def world(tmp_path):
    data = dataset(tmp_path / "data" / "a.parquet", CAPTIONS)
    return label_table(tmp_path / "labels" / "a.parquet", data), data


def test_every_gallery_shows_its_pairs_with_their_witnesses(tmp_path, world):
    result, page = made(tmp_path, world[0], data=world[1])
    assert page.images["worst"] == ["two", "one", "four", "four", "one"]  # with the neighbours of the first
    assert page.images["suggested"] == ["two", "one", "four"]
    assert page.images["unlabelled"] == ["three", "four"]
    assert result.galleries == {"worst": 3, "suggested": 1, "unlabelled": 1, "classes": 2, "failed": 1}
    assert "neighbour: cat" in page.text["suggested"]


def test_the_answer_is_the_rate_of_wrong_classes(tmp_path, world):
    result, page = made(tmp_path, world[0])
    assert (result.of_labels, result.noise_rate, result.noise_rate_told) == (True, 0.3, True)
    assert "30.0% of the classes look wrong" in page.text["answer"]
    assert "pure 1 (33%)" in page.text["answer"]
    assert "--label-column kind" in page.text["answer"]
    assert "90% of 1" not in page.text["answer"]
    assert "65% of 2" in page.text["answer"]  # of dog: the mean of .9 and .4


def test_a_rate_that_was_not_measured_is_called_a_usual_one(tmp_path):
    table = label_table(tmp_path / "a.parquet", None, noise_rate={**RATE, "told": False})
    result, page = made(tmp_path, table)
    assert not result.noise_rate_told
    assert "These embeddings do not show how many classes are wrong" in page.text["answer"]
    assert "A usual rate of wrong classes, 30.0%, is taken instead" in page.text["answer"]


def test_the_command_names_the_embeddings_that_lie_beside_the_labels(tmp_path):
    table = label_table(tmp_path / "labels" / "a.parquet", None)
    assert "--embeddings EMBEDDINGS --out" in made(tmp_path, table.parent)[1].text["answer"]
    (tmp_path / "embeddings").mkdir()
    assert f"--embeddings {tmp_path / 'embeddings'} --out" in made(tmp_path, table.parent)[1].text["answer"]


def test_the_class_noise_matrix_is_that_beside_the_tables(tmp_path, world):
    facts = {"class_names": ["cat", "dog"], "class_noise_matrix": [[0.75, 0.25], [0.5, 0.5]]}
    (world[0].parent / "audit.json").write_text(json.dumps({"facts": facts}))
    _, page = made(tmp_path, world[0])
    assert "Class noise" in page.text["charts"]
    assert "75%" in page.text["charts"]


@pytest.mark.parametrize("text", ["{", "{}", '{"facts": {"class_names": ["a"], "class_noise_matrix": [[1], [2]]}}'])
def test_without_a_whole_matrix_none_is_drawn(tmp_path, world, text):
    (world[0].parent / "audit.json").write_text(text)
    assert "charts" not in made(tmp_path, world[0])[1].text


@pytest.mark.parametrize(("kind", "given"), [(pa.int64(), 7), (pa.list_(pa.string()), ["a", "b"])])
def test_classes_may_be_numbers_or_lists(tmp_path, kind, given):
    rows = [{"given_label": given, "label_quality": 0.1, "partition": "noisy"}]
    _, page = made(tmp_path, label_table(tmp_path / "a.parquet", None, rows, kind))
    assert ("7" if given == 7 else "a, b") in page.text["worst"]


def test_nothing_is_judged_on_it(tmp_path, world):
    result, page = made(tmp_path, world[0])
    assert (result.judge_pairs, page.scripts) == (0, [])
    with pytest.raises(UsageError, match="--judge-only is about pairs"):
        made(tmp_path, world[0], judge_only=True)


def test_scores_and_labels_are_not_mixed(tmp_path, world):
    with pytest.raises(BadTable, match="holds judged classes"):
        made(tmp_path, world[0], scores(tmp_path / "s.parquet", [{"score": 1.0}]))


def test_another_dataset_is_refused(tmp_path, world):
    with pytest.raises(BadTable, match="made from another file"):
        made(tmp_path, world[0], data=dataset(tmp_path / "x" / "a.parquet", CAPTIONS[::-1]))
