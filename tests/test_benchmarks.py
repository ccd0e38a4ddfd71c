"""The scripts behind the figures run: with tiny sizes here, so that none of them rots unseen."""

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ncaudit.errors import NcauditError
from tests.worlds import processes

SCRIPTS = Path(__file__).parent / "benchmarks"


def ran(script: str, *words: str) -> str:
    """What it prints; it must end well."""
    place = {**os.environ, "PYTHONPATH": str(SCRIPTS.parents[1])}
    command = [sys.executable, str(SCRIPTS / script), *words]
    done = processes.run(command, capture_output=True, text=True, env=place, timeout=1_200)
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-4_000:]
    return done.stdout


@pytest.mark.slow
def test_the_gpu_script_measures_and_compares_all_without_a_gpu(tmp_path):
    report = tmp_path / "report.json"
    printed = ran("gpu.py", "--device", "cpu", "--tiny", "--json", str(report), "--work", str(tmp_path))
    found = json.loads(report.read_text())
    assert list(found["skipped"]) == ["memory_runs_out"], found["skipped"]
    assert {"float16 TFLOP/s", "to the device GB/s"} < set(found["peaks"])
    shares = {figure["what"]: figure["share"] for figure in found["figures"]}
    assert {"embed the sample's", "score, apply", "labels of 400 pairs", "train towers, float32"} <= {
        name.replace("bfloat16", "float32") for name in shares
    }
    assert found["equal"]["embed the sample's"]["lowest cosine to the CPU's float32"] > 0.999
    assert found["equal"]["score"] == {"largest difference of score": 0, "largest difference of soft_label": 0}
    assert found["equal"]["train heads"] == {"largest difference of a weight": 0}
    assert found["equal"]["embed --devices"]["same bytes"]
    assert "skipped: memory_runs_out: only a GPU" in printed


def test_without_a_gpu_the_gpu_script_says_why_it_skips():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert ran("gpu.py").startswith("skipped: this machine or this torch has no CUDA device")


@pytest.mark.slow
def test_the_table_goes_on_where_it_stopped(tmp_path):
    if not (SCRIPTS.parents[1] / ".git").exists():
        pytest.skip("no git checkout to make a worktree of")
    state = tmp_path / "state.jsonl"
    asked = ("--light", "--before", "HEAD", "--only", "look", "--work", str(tmp_path))
    words = ("table.py", "--state", str(state), *asked)
    assert ran(*words, "--repeats", "1").count("round 1") == 2
    lines = state.read_text().splitlines()
    state.write_text(lines[0] + "\n" + lines[1][:40])  # ended as the last line was written
    printed = ran(*words, "--repeats", "2")
    assert [line for line in printed.splitlines() if "round" in line and "look" in line] != []
    assert printed.count(", round 1:") == 1
    assert printed.count(", round 2:") == 2
    row = printed.splitlines()[-1]
    assert row.startswith("| the exact look at 26 candidates each, 512 queries | ")
    assert "–" not in row
    assert ran(*words, "--repeats", "2").startswith("before: ")  # nothing is left to measure


@pytest.mark.slow
def test_light_figures_are_printed_and_what_cannot_be_measured_is_told(tmp_path):
    report = tmp_path / "report.json"
    ran("run.py", "--light", "--only", "look", "apply", "--json", str(report), "--work", str(tmp_path))
    found = json.loads(report.read_text())
    assert found["failed"] == {}
    assert [figure["unit"] for figure in found["figures"]] == ["s", "rows/s"]
    assert all(0 < figure["share"] for figure in found["figures"])


