import pytest

from ncaudit import EmbedOptions, FilterOptions, ScoreOptions
from ncaudit.errors import UsageError
from ncaudit.options.shared.slices import Slice, slice_of

ARRAY = {"SLURM_ARRAY_TASK_ID": "12", "SLURM_ARRAY_TASK_MIN": "10", "SLURM_ARRAY_TASK_COUNT": "3"}


@pytest.mark.parametrize("count", [1, 3, 7, 20])
def test_parts_share_the_list_without_a_gap_or_an_overlap(count):
    parts = [Slice(number, count).of(range(13)) for number in range(count)]
    assert sorted(item for part in parts for item in part) == list(range(13))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_task_of_an_array_job_is_counted_from_the_first():
    assert slice_of("slurm", ARRAY) == Slice(2, 3)


def test_an_array_job_may_count_in_steps():
    told = {"ID": "6", "MIN": "2", "COUNT": "4", "STEP": "2"}
    assert slice_of("slurm", {f"SLURM_ARRAY_TASK_{name}": value for name, value in told.items()}) == Slice(2, 4)


@pytest.mark.parametrize(
    ("changed", "what"),
    [({"SLURM_ARRAY_TASK_ID": ""}, "TASK_ID is not set"), ({"SLURM_ARRAY_TASK_ID": "40"}, "not one of 3 in a row")],
)
def test_a_job_whose_parts_would_leave_a_gap_is_refused(changed, what):
    with pytest.raises(UsageError, match=what):
        slice_of("slurm", {**ARRAY, **changed})


@pytest.mark.parametrize(("text", "fix"), [("2/2", "0/2 to 1/2"), ("1/1", "0/1, which is all"), ("0/0", "I/N")])
def test_parts_that_there_are_are_named(text, fix):
    with pytest.raises(UsageError) as told:
        slice_of(text)
    assert fix in str(told.value.fix)
    assert "-1" not in str(told.value.fix)


@pytest.mark.parametrize("text", ["3", "1/0", "4/4", "-1/3", "a/b", "1/3/5", "٣/٤ x"])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(UsageError, match="--slice"):
        ScoreOptions(embeddings=["e"], out="o", slice=text)


def test_a_correction_of_the_fit_that_nothing_keeps_is_refused():
    given = {"embeddings": ["e"], "out": "o", "verdicts": ["v.csv"], "fit_only": True}
    with pytest.raises(UsageError, match="nothing keeps that") as told:
        ScoreOptions(**given)
    assert "--save-fit" in told.value.fix
    assert ScoreOptions(**given, save_fit="fit").fit_only


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (EmbedOptions, {"sources": ["d"], "out": "-"}),
        (ScoreOptions, {"embeddings": ["e"], "out": "one.parquet"}),
        (FilterOptions, {"scores": ["s"], "out": "one.parquet", "min_soft_label": 0.5}),
        (ScoreOptions, {"embeddings": ["e"], "out": "o", "verdicts": ["v.csv"]}),
        (ScoreOptions, {"embeddings": ["e"], "out": "o", "refit": True}),
        (ScoreOptions, {"embeddings": ["e"], "out": "o", "fit_only": True}),
    ],
)
def test_a_part_is_refused_where_all_shards_are_one(kind, given):
    with pytest.raises(UsageError):
        kind(slice="0/2", **given)
