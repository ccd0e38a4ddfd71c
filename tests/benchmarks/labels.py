#!/usr/bin/env python3
"""How well `labels` finds wrong classes, whether its rate and its label_quality hold, against cleanlab in the same run.
Then what it is worth to doubt classes in training (label_training.py), and the time of a large audit (labels_speed.py).

usage: python tests/benchmarks/labels.py [--seeds 3] [--sets digits …] [--kinds symmetric …] [--rates .2 …]
       [--skip-training] [--skip-speed] [--json]

digits: scikit-learn's 1,797 digits as two views, the upper four rows of the picture and the lower four. sample world:
pictures and captions as in sample_data, of scenes with one shape, which is the class; embeddings of tiny-clip. colour:
the same with the colour as the class. symmetric: with that chance a class drawn from all of them, the true one too;
asymmetric: with that chance the next class. cleanlab gets out-of-fold logistic regression (scikit-learn, 5 folds,
standardised, and once more as they are: the better of the two is told) on both views together; without it, its rows are
left out.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import demo
import label_training
import labels_speed
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch

import ncaudit
from ncaudit.core.metrics.detection import auroc, calibration_error

REPOSITORY = Path(__file__).parents[2]
RATES = {"symmetric": (0.2, 0.4, 0.6, 0.8), "asymmetric": (0.2, 0.4)}
Row = dict[str, Any]
Views = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int64]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--kinds", nargs="+", default=list(RATES), choices=list(RATES))
    parser.add_argument("--rates", type=float, nargs="+", help="instead of each kind's own")
    for part in ("training", "speed"):
        parser.add_argument(f"--skip-{part}", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {
        "machine": demo.machine(),
        "audit": detection_rows(options.sets, options.kinds, options.seeds, options.rates),
    }
    if not options.skip_training:
        found["training"] = list(label_training.rows(seeds=range(options.seeds)))
    if not options.skip_speed:
        found["speed"] = labels_speed.measure()
    print(json.dumps(found, indent=1) if options.json else "\n".join(lines(found)))


def lines(found: dict[str, Any]) -> list[str]:
    """Every table that was asked for."""
    told = [str(found["machine"]), *detection_lines(found["audit"])]
    told += label_training.lines(found["training"]) if "training" in found else []
    return told + (labels_speed.lines(found["speed"]) if "speed" in found else [])


def detection_rows(sets: list[str], kinds: list[str], seeds: int, rates: list[float] | None = None) -> list[Row]:
    """One row per set, kind of noise, rate and seed."""
    jobs = [(name, kind, rate) for name in sets for kind in kinds for rate in rates or RATES[kind]]
    return [detection_row(*job, seed) for job in jobs for seed in range(seeds)]


def detection_row(name: str, kind: str, rate: float, seed: int) -> Row:
    """What `labels` and cleanlab find of one noisy set."""
    image, text, truth = SETS[name]()
    given = noisy(truth, kind, rate, seed)
    right = torch.from_numpy(given == truth)
    begun = perf_counter()
    result, table = audited(image, text, given)
    quality = torch.from_numpy(table["label_quality"].to_numpy().copy())
    suggested = np.array([own if other is None else other for own, other in zip(
        table["given_label"].to_pylist(), table["suggested_label"].to_pylist(), strict=True)])  # fmt: skip
    row = {
        "set": name, "kind": kind, "rate": rate, "seed": seed, "k": result.k,
        "seconds": perf_counter() - begun,
        "auroc": auroc(quality, right),
        "calibration_error": calibration_error(quality, right),
        "true_rate": float(1 - right.float().mean()),
        "noise_rate": result.noise_rate, "low": result.noise_rate_low, "high": result.noise_rate_high,
        "told": result.noise_rate_told,
        "right_after": float((suggested == truth).mean()),
    }  # fmt: skip
    return row | cleanlab_scores(np.concatenate([image, text], axis=1), given, right)


def audited(image: npt.NDArray[np.float32], text: npt.NDArray[np.float32], given: npt.NDArray[np.int64]) -> Any:
    """The result and the label table of one set of pairs."""
    with tempfile.TemporaryDirectory() as folder:
        write_table(Path(folder, "pairs.parquet"), image, text, given)
        out = str(Path(folder, "labels"))
        result = ncaudit.labels(ncaudit.LabelsOptions(embeddings=[folder], out=out, label_column="label"))
        return result, pq.read_table(Path(out, "pairs.parquet"))


def write_table(
    path: Path, image: npt.NDArray[np.float32], text: npt.NDArray[np.float32], label: npt.NDArray[np.int64]
) -> None:
    """An embedding table as another tool would write it, with a class column `label`."""
    columns = {
        "pair_id": pa.array([f"pair/{row}" for row in range(len(image))]),
        "image_embedding": _lists(image),
        "text_embedding": _lists(text),
        "label": pa.array(label),
    }
    pq.write_table(pa.table(columns), path)


def noisy(truth: npt.NDArray[np.int64], kind: str, rate: float, seed: int) -> npt.NDArray[np.int64]:
    """The classes after noise; a class drawn at random may be the true one: rate * (1 - 1 / classes) are wrong."""
    draw, classes = np.random.default_rng([seed, round(100 * rate)]), int(truth.max()) + 1
    hit = draw.random(len(truth)) < rate
    other = draw.integers(0, classes, len(truth)) if kind == "symmetric" else (truth + 1) % classes
    return np.where(hit, other, truth)


def cleanlab_scores(both: npt.NDArray[np.float32], given: npt.NDArray[np.int64], right: torch.Tensor) -> Row:
    """AUROC of cleanlab's label quality, and precision and recall of the issues that it finds."""
    if find_spec("cleanlab") is None:
        return {}
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.preprocessing import StandardScaler

    best: Row = {}
    for scaled in (StandardScaler().fit_transform(both), both / np.abs(both).max()):
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        chances = cross_val_predict(LogisticRegression(max_iter=500), scaled, given, cv=folds, method="predict_proba")
        for method in ("self_confidence", "normalized_margin"):
            found = auroc(torch.from_numpy(get_label_quality_scores(given, chances, method=method)), right)
            if found > best.get("cleanlab_auroc", 0.0):
                issues = find_label_issues(given, chances)
                best = {"cleanlab_auroc": found, "cleanlab_rate": float(issues.mean())}
    return best


