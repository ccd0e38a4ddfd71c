"""One command does what its steps do one by one, is refused before any work, and says what it leaves."""

import json
import shutil
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ncaudit
from ncaudit.errors import BadTable, NcauditError, UsageError
from ncaudit.options import AuditOptions, EmbedOptions, LabelsOptions, ReportOptions, ScoreOptions
from ncaudit.verbs.audit.audit import audit
from ncaudit.verbs.embed.embed import embed
from ncaudit.verbs.labels.labels import labels
from ncaudit.verbs.report.report import report
from ncaudit.verbs.score.score import score
from tests.worlds.commands import run
from tests.worlds.made import made_in
from tests.worlds.reports import Page
from tests.worlds.sample import SAMPLE, TINY

pytestmark = pytest.mark.usefixtures("tiny_model")

QUICK = {"model": TINY, "device": "cpu", "precision": "float32", "workers": 0, "batch_pairs": 16}
JUDGED = {"scorer": "clip-score", "check": False}
ROWS = 60


def sample(first=0, rows=ROWS, **columns):
    table = pq.read_table(SAMPLE / "train.parquet", columns=["key", "jpg", "caption"]).slice(first, rows)
    for name, column in columns.items():
        table = table.append_column(name, pa.array(column))
    return table


def write(table, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def data(here):
    kinds = [f"kind {i % 3}" for i in range(ROWS)]
    write(sample(kind=kinds), here / "data/A/0.parquet")
    write(sample(ROWS, kind=kinds), here / "data/B/0.parquet")
    return "data"


def audited(data="data", out="run", **more):
    return audit(AuditOptions(**{"sources": [data], "out": out, **QUICK, **JUDGED, **more}))


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def times(folder):
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def refused(here, kind=NcauditError, **more):
    """The error of an audit that must not have made, changed or removed a file."""
    before = times(here)
    with pytest.raises(kind) as error:
        audited(**more)
    assert times(here) == before
    return error.value


def test_an_audit_is_its_steps_one_after_the_other(here, data):
    result = audited(label_column="kind")
    once = here / "steps"
    embed(EmbedOptions(sources=[data], out=str(once / "embeddings"), **QUICK))
    tables = [str(once / "embeddings")]
    scored = score(ScoreOptions(embeddings=tables, out=str(once / "scores"), device="cpu", **JUDGED))
    classes = labels(LabelsOptions(embeddings=tables, out=str(once / "labels"), label_column="kind", device="cpu"))
    one, other = made_in(here / "run"), made_in(once)
    assert {name for name in one if name.startswith(("embeddings", "scores", "labels/"))} == set(other)
    assert all(one[name] == content for name, content in other.items())
    assert set(one) - set(other) == {
        *("report.html", "labels.html", ".report.html.ncaudit.json", ".labels.html.ncaudit.json")
    }
    assert (result.score.noise_rate, result.labels.noise_rate) == (scored.noise_rate, classes.noise_rate)
    assert (result.accounting.rows, result.accounting.ok, result.accounting.shards) == (2 * ROWS, 2 * ROWS, 2)
    assert result.labels_report.out == "run/labels.html"


def test_the_page_is_that_of_report_with_the_pictures_of_the_dataset(here, data):
    result = audited()
    page = (here / "run/report.html").read_bytes()
    assert result.report.pictures > 0
    report(ReportOptions(scores=["run/scores"], data=["data"], out="run/report.html", workers=0))
    assert (here / "run/report.html").read_bytes() == page


def test_the_worst_five_are_those_with_the_lowest_labels(here, data):
    result = audited()
    rows = pq.read_table(here / "run/scores").sort_by([("soft_label", "ascending"), ("score", "ascending")])
    wanted = [(row["pair_id"], row["caption"]) for row in rows.slice(0, 5).to_pylist()]
    assert [(pair.pair_id, pair.caption) for pair in result.worst] == wanted


def test_a_rerun_does_nothing_again_but_the_page(here, data):
    first = audited()
    before = times(here)
    again = audited()
    changed = {name for name, at in times(here).items() if before[name] != at}
    assert changed <= {"run/report.html", "run/.report.html.ncaudit.json"}
    assert (again.accounting.shards_resumed, again.score.fit_id) == (2, first.score.fit_id)


def test_refit_keeps_the_embeddings(here, data):
    audited()
    before = times(here)
    audited(refit=True)
    changed = {name for name, at in times(here).items() if before[name] != at}
    assert {"run/scores/A/0.parquet", "run/scores/B/0.parquet"} <= changed
    assert not {name for name in changed if "embeddings" in name}


@pytest.mark.parametrize(
    "path",
    [
        *("embeddings/A/0.parquet", "scores/B/0.parquet", "scores/_fit/fit.json", "labels/A/0.parquet"),
        *("labels/audit.json", "report.html", "labels.html"),
    ],
)
def test_what_is_somebody_elses_is_refused_before_any_work_and_replaced_if_asked(here, data, path):
    mine = here / "run" / path
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    error = refused(here, label_column="kind")
    assert f"run/{path} is there already" in error.message
    assert "--overwrite" in error.fix
    audited(label_column="kind", overwrite=True)
    assert mine.read_bytes() != b"mine"


def test_tables_of_another_dataset_are_refused_until_they_are_pruned(here, data):
    audited(label_column="kind")
    shutil.move("data/B", "elsewhere")
    error = refused(here, label_column="kind")
    assert "run/embeddings/B/0.parquet was made from another dataset, or from a shard that is gone" in error.message
    result = audited(label_column="kind", prune=True)
    assert result.accounting.rows == ROWS
    alone = {name for name in files(here / "run") if name.endswith(".parquet")}
    assert alone == {"embeddings/A/0.parquet", "scores/A/0.parquet", "labels/A/0.parquet"}
    assert audited(out="fresh", label_column="kind").score.fit_id == result.score.fit_id


def test_a_table_that_no_command_of_ours_wrote_is_not_taken_in(here, data):
    audited()
    write(sample(), here / "run/scores/mine.parquet")
    error = refused(here, prune=True)
    assert "run/scores/mine.parquet is in the way" in error.message


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"label_column": "sort"}, "has no column 'sort'"),
        ({"label_column": "jpg"}, "classes are text"),
        ({"verdicts": ["nothing.csv"]}, "nothing.csv"),
        ({"scorer": "nonsense"}, "nonsense"),
    ],
)
def test_what_a_later_step_would_refuse_is_refused_before_any_work(here, data, more, words):
    assert words in refused(here, **more).message


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"out": "run.parquet"}, "audit writes a folder"),
        ({"out": "-"}, "audit writes a folder"),
        ({"out": "hf://bucket/run"}, "hf://bucket/run"),
        ({"max_failed": 2}, "--max-failed"),
        ({"noisy_precision": 7}, "--noisy-precision"),
        ({"columns": ["url"], "label_column": "kind"}, "leaves out the --label-column kind"),
        ({"batch_pairs": 0}, "--batch-pairs"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(more, words):
    with pytest.raises(UsageError, match=words):
        AuditOptions(**{"sources": ["data"], "out": "run", **more})


def test_lists_of_classes_are_carried_though_lists_are_not(here):
    kinds = [[f"a{i % 3}"] for i in range(ROWS)]
    write(sample(tags=kinds, lang=["en"] * ROWS), here / "data/0.parquet")
    result = audited(label_column="tags")
    assert (result.labels.classes, result.labels.unlabelled) == (3, 0)
    assert {"tags", "lang", "key"} <= set(pq.read_schema(here / "run/embeddings/0.parquet").names)


def test_a_class_column_that_is_called_like_one_of_ours_is_found(here):
    write(sample(verdict=[f"v{i % 2}" for i in range(ROWS)]), here / "data/0.parquet")
    assert audited(label_column="verdict").labels.classes == 2


def test_no_row_that_can_be_embedded_is_told_with_the_first_reason(here):
    table = pa.table({"image_path": [f"{i}.jpg" for i in range(5)], "caption": [f"a {i}" for i in range(5)]})
    write(table, here / "data/0.parquet")
    with pytest.raises(BadTable) as error:
        audited()
    told = "no row of data could be embedded: 5 image_missing (the first: 0/0, 0.jpg: no such file"
    assert told in error.value.message
    assert "--image-root" in error.value.fix


def test_one_pair_is_too_few_for_the_usual_scorer_and_enough_for_the_cosine(here):
    write(sample(rows=1), here / "data/0.parquet")
    with pytest.raises(NcauditError, match="at least 20"):
        audited(scorer="bicro")
    result = audited()
    assert (result.accounting.rows, len(result.worst), result.score.mean_soft_label) == (1, 1, None)
    assert (here / "run/report.html").exists()


@pytest.mark.parametrize("more", [{}, {"key": "key"}])
def test_the_page_shows_the_line_of_a_caption_that_was_embedded(here, more):
    lines = [f"first of {i}\nsecond of {i}" for i in range(20)]
    table = sample(rows=20).drop_columns("caption").append_column("caption", pa.array(lines))
    write(table, here / "data/0.parquet")
    audited(caption_lines=True, columns=["key"], **more)
    bare = pq.read_table("run/scores/0.parquet").drop_columns("caption")  # now the dataset alone knows it
    pq.write_table(bare, "run/scores/0.parquet")
    options = AuditOptions(sources=["data"], out="run", caption_lines=True, **QUICK, **JUDGED, **more)
    report(replace(options.of_report, overwrite=True))
    page = Page(here / "run/report.html")
    told = next(json.loads(text) for attrs, text in page.scripts if attrs.get("type") == "application/json")
    shown = {(pair["row"], pair["pair_id"][-1]): pair["caption"] for pair in told["pairs"]}
    assert shown == {(i, str(n)): f"{word} of {i}" for i in range(20) for n, word in enumerate(("first", "second"))}


def test_standard_input_is_data_too(here, monkeypatch):
    import io
    import sys

    sink = io.BytesIO()
    table = sample()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    for _ in range(2):  # the rerun knows the rows again
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(sink.getvalue()))))
        result = audited("-")
    assert (result.sources, result.accounting.rows) == (("-",), ROWS)
    assert result.embed.accounting.shards_resumed == 1


