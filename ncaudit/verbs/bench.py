"""`bench`: how well scorers find mismatches made for the purpose, of several kinds and rates: the long power check.

Knows embedding tables, scorers and injected truth; nothing of Typer or of how a score is computed. The data hold an
unknown share of mismatches already, so every number says what it takes for the truth.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import product

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from ncaudit import scorers
from ncaudit.core.device import pick_device
from ncaudit.core.metrics.detection import auroc, average_precision, calibration_error, precision_at_true_count
from ncaudit.counts import counted
from ncaudit.engines.pace import computing
from ncaudit.errors import BadTable, NcauditError
from ncaudit.judging import calibrated, fit_sample
from ncaudit.judging.calibrated import FEWEST_PAIRS
from ncaudit.judging.mismatches import Flags, Neighbours, swapped
from ncaudit.judging.power import NOISY, replace_scorer
from ncaudit.options import BenchOptions
from ncaudit.planned import Plan
from ncaudit.progress import SILENT, Progress
from ncaudit.readable import Readable
from ncaudit.scoring import same_photo, shared_space
from ncaudit.scoring.fits import Fit, PairScores
from ncaudit.scoring.pairs import Pairs
from ncaudit.shards.claims.claims import Claim, Place, asked
from ncaudit.shards.claims.commands import made_by
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.people.verdicts import write_review
from ncaudit.shards.tables.embeddings import EmbeddingTable, check_tables_agree, open_embeddings
from ncaudit.verbs.outputs import inputs_of
from ncaudit.verbs.planning import plan_of_one, reading, refuse_streams

SETTING = ("scorer", "kind", "rate")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One scorer, fitted anew on pairs of which a share was swapped. All but counts in [0, 1]; None: undefined.

    The *injected* pairs were swapped, the *untouched* ones were not; some of these are mismatched already, which is
    held against a scorer that finds them in all numbers but the two `_corrected` ones and the two noise rates.

    auroc: chance that an untouched pair scores above an injected one; higher = better, .5 = guessing; biased low.
    auroc_corrected: the same for matches instead of untouched pairs; for kind random only, see `corrected_auroc`.
    average_precision, precision_at_injected_count: of injected pairs, read from the lowest score up; higher = better,
    guessing gives their share; biased low.
    calibration_error: of soft_label as the probability of being untouched; lower = better; biased high.
    calibration_error_corrected: the same once the label is turned into that probability; for kind random only.
    noise_rate: estimated after the swap. noise_rate_before: by the same scorer before it. noise_rate_expected: what
    the first would be for mismatches like random ones, see `expected_rate`; others are under-counted.
    injected_called_noisy: share, higher = better. untouched_called_noisy: share, lower = better, but the mismatches
    that are among them belong there.
    """

    scorer: str
    kind: str
    rate: float  # asked for
    seed: int
    pairs: int
    injected: int
    auroc: float | None
    auroc_corrected: float | None
    average_precision: float | None
    precision_at_injected_count: float | None
    calibration_error: float | None
    calibration_error_corrected: float | None
    noise_rate_before: float
    noise_rate: float
    noise_rate_expected: float
    injected_called_noisy: float | None
    untouched_called_noisy: float | None


MEASURED = tuple(field.name for field in fields(Run) if field.type in (float, float | None) and field.name != "rate")


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over seeds, of the runs where the number is defined; None without enough of them."""

    mean: float | None
    sd: float | None  # n - 1 in the denominator; None for one run


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One scorer, kind and rate over all seeds; what the measures mean: see `Run`."""

    scorer: str
    kind: str
    rate: float
    runs: int
    measures: Mapping[str, Spread]  # by the names in MEASURED


STAGES = {"draw the sample": 0.0, "fit the scorers": 1.0}


@dataclass(frozen=True, kw_only=True, repr=False)
class BenchResult(Readable, first=("pairs", "runs", "out")):
    """What was measured. The seeds share one sample of pairs, so their spread tells nothing of other samples."""

    pairs: int
    settings: tuple[Setting, ...]  # by scorer, kind, rate, in the order asked for
    runs: tuple[Run, ...]
    out: str | None
    notes: tuple[str, ...]


def bench(options: BenchOptions, progress: Progress = SILENT) -> BenchResult:
    """Swap captions of a bounded sample, fit every scorer anew on it, and measure how well it finds the swapped ones.

    All scorers meet the same swaps; the pairs swapped at a lower rate are also swapped at a higher one. A scorer that
    cannot be had on these data is left out with a note. Raises NcauditError for an unknown scorer, when OUT exists,
    with fewer than 50 usable pairs, or when no run could be made.
    """
    tables, claim = _made_ready(options)
    with made_by(options), computing(options.threads, exact=True), claim.held({}):
        return _bench(options, tables, progress)