@pytest.fixture
def learnt(monkeypatch):
    """A module of the script that compares ways to train, by its name."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return lambda name: import_module(f"learnt.{name}")


def test_the_error_of_a_paired_difference_is_over_seeds_and_photos(learnt):
    difference, zeros = learnt("paired").difference, np.zeros(4)
    apart = np.array([0.0, 0.0, 4.0, 4.0])
    alike = difference({0: apart, 1: apart}, {0: zeros, 1: zeros})
    assert (alike.mean, alike.seeds, alike.photos) == (2.0, 2, 4)
    assert alike.error == pytest.approx((16 / 3 / 4) ** 0.5)  # seeds agree: what is left is which photos were drawn
    one = difference({0: zeros + 1, 1: zeros + 3}, {0: zeros, 1: zeros})
    assert one.error == pytest.approx((2 / 2) ** 0.5)  # photos agree: what is left is which seeds were drawn
    assert one.is_beyond_chance
    both = difference({0: apart + 1, 1: apart + 3}, {0: zeros, 1: zeros})
    # both, less what is counted twice: the variance of all differences over their number, (4 + 1) / 8
    assert both.error == pytest.approx((16 / 3 / 4 + 1 - 5 / 8) ** 0.5)


def test_a_difference_is_over_seeds_and_photos_that_both_rows_have(learnt):
    difference = learnt("paired").difference
    found = difference({0: np.array([1.0, np.nan, 3.0]), 5: np.ones(3)}, {0: np.zeros(3), 7: np.ones(3)})
    assert (found.mean, found.seeds, found.photos) == (2.0, 1, 2)
    assert difference({0: np.ones(3)}, {1: np.ones(3)}) is None


def test_recalls_of_photos_are_those_that_eval_retrieval_tells(learnt):
    torch = pytest.importorskip("torch")
    from ncaudit.core.metrics.retrieval import retrieval_metrics

    draw = torch.Generator().manual_seed(0)
    image, text = (torch.nn.functional.normalize(torch.randn(n, 4, generator=draw), dim=1) for n in (40, 80))
    photo = torch.arange(80) % 40  # two captions each
    found, told = learnt("recalls").recalls(image, text, photo), retrieval_metrics(image, text, photo)
    assert found.r1.mean() == pytest.approx((told.i2t_r1 + told.t2i_r1) / 2)
    assert found.six.mean() == pytest.approx(told.rsum / 6)
    again = learnt("recalls").Recalls.unpacked(found.packed())
    assert np.array_equal(again.r1, found.r1)


@pytest.mark.parametrize("kind", ["random", "topic", "near"])
def test_so_many_pairs_get_the_caption_of_another_photo(learnt, kind):
    draw = np.random.default_rng(0)
    rows = draw.standard_normal((2, 300, 8)).astype(np.float32)
    image, text = rows / np.linalg.norm(rows, axis=2, keepdims=True)
    photo = np.arange(300) // 3
    given = learnt("noise").source(image, text, photo, kind, 0.4, 1)
    moved = given != np.arange(300)
    assert moved.sum() == pytest.approx(120, abs=6)
    assert (photo[given[moved]] != photo[moved]).all()
    assert np.array_equal(given, learnt("noise").source(image, text, photo, kind, 0.4, 1))


def cell(learnt, method="plain", world="rendered", kind="random", rate=0.4, seed=0, part=0, **more):
    draw = learnt("cells").Draw(world, kind, rate, seed, part)
    told = learnt("recalls").Recalls(*(np.full(4, more.pop("r1", 1.0), np.float32),) * 2).packed()
    sizes = learnt("cells").Sizes().of(world)
    return learnt("state").Line(draw, method, sizes, "code", {"cpu": "c", "cores": 2, "torch": "t"}, last=told, **more)


def test_a_run_that_was_ended_as_it_wrote_a_line_goes_on_there(learnt, tmp_path):
    state = learnt("state").State(tmp_path / "state", learnt("cells").Sizes())
    state.add(cell(learnt, "start"))
    state.add(cell(learnt, "plain"))
    whole = state.path.read_text()
    state.path.write_text(whole[:-40])
    assert [name for _, name in state.lines()] == ["start"]
    state.add(cell(learnt, "oracle"))
    assert [name for _, name in state.lines()] == ["start", "oracle"]


def test_only_what_is_missing_is_measured_and_what_could_not_be_only_by_other_code(learnt):
    done = learnt("measure")._is_done
    assert not done(None, "code", again=False)
    assert done(cell(learnt), "newer", again=False)
    failed = cell(learnt, why="no recipe rematch in this checkout")
    assert done(failed, "code", again=False)
    assert not done(failed, "newer", again=False)
    assert not done(failed, "code", again=True)


def test_the_best_is_found_on_the_seeds_that_choose_and_is_no_control(learnt):
    form = learnt("cells").LONG
    rows = {"plain": 9.0, "oracle": 9.0, "soft labels": 8.0, "drop": 4.0, "rcl": 3.0}
    lines = {
        (line.draw, line.method): line
        for name, r1 in rows.items()
        for seed in (0, 1)
        for line in [cell(learnt, name, seed=seed, r1=r1)]
    }
    lines |= {(line.draw, line.method): line for line in [cell(learnt, "bicro", seed=0, r1=10.0)]}  # of one seed only
    assert learnt("winner").winner(lines, "rendered", form) == "drop"
    assert learnt("cells").meant(("plain", "best", "drop"), "drop") == ["plain", "drop"]


def test_a_row_that_this_checkout_cannot_do_is_left_out_with_the_reason(learnt):
    methods = learnt("methods")
    given = {"out": "o", "data": ["d"], "scores": ["s"]}
    lacking = {
        "no objective whim in this checkout": {"objective": "whim"},
        "no recipe whim in this checkout": {"recipe": "whim"},
        "no --whim in this checkout": {"whim": 1},
        "--recipe bicro is for --tune heads, not for --tune towers": {"recipe": "bicro"},
    }
    for why, options in lacking.items():
        assert methods.Method("row", options).why_not(given) == why
    assert methods.METHODS["drop"].why_not(given) is None


@pytest.mark.parametrize(("name", "epochs"), [("oracle", 6), ("oracle, twice the epochs", 12)])
def test_a_row_that_takes_twice_the_epochs_is_given_them(learnt, monkeypatch, tmp_path, name, epochs):
    measure, given = learnt("measure"), []

    def trained(out, **options):
        given.append(options["epochs"])
        raise NcauditError("enough was seen", fix="go on")

    monkeypatch.setattr(measure, "trained", trained)
    noisy = SimpleNamespace(options=lambda **which: {"data": ["d"], "scores": ["s"], "epochs": 6})
    with pytest.raises(NcauditError, match="enough was seen"):
        measure._measured(cell(learnt).draw, name, noisy, tmp_path)
    assert given == [epochs]


def test_tables_tell_differences_and_what_was_asked(learnt):
    lines = {}
    for name, r1 in {"start": 1.0, "plain": 2.0, "oracle": 5.0, "soft labels": 4.0, "drop": 6.5, "auto": 6.0}.items():
        for seed in (0, 1, 10, 11, 12, 13, 14):
            line = cell(learnt, name, seed=seed, r1=r1, facts={"mismatched": 0.4})
            lines[line.draw, name] = line
    told = learnt("tables").tables(lines, learnt("cells").LONG, ["rendered"])
    row = next(line for line in told if line.startswith("| drop |"))
    assert row == "| drop | 6.50 | **+4.50 ± 0.00** | **+1.50 ± 0.00** | 6.50 | **+1.50 ± 0.00** | 5 |"
    assert any("best - oracle at 40 %: **+1.50 ± 0.00**" in line for line in told)
    assert any("auto within 1 point of the best fixed row: 1 of 1 cells" in line for line in told)


@pytest.mark.slow
def test_ways_to_train_are_compared_in_the_rendered_world_and_a_rerun_measures_nothing_twice(tmp_path):
    words = ("--state", str(tmp_path / "state"), "--short", "--worlds", "rendered", "--phases", "first", "--jobs", "1")
    first = ran("training.py", *words, "--only", "start", "oracle")
    assert first.count("rendered, random 40%, seed 0: ") == 2
    assert "| oracle | " in first
    assert "seed 0: " not in ran("training.py", *words, "--only", "start", "oracle")


@pytest.mark.slow
def test_the_training_by_class_is_measured_with_and_without_classes():
    printed = ran("label_training.py", "--worlds", "digits", "--rates", "0.4", "--seeds", "1", "--rows", "nirnl", "cmp")
    assert "digits: MAP % on clean pairs, 1 seeds" in printed
    assert "best at 0.4: nirnl" in printed