def test_json_is_one_object_of_all_steps(here, data):
    words = ["--model", TINY, "--device", "cpu", "--precision", "float32", "--workers", "0", "--batch-pairs", "16"]
    ran = run("audit", data, "--out", "run", *words, "--scorer", "clip-score", "--no-check", "--json")
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    assert told["embed"]["accounting"]["rows"] == told["accounting"]["rows"] == 2 * ROWS
    assert (told["report"]["out"], told["labels"]) == ("run/report.html", None)
    assert [set(pair) >= {"pair_id", "caption", "soft_label"} for pair in told["worst"]] == [True] * 5


def test_the_last_lines_are_rate_counts_worst_captions_and_what_next(here, data):
    words = ["--model", TINY, "--device", "cpu", "--precision", "float32", "--workers", "0", "--batch-pairs", "16"]
    ran = run("audit", data, "--out", "run", *words, "--scorer", "clip-score", "--no-check")
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("noise rate ")
    assert "clean" in lines[1]
    head = lines.index("the worst captions")
    captions = [line for line in lines[head + 2 :] if line.split()[0].startswith("0.")]
    assert len(captions) == 5
    assert lines[-6] == "next: open run/report.html in a browser"
    assert [line.split()[:3] for line in lines[-5:-3]] == [["also:", "ncaudit", "show"], ["also:", "ncaudit", "filter"]]
    assert run(*lines[-5].split()[2:]).exit_code == 0
    assert run(*lines[-4].split()[2:]).exit_code == 0
    assert lines[-3] == "once you have judged pairs on the page, with the judged.csv that it gives you:"
    assert lines[-2].split()[1:3] == ["audit", data]
    assert lines[-2].endswith(" --verdicts judged.csv")
    assert lines[-1] == f"{2 * ROWS} rows = {2 * ROWS} ok + 0 failed (2 shards)"