def plan_bench(options: BenchOptions, progress: Progress = SILENT) -> Plan:
    """What `bench` would do. Raises NcauditError where it would refuse to begin."""
    refuse_streams(options.embeddings)
    tables, claim = _made_ready(options)
    pick_device(options.device)  # one that is not there is told
    rows = {table.shard: table.rows for table in tables}
    fits = len(options.scorers) * options.seeds * (1 + len(options.kinds) * len(options.rates))
    most = min(options.pairs, sum(rows.values()))
    return plan_of_one(
        claim, options.out, sum(rows.values()),
        reads=(reading("embeddings", options.embeddings, [*rows], rows.__getitem__),),
        work=(f"draw {counted(most, 'pair')}", f"make {counted(fits, 'fit')} of {', '.join(options.scorers)} on them"),
    )  # fmt: skip


def _made_ready(options: BenchOptions) -> tuple[list[EmbeddingTable], Claim]:
    """What is read, and the right to write. Raises NcauditError for whatever is wrong with either."""
    scorers.refuse_unread(options.scorers, options)  # told before anything is read, as an unknown name is
    places = [Place.of_file("--out", options.out, kept="")] if options.out else []
    shards = find_shards(options.embeddings, options.features, options.max_row_bytes)
    claim = asked("bench", places, inputs_of(shards), overwrite=options.overwrite)
    tables = [open_embeddings(shard, columns=[]) for shard in shards]
    check_tables_agree(tables)
    return tables, claim


def _bench(options: BenchOptions, tables: Sequence[EmbeddingTable], progress: Progress) -> BenchResult:
    progress.job("bench", STAGES)
    pairs = _sample(options, tables, progress)
    work = _Bench(pairs, options, progress, {})
    runs = sorted(work.runs(), key=lambda run: _place(run, options))
    if not runs:
        raise NcauditError(
            f"nothing could be measured: {'; '.join(work.notes)}", fix="give more pairs or other scorers"
        )
    if options.out:
        write_review(options.out, _table(runs), marked=False)  # the same three formats, whole or not at all
    notes = (*filter(None, [shared_space.warning(shared_space.check(pairs))]), *work.notes)
    return BenchResult(
        pairs=len(pairs), settings=tuple(_settings(runs)), runs=tuple(runs), out=options.out, notes=notes
    )


def expected_rate(before: float, injected_share: float) -> float:
    """The share of mismatches after a share of all pairs was swapped, whether or not these were mismatched before.

    Both in [0, 1], and so is the answer: 1 - (1 - before) (1 - injected_share).

    >>> expected_rate(0.25, 0.2)
    0.4
    """
    return round(1 - (1 - before) * (1 - injected_share), 12)


def corrected_auroc(auroc_injected: float, before: float) -> float | None:
    """Chance that a match scores above an injected random mismatch, in [0, 1]; higher = better; None where before is 1.

    auroc_injected: chance that an untouched pair does. before: share of the untouched pairs that are mismatched like
    random ones, so that half of these score above an injected one: auroc_injected = (1 - before) * answer + before / 2.

    >>> corrected_auroc(0.77, 0.4)
    0.95
    """
    if before >= 1:
        return None
    return min(1.0, max(0.0, round((auroc_injected - before / 2) / (1 - before), 12)))


def _sample(options: BenchOptions, tables: Sequence[EmbeddingTable], progress: Progress) -> Pairs:
    progress.stage("draw the sample", sum(table.rows for table in tables))
    pairs = fit_sample.draw(tables, pairs=options.pairs, seed=options.seed, progress=progress).pairs
    if len(pairs) < FEWEST_PAIRS:
        raise BadTable(
            f"{', '.join(options.embeddings)}: {counted(len(pairs), 'usable pair')}, but a noise rate takes "
            f"{FEWEST_PAIRS}",
            fix="give more pairs; see the status column of the embedding tables",
        )
    pairs = pairs.to(pick_device(options.device))
    return same_photo.find(pairs).of(pairs)  # the caption of a near-equal photo would be no mismatch


