"""`demo`: the main job on the sample that ships with ncaudit, and what it was worth.

Audits 2,000 noisy pairs, as `audit` does, and holds the labels against the truth; then, unless it is to be fast,
fine-tunes the same weak model three times: on all pairs alike, on pairs weighted by their soft labels, and on the pairs
known to match. Knows the verbs; nothing of how they work.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from time import monotonic

from ncaudit import own_json
from ncaudit.core.metrics.retrieval import RetrievalMetrics
from ncaudit.errors import NcauditError
from ncaudit.options import (
    AuditOptions,
    DemoOptions,
    EmbedOptions,
    EvalRetrievalOptions,
    EvalScoresOptions,
    TrainOptions,
)
from ncaudit.planned import Plan
from ncaudit.progress import SILENT, Parts, Progress
from ncaudit.readable import Readable
from ncaudit.shards.claims.claims import Claim, Place, asked
from ncaudit.shards.claims.commands import made_by
from ncaudit.shards.files.locations import join
from ncaudit.shards.files.writer import atomic_file
from ncaudit.verbs.audit.audit import audit
from ncaudit.verbs.audit.plan import plan_audit
from ncaudit.verbs.embed.embed import embed
from ncaudit.verbs.evaluate.retrieval import eval_retrieval
from ncaudit.verbs.evaluate.scores import DetectionResult, eval_scores
from ncaudit.verbs.planning import plan_of_one
from ncaudit.verbs.train.train import train

SUMMARY = "summary.json"
TRUTH = "is_match"
# What the three runs share. At 1e-3 the same holds with smaller differences: fewer of the noisy pairs are memorised
RECIPE = {"epochs": 8, "batch_pairs": 128, "learning_rate": 2e-3, "weight_decay": 0.05, "val_share": 0.0}
RUNS = {
    "plain": {"objective": "infonce"},
    "soft": {"objective": "weighted-infonce"},
    "oracle": {"objective": "weighted-infonce", "label_column": TRUTH},
}

# The parts of the demo, with their shares of the time
AUDIT, COMPARE, START = "audit", "compare with the truth", "evaluate start"
LEARN = {name: f"train {number} of {len(RUNS)}, {name}" for number, name in enumerate(RUNS, start=1)}
EVALUATE = {name: f"evaluate {name}" for name in RUNS}
FAST = {AUDIT: 4.0, COMPARE: 0.1}
TRAININGS = {START: 0.5} | {part: share for name in RUNS for part, share in ((LEARN[name], 6.0), (EVALUATE[name], 0.5))}


@dataclass(frozen=True, kw_only=True)
class Recalls:
    """Recall on the held-out pairs in percent, image to caption and caption to image."""

    i2t_r1: float
    t2i_r1: float
    i2t_r10: float
    t2i_r10: float


@dataclass(frozen=True, kw_only=True)
class Finding:
    """How well a column finds the mismatched pairs: AUROC in [0, 1], .5 = guessing."""

    auroc: float


@dataclass(frozen=True, kw_only=True, repr=False)
class DemoResult(Readable, first=("retrieval", "out", "seconds")):
    """What the demo measured; also written to OUT/summary.json."""

    out: str
    report: str  # the page about the sample, in `out`
    retrieval: Mapping[str, Recalls]  # start, plain, soft, oracle; empty where nothing was trained
    detection: Mapping[str, Finding]  # similarity, soft_label
    seconds: float


def sample_folder() -> str:
    """Where the sample lies: inside an installed package, or beside the package in a source tree."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for folder in (os.path.join(package, "sample_data"), os.path.join(os.path.dirname(package), "sample_data")):
        if os.path.isfile(os.path.join(folder, "train.parquet")):
            return folder
    raise NcauditError(
        "this installation has no sample_data",
        fix="run it in the source tree, which holds sample_data/ (`python sample_data/make.py` makes it anew)",
    )


def demo(options: DemoOptions, progress: Progress = SILENT) -> DemoResult:
    """Audit, train three times (unless `fast`) and evaluate; all is kept below `options.out`, and a rerun resumes."""
    begun = monotonic()
    with made_by(options), _asked(options).held({"seed": options.seed}):
        return _demo(options, progress, begun)