def test_a_dataset_that_cannot_be_written_back_is_filtered_by_its_scores(here):
    rows = sample().to_pylist()
    (here / "pics").mkdir()
    for row in rows:
        (here / "pics" / f"{row['key']}.jpg").write_bytes(row["jpg"])
    lines = [f'{row["key"]}.jpg,"{row["caption"]}"' for row in rows]
    (here / "list.csv").write_text("\n".join(["filepath,caption", *lines]), "utf-8")
    words = ["--model", TINY, "--device", "cpu", "--workers", "0", "--image-root", "pics", "--out", "run"]
    ran = run("audit", "list.csv", *words, "--scorer", "clip-score", "--no-check")
    (command,) = (line for line in ran.stdout.splitlines() if line.startswith("also: ncaudit filter"))
    assert "--data" not in command
    assert run(*command.split()[2:]).exit_code == 0


def test_who_has_judged_is_not_asked_to(here, data):
    (here / "judged.csv").write_text("pair_id,is_match\nA/0/0,yes\nB/0/1,no\n", "utf-8")
    words = ["--model", TINY, "--device", "cpu", "--workers", "0", "--out", "run", "--no-check"]
    ran = run("audit", data, *words, "--scorer", "clip-score", "--verdicts", "judged.csv")
    assert ran.exit_code == 0, ran.output
    assert "once you have judged" not in ran.stdout


def test_python_has_it():
    assert ncaudit.audit.__wrapped__ is audit