@dataclass(frozen=True)
class _Bench:
    """The sample, and what every run needs. notes: what could not be done, each once, in the order it was met."""

    pairs: Pairs
    options: BenchOptions
    progress: Progress
    notes: dict[str, None]

    def usable(self) -> list[str]:
        """The scorers that these widths allow."""
        image, text = self.pairs.image.shape[1], self.pairs.text.shape[1]
        if image == text:
            return list(self.options.scorers)
        one_space = [name for name in self.options.scorers if scorers.get(name).NEEDS_SHARED_SPACE]
        for name in one_space:
            self.note(f"{name} is left out: it needs one space, but images are {image} and captions {text} wide")
        return [name for name in self.options.scorers if name not in one_space]

    def runs(self) -> Iterator[Run]:
        """Every run that can be made."""
        names, options = self.usable(), self.options
        near = Neighbours.of(self.pairs, options.kinds, options.seed)
        settings = list(product(options.kinds, options.rates))
        self.progress.stage("fit the scorers", len(names) * options.seeds * (1 + len(settings)), "fits")
        for seed in range(options.seed, options.seed + options.seeds):
            fitted = {name: self.fitted(name, self.pairs, seed) for name in names}
            before = {name: _rate(fit) for name, fit in fitted.items() if fit is not None}
            for kind, rate in settings:
                self.progress.advance(len(names) - len(before))
                yield from self.of_setting(kind, rate, seed, near, before)

    def of_setting(
        self, kind: str, rate: float, seed: int, near: Neighbours, before: Mapping[str, float]
    ) -> Iterator[Run]:
        """One run of each scorer on the same swaps. before: the noise rate by each."""
        pairs, injected = swapped(self.pairs, kind, rate, seed, near)
        if not injected.any():
            self.note(f"no {kind} mismatch could be made at rate {rate:g}: too few pairs, or all alike")
            self.progress.advance(len(before))
            return
        for name, told in before.items():
            fit = self.fitted(name, pairs, seed)
            if fit is not None:
                yield _measured(_Task(name, kind, rate, seed), _scores(fit, pairs), injected, told, _rate(fit))

    def fitted(self, name: str, pairs: Pairs, seed: int) -> Fit | None:
        """A calibrated fit; None with a note where this scorer cannot be fitted to these pairs."""
        try:
            return self._calibrated(calibrated.learn(pairs, replace(replace_scorer(self.options, name), seed=seed)))
        except NcauditError as error:
            self.note(f"{name} could not be fitted in some runs: {error.message}")
            return None
        finally:
            self.progress.advance(1)

    @staticmethod
    def _calibrated(fit: Fit) -> Fit:
        if "noise_rate" not in fit.facts:
            raise NcauditError(str(fit.facts["label_means"]), fix="bench with fewer mismatches, or with more pairs")
        return fit

    def note(self, text: str) -> None:
        self.notes[text] = None


@dataclass(frozen=True)
class _Task:
    """Which run."""

    scorer: str
    kind: str
    rate: float
    seed: int


def _rate(fit: Fit) -> float:
    return float(fit.facts["noise_rate"]["rate"])


def _scores(fit: Fit, pairs: Pairs) -> PairScores:
    return calibrated.applier(fit, pairs.image.device)(pairs)


def _measured(task: _Task, scores: PairScores, injected: Flags, before: float, rate: float) -> Run:
    """The run's numbers, by the injected truth."""
    score, wrong = scores.score.cpu(), torch.from_numpy(injected)
    label, noisy = _labels(scores)
    share = float(injected.mean())
    expected = expected_rate(before, share)
    told, random = auroc(score, ~wrong), task.kind == "random"
    untouched = 1 - (1 - label) * share / expected  # P(injected) = P(mismatch) * the injected among the mismatches
    return Run(
        **asdict(task),
        pairs=len(injected),
        injected=int(injected.sum()),
        auroc=_known(told),
        auroc_corrected=corrected_auroc(told, before) if random and not math.isnan(told) else None,
        average_precision=_known(average_precision(-score, wrong)),
        precision_at_injected_count=_known(precision_at_true_count(score, wrong)),
        calibration_error=_known(calibration_error(label, ~wrong)),
        calibration_error_corrected=_known(calibration_error(untouched, ~wrong)) if random else None,
        noise_rate_before=before,
        noise_rate=rate,
        noise_rate_expected=expected,
        injected_called_noisy=_known(float(noisy[wrong].mean())),
        untouched_called_noisy=_known(float(noisy[~wrong].mean())),
    )


def _labels(scores: PairScores) -> tuple[Tensor, Tensor]:
    """Soft labels, and 1 for each pair called noisy: (n,) float64."""
    if scores.soft_label is None or scores.verdict is None:
        raise ValueError("the fit is not calibrated")
    return scores.soft_label.cpu().double(), (scores.verdict.cpu() == NOISY).double()


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _place(run: Run, options: BenchOptions) -> tuple[int, int, int, int]:
    """Where a run stands: in the order asked for."""
    orders = (options.scorers, options.kinds, options.rates)
    scorer, kind, rate = (list(order).index(getattr(run, n)) for order, n in zip(orders, SETTING, strict=True))
    return scorer, kind, rate, run.seed


def _settings(runs: Sequence[Run]) -> Iterator[Setting]:
    for scorer, kind, rate in dict.fromkeys((run.scorer, run.kind, run.rate) for run in runs):
        here = [run for run in runs if (run.scorer, run.kind, run.rate) == (scorer, kind, rate)]
        measures = {name: _spread([getattr(run, name) for run in here]) for name in MEASURED}
        yield Setting(scorer=scorer, kind=kind, rate=rate, runs=len(here), measures=measures)


def _spread(values: Sequence[float | None]) -> Spread:
    known = [value for value in values if value is not None]
    if not known:
        return Spread(None, None)
    return Spread(float(np.mean(known)), float(np.std(known, ddof=1)) if len(known) > 1 else None)


def _table(runs: Sequence[Run]) -> pa.Table:
    of_type = {
        "scorer": pa.string(),
        "kind": pa.string(),
        "seed": pa.int64(),
        "pairs": pa.int64(),
        "injected": pa.int64(),
    }
    schema = pa.schema([pa.field(field.name, of_type.get(field.name, pa.float64())) for field in fields(Run)])
    return pa.Table.from_pylist([asdict(run) for run in runs], schema=schema)