def digits() -> Views:
    """Upper and lower halves of scikit-learn's digits."""
    from sklearn.datasets import load_digits

    picture = load_digits()
    image = picture.images.astype(np.float32)
    return image[:, :4].reshape(len(image), -1), image[:, 4:].reshape(len(image), -1), picture.target.astype(np.int64)


def shapes() -> Views:
    """Scenes of one shape: the shape."""
    image, text, things = _world()
    return image, text, things[:, 0]


def colours() -> Views:
    """Scenes of one shape: its colour."""
    image, text, things = _world()
    return image, text, things[:, 1]


SETS: dict[str, Callable[[], Views]] = {"digits": digits, "sample world": shapes, "colour": colours}


@lru_cache(maxsize=1)
def _world() -> Views:
    """Both embeddings of the clean scenes with one shape, and their shape, colour, texture and size."""
    sys.path.insert(0, str(REPOSITORY / "sample_data"))
    import make
    import tiny_clip
    from grammar import text
    from scenes import split_scenes

    splits = {name: size for name, size in make.SPLITS.items()}
    scenes = split_scenes(make.SEED, **splits)
    pairs = [p for name in ("train", "heldout", "validation") for p in make.clean_pairs(scenes[name], name)]
    pairs = [pair for pair in pairs if len(pair.scene.things) == 1]
    pixels = np.stack([make.decode(pair.image()) for pair in pairs])
    folder = REPOSITORY / "sample_data" / "tiny-clip"
    both = tiny_clip.embed(folder, pixels, [text(pair.caption) for pair in pairs])
    return both[0].numpy(), both[1].numpy(), np.array([pair.scene.things[0] for pair in pairs], dtype=np.int64)


def detection_lines(rows: list[Row]) -> list[str]:
    """The table for people: means over the seeds."""
    lines = [
        "Wrong classes: AUROC of label_quality (cleanlab's), calibration error, estimated rate [mean 90 % interval] of"
        " the true one, right after taking every suggestion, k, seconds",
    ]
    keys = list(dict.fromkeys((row["set"], row["kind"], row["rate"]) for row in rows))
    for key in keys:
        drawn = [row for row in rows if (row["set"], row["kind"], row["rate"]) == key]
        lines.append(f"  {key[0]:12} {key[1]:10} {key[2]:.1f}  {_cells(drawn)}")
    return [*lines, *([] if find_spec("cleanlab") else ["  cleanlab is not installed: its column is left out"])]


def _cells(drawn: list[Row]) -> str:
    def mean(name: str) -> float:
        return statistics.mean(row[name] for row in drawn)

    other = f"({mean('cleanlab_auroc'):.4f})" if all("cleanlab_auroc" in row for row in drawn) else ""
    covered = sum(row["low"] <= row["true_rate"] <= row["high"] for row in drawn)
    told = "" if all(row["told"] for row in drawn) else " not told by these embeddings"
    rate = f"{mean('noise_rate'):.3f} [{mean('low'):.3f}, {mean('high'):.3f}] of {mean('true_rate'):.3f}"
    k = "/".join(str(row["k"]) for row in drawn)
    return (
        f"{mean('auroc'):.4f} {other}  {mean('calibration_error'):.3f}"
        f"  {rate} ({covered} of {len(drawn)} covered){told}"
        f"  {mean('right_after'):.3f}  k {k}  {mean('seconds'):.0f} s"
    )


def _lists(rows: npt.NDArray[np.float32]) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(rows, dtype=np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
