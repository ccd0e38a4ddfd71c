"""The epochs of a run, with a learner that only pretends: when they end, and what people are shown."""

from collections import Counter

import pytest
import torch

from ncaudit.core.metrics.retrieval import RetrievalMetrics
from ncaudit.engines.ranks import Ranks
from ncaudit.errors import NcauditError
from ncaudit.matchers.steps.batch import Batch
from ncaudit.matchers.steps.optimisation import Step
from ncaudit.matchers.training_folder import TrainingFolder
from ncaudit.progress import SILENT, Silent
from ncaudit.verbs.train import session as training_session
from ncaudit.verbs.train.data.training_set import TrainingSet
from ncaudit.verbs.train.session import Course, Session

EPOCHS, BATCH = 6, 2


def pairs(n: int) -> Batch:
    rows = torch.arange(n)
    return Batch(torch.eye(n), torch.eye(n), torch.ones(n), rows, rows, [f"pair {row}" for row in range(n)])


class Pairs:
    """Two batches per epoch."""

    def __len__(self) -> int:
        return 2 * BATCH

    def batches(self, epoch, *, batch_pairs, seed, rows=slice(None)):
        for batch in pairs(len(self)).chunks(batch_pairs):
            yield batch.take(torch.arange(len(batch))[rows])


class Vanishing(Pairs):
    """One image of every batch cannot be decoded any more."""

    def batches(self, *args, **more):
        for batch in super().batches(*args, **more):
            yield batch.take(torch.arange(1, len(batch)))


class Pretender:
    """Its loss is the number of the step."""

    scale = 10.0

    def step(self, batch, number):
        return Step(float(number), True)

    def learning_rate(self, number):
        return 0.5

    def encode_images(self, image):
        return image

    encode_captions = encode_images

    def state_dict(self):
        return {"model": {"weight": torch.ones(1)}, "optimizer": {}}

    def load_state_dict(self, state):
        pass


class Slowing(Pretender):
    """Its learning rate tells the step."""

    def learning_rate(self, number):
        return float(number)


class Dropping(Pretender):
    """Remembers what chance gives in every step, as dropout would."""

    def __init__(self):
        self.drawn = []

    def step(self, batch, number):
        self.drawn.append(float(torch.rand(())))
        return super().step(batch, number)


class Shown:
    """Curves that remember."""

    def __init__(self):
        self.steps, self.epochs = [], []

    def step(self, number, loss, learning_rate):
        self.steps.append((number, loss, learning_rate))

    def epoch(self, line):
        self.epochs.append((line.get("step"), line["val"] and line["val"]["rsum"]))


@pytest.fixture
def session(tmp_path, monkeypatch):
    """A session whose validations give these rSums in turn, the start model's first."""

    def build(rsums, *, patience=None, progress=SILENT, train=None, learner=None, **more):
        script = iter(rsums)
        monkeypatch.setattr(training_session, "retrieval_metrics", lambda *_: metrics(next(script)))
        course = Course(epochs=EPOCHS, batch_pairs=BATCH, seed=0, learning_rate=0.5, patience=patience)
        val = pairs(3) if rsums else None
        data = TrainingSet(train or Pairs(), val, 3, 0, 1.0, Counter(), 1)
        return Session(course, learner or Pretender(), data, open_folder(tmp_path), progress, **more)

    return build


def open_folder(path) -> TrainingFolder:
    folder = TrainingFolder(str(path), lambda tensors, out: None)
    folder.claim({}, restart=False)
    return folder


def metrics(rsum: float) -> RetrievalMetrics:
    fields = dict.fromkeys(RetrievalMetrics.__dataclass_fields__, 1)
    return RetrievalMetrics(**{**fields, "rsum": rsum})


def test_training_stops_when_patience_epochs_in_a_row_were_no_better(session):
    run = session([0, 10, 30, 20, 30, 90, 90], patience=2)  # an equal rSum is no better one
    run.run()
    assert [line["epoch"] for line in run.metrics] == [0, 1, 2, 3, 4]
    assert run.kept_epoch == 2


