"""What `train` would do. Knows what makes a run the one it is, and how far it has come; loads no weights."""

from collections.abc import Iterator, Sequence

from ncaudit.counts import counted
from ncaudit.engines.ranks import launched
from ncaudit.matchers.training_folder import STATE
from ncaudit.options import HEADS, TrainOptions
from ncaudit.planned import Plan, Reading
from ncaudit.progress import SILENT, Progress
from ncaudit.shards.claims.claims import Place
from ncaudit.shards.files.sources import find_shards
from ncaudit.verbs.planning import AGAIN, FITS, plan_of_claim, reading
from ncaudit.verbs.train.auto.choice import candidates
from ncaudit.verbs.train.data.labelled_shards import open_labelled
from ncaudit.verbs.train.data.labelled_tables import open_labelled_tables
from ncaudit.verbs.train.ranks import for_rank
from ncaudit.verbs.train.train import (
    CHOICE,
    Json,
    folder_of,
    kind_of,
    left_whole,
    objective_of,
    recorded,
    without_choice,
)


def plan_train(options: TrainOptions, progress: Progress = SILENT) -> Plan:
    """Raises NcauditError where `train` would refuse to begin."""
    options = for_rank(options, launched())
    if not options.is_open:
        objective_of(options)
    trained = kind_of(options)
    folder = folder_of(options, trained)
    claim, run, summary = recorded(options, trained, folder)
    reads = tuple(_reads(options))
    if summary is not None:
        left_whole(options, trained, folder, summary)
        return plan_of_claim(claim, options.out, lambda place, name: FITS, reads=reads, finished=1, rows_left=0)
    folder.refuse_live_run(without_choice(run))
    rows, columns = _opened(options)
    done = None if options.restart else folder.epochs_done(run)
    discards = options.restart and any(claim.there.values())
    return plan_of_claim(
        claim, options.out, _fate, reads=reads, columns=columns, finished=0,
        rows_left=rows * (options.pace.epochs - (done or 0)),
        work=(*_choosing(options, run), *_work(options, rows, done, discards)),
    )  # fmt: skip


def _fate(place: Place, name: str) -> str:
    """The state is there only until the run has ended."""
    return FITS if name == STATE else AGAIN


def _choosing(options: TrainOptions, run: Json) -> Iterator[str]:
    """Where the objective is open, and no interrupted run has chosen it."""
    if options.is_open and CHOICE not in run:
        names = candidates(options.labelled)
        yield f"compare {counted(len(names), 'objective')} by short trainings ({', '.join(names)}), and take the best"


def _work(options: TrainOptions, rows: int, done: int | None, discards: bool) -> Iterator[str]:
    """done: epochs that an interrupted run has finished; None where there is nothing to go on from."""
    many = f"on {counted(rows, 'row')}, less what is held out or left out"
    if discards:
        yield f"discard the run in {options.out}"
    if options.tune != HEADS:
        yield f"load the model {options.model}"
    what = "heads on the embeddings" if options.tune == HEADS else f"its {options.tune}"
    if done is None:
        yield f"train {what} for {counted(options.pace.epochs, 'epoch')} {many}"
    else:
        yield f"go on training {what} after epoch {done} of {options.pace.epochs}, {many}"


def _opened(options: TrainOptions) -> tuple[int, dict[str, str]]:
    """Rows to learn from, and what is what in the first shard. Raises NcauditError where inputs do not fit."""
    if options.tune == HEADS:
        return sum(each.table.rows for each in open_labelled_tables(options)), {}
    labelled = open_labelled(options)
    first = labelled[0].columns
    return sum(each.rows for each in labelled), {"image": first.image, "caption": first.caption}


def _reads(options: TrainOptions) -> Iterator[Reading]:
    for what in ("data", "embeddings", "scores", "val_data"):
        names: Sequence[str] | None = getattr(options, what)
        if names:
            yield reading(f"--{what.replace('_', '-')}", names, find_shards(names))