def plan_demo(options: DemoOptions, progress: Progress = SILENT) -> Plan:
    """What `demo` would do. Raises NcauditError where it would refuse to begin."""
    claim, sample = _asked(options), sample_folder()
    work = ["audit the 2,000 pairs of the sample", "hold the labels against the truth"]
    if not options.fast:
        work += [
            f"fine-tune the sample's model {len(RUNS)} times, {RECIPE['epochs']} epochs each: {', '.join(RUNS)}",
            "embed the held-out pairs with each, and measure recall",
        ]
    steps = (plan_audit(_audit_options(options, sample, _start_in(sample)), progress),)
    return plan_of_one(claim, options.out, None, work=tuple(work), steps=steps)


def _asked(options: DemoOptions) -> Claim:
    place = Place("--out", options.out, (SUMMARY,), proven=_is_summary)
    return asked("demo", [place], overwrite=options.overwrite)


def _is_summary(path: str) -> bool:
    return own_json.known(path, {"retrieval": {}, "detection": {}}) is not None


def _demo(options: DemoOptions, progress: Progress, begun: float) -> DemoResult:
    world = _World(options, sample_folder(), Parts(progress, "demo", FAST if options.fast else FAST | TRAININGS))
    start = _start_in(world.sample)
    page = audit(_audit_options(options, world.sample, start), world.parts.part(AUDIT)).report.out
    found, retrieval = world.detection(), {}
    if not options.fast:
        retrieval["start"] = world.retrieval(start, "start", START)
        for name in RUNS:
            retrieval[name] = world.retrieval(world.train(name, start), name, EVALUATE[name])
    result = DemoResult(
        out=options.out, report=page, retrieval=retrieval, detection=found, seconds=monotonic() - begun
    )
    told = {name: value for name, value in asdict(result).items() if name not in ("out", "report")}
    with atomic_file(world.path(SUMMARY)) as file:
        file.write(json.dumps(told, indent=1).encode())
    return result


def _start_in(sample: str) -> str:
    """The weak model that comes with the sample."""
    return f"local-dir:{sample}/tiny-clip"


def _audit_options(options: DemoOptions, sample: str, start: str) -> AuditOptions:
    return AuditOptions(
        sources=[os.path.join(sample, "train.parquet")], out=options.out, model=start, seed=options.seed,
        device=options.device, workers=options.workers, threads=options.threads,
        overwrite=options.overwrite,
    )  # fmt: skip


@dataclass(frozen=True)
class _World:
    """The demo's folder and its steps."""

    options: DemoOptions
    sample: str
    parts: Parts

    def path(self, name: str) -> str:
        return join(self.options.out, name)

    def embed(self, model: str, split: str, out: str, progress: Progress) -> None:
        source = os.path.join(self.sample, f"{split}.parquet")
        chosen = EmbedOptions(
            sources=[source],
            out=self.path(out),
            model=model,
            device=self.options.device,
            workers=self.options.workers,
            threads=self.options.threads,
            overwrite=self.options.overwrite,
        )
        embed(chosen, progress)

    def detection(self) -> dict[str, Finding]:
        """How well what is mismatched was found."""
        found = eval_scores(EvalScoresOptions(scores=[self.path("scores")], truth=TRUTH), self.parts.part(COMPARE))
        assert isinstance(found, DetectionResult)
        parts = {"similarity": found.similarity, "soft_label": found.soft_label}
        return {name: Finding(auroc=part.auroc) for name, part in parts.items() if part and part.auroc is not None}

    def train(self, name: str, start: str) -> str:
        out = self.path(f"matcher-{name}")
        chosen = TrainOptions(
            scores=[self.path("scores")],
            data=[os.path.join(self.sample, "train.parquet")],
            out=out,
            model=start,
            seed=self.options.seed,
            device=self.options.device,
            workers=self.options.workers,
            threads=self.options.threads,
            overwrite=self.options.overwrite,
            **{**RECIPE, **RUNS[name]},  # type: ignore[arg-type]
        )
        train(chosen, self.parts.part(LEARN[name]))
        return f"local-dir:{out}"

    def retrieval(self, model: str, name: str, part: str) -> Recalls:
        progress = self.parts.part(part)
        self.embed(model, "heldout", f"heldout-{name}", progress)
        embeddings, own = [self.path(f"heldout-{name}")], self.options
        chosen = EvalRetrievalOptions(embeddings=embeddings, device=own.device, threads=own.threads)
        return _recalls(eval_retrieval(chosen, progress).metrics)


def _recalls(metrics: RetrievalMetrics) -> Recalls:
    return Recalls(i2t_r1=metrics.i2t_r1, t2i_r1=metrics.t2i_r1, i2t_r10=metrics.i2t_r10, t2i_r10=metrics.t2i_r10)