def test_patience_begins_anew_with_the_last_round(session, monkeypatch):
    run = session([0, 30, 20, 10, 10, 10, 10], patience=2)
    monkeypatch.setattr(run._lessons, "restarts", frozenset({2, 4}), raising=False)
    run.run()
    assert [line["epoch"] for line in run.metrics] == [0, 1, 2, 3, 4, 5]  # two epochs of the round from 4 on
    assert run.kept_epoch == 1


def test_a_better_epoch_gives_patience_back(session):
    run = session([0, 10, 5, 11, 6, 12, 7], patience=2)
    run.run()
    assert run.metrics[-1]["epoch"] == EPOCHS
    assert run.kept_epoch == 5


def test_without_patience_all_epochs_are_done(session):
    run = session([0, 50, 4, 3, 2, 1, 0])
    run.run()
    assert (run.metrics[-1]["epoch"], run.kept_epoch) == (EPOCHS, 1)


def test_a_run_that_had_stopped_stays_stopped_when_it_goes_on(session):
    session([0, 30, 20, 10], patience=2).run()
    again = session([99], patience=2)
    again.run()
    assert again.metrics[-1]["epoch"] == 3
    assert (again.kept_epoch, again.resumed_after) == (1, 3)


class TwoRanks(Ranks):
    """The first of two, without the other."""

    def on_first(self, work):
        return work()


def test_images_that_vanish_end_one_of_several_ranks_before_the_others_wait_for_them(session, tmp_path):
    session([0] * 9, train=Vanishing()).run()  # alone, it learns from the others
    (tmp_path / "checkpoint.pt").unlink()
    with pytest.raises(NcauditError, match="1 image of a batch could be decoded at first, and now cannot"):
        session([0] * 9, train=Vanishing(), ranks=TwoRanks(0, 2)).run()


def test_curves_get_every_step_from_1_and_every_validation_from_the_start_model_on(session):
    shown = Shown()
    session([0, 10, 5, 4], patience=2, curves=shown).run()
    assert shown.steps == [(n + 1, float(n), 0.5) for n in range(6)]
    assert shown.epochs == [(None, 0), (2, 10), (4, 5), (6, 4)]


def test_progress_shows_the_loss_and_the_last_recall(session):
    told = []

    class Listening(Silent):
        def status(self, text):
            told.append(text)

    session([0, 10, 5, 4], patience=2, progress=Listening()).run()
    steps = ["loss 0.000, R@1 1.0/1.0", "loss 1.000, R@1 1.0/1.0"]
    assert told[:4] == [*steps, "loss 0.500, validating", "loss 0.500, R@1 1.0/1.0"]


def test_the_start_model_does_not_compete(session):
    run = session([90, 10, 20, 5, 5, 5, 5])
    run.run()
    assert run.kept_epoch == 2


def test_the_metrics_tell_the_learning_rate_of_an_epochs_last_step(session):
    run = session([0] * 7, learner=Slowing())
    run.run()
    assert [(line["step"], line["learning_rate"]) for line in run.metrics[1:]] == [
        (2 * n, 2 * n - 1) for n in range(1, 7)
    ]


@pytest.fixture
def drawn(session, tmp_path):
    """What chance gives in every step of a run on this rank of two."""

    def draw(rank):
        learner = Dropping()
        session([0] * 7, learner=learner, ranks=TwoRanks(rank, 2)).run()
        (tmp_path / "checkpoint.pt").unlink()
        return learner.drawn

    return draw


def test_chance_is_another_in_every_epoch_and_the_same_in_every_run(drawn):
    first = drawn(0)
    assert len(set(first)) == 2 * EPOCHS
    assert drawn(0) == first


def test_chance_is_another_on_every_rank(drawn):
    assert not set(drawn(0)) & set(drawn(1))


def test_the_callers_chance_is_not_moved(session):
    torch.manual_seed(3)
    expected = torch.rand(())
    torch.manual_seed(3)
    session([0] * 7, learner=Dropping()).run()
    assert torch.rand(()) == expected
