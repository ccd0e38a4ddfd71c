#!/usr/bin/env python3
"""How well `score` finds mismatches on real photos, whether its noise rate and labels hold, and what it cannot see.

usage: python tests/benchmarks/detection.py [--seeds 3] [--rate-seeds 20] [--kind-seeds 3] [--scenarios "aligned 1" …]
       [--skip-rates] [--skip-kinds] [--json]

Tables by $NCAUDIT_BENCH/make_tables.py (stand-in embeddings, small photo sets, uniformly shuffled captions unless said
otherwise). One process per core, one thread each; everything is deterministic for a seed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from ncaudit.core.metrics.detection import auroc, calibration_error
from ncaudit.judging import calibrated, fit_sample, mismatches, power
from ncaudit.options import ScorerOptions
from ncaudit.scoring.pairs import Pairs
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.tables.embeddings import open_embeddings

BENCH = os.environ.get("NCAUDIT_BENCH", "")
SCENARIOS = ("aligned 1", "aligned 5", "unaligned 1", "unaligned 5")
FLOORS = {
    "aligned 1": (0.906, 0.910, 0.905),
    "aligned 5": (0.925, 0.922, 0.912),
    "unaligned 1": (0.895, 0.88, 0.85),
    "unaligned 5": (0.95, 0.945, 0.93),
}
NOISE = (0.2, 0.4, 0.6)
RATES = (0.0, 0.05, 0.2, 0.4, 0.6, 1.0)
Row = dict[str, Any]


def main() -> None:
    options = _arguments()
    if not BENCH or not Path(BENCH, "make_tables.py").is_file():
        sys.exit("skipped: NCAUDIT_BENCH names no folder with make_tables.py")
    jobs = [
        (scenario, noise, seed, "shuffle")
        for scenario in options.scenarios
        for noise in NOISE
        for seed in range(options.seeds)
    ]
    if not options.skip_rates:
        jobs += [("aligned 1", rate, seed, "shuffle") for rate in RATES for seed in range(options.rate_seeds)]
    if not options.skip_kinds:
        jobs += [
            (scenario, 0.2, seed, kind)
            for scenario in options.scenarios
            for kind in ("topic", "near")
            for seed in range(options.kind_seeds)
        ]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        rows = list(pool.map(_run, list(dict.fromkeys(jobs))))
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    for part in (_auroc_table, _gain, _rate_table, _kinds_table):
        print("\n".join(part(rows, options)))


def _one_thread() -> None:
    torch.set_num_threads(1)


def _run(job: tuple[str, float, int, str]) -> Row:
    """One draw: a table with known truth, scored as `ncaudit score` scores it."""
    scenario, noise, seed, kind = job
    pairs, match = _table(scenario, noise if kind == "shuffle" else 0.0, seed)
    if kind != "shuffle":
        pairs, match = _swapped(pairs, kind, noise, seed)
    begun = perf_counter()
    options = ScorerOptions()
    fit = calibrated.learn(pairs, options)
    apply = calibrated.applier(fit, torch.device("cpu"))
    found = [apply(pairs.rows(slice(start, start + 4_096))) for start in range(0, len(pairs), 4_096)]
    score, label = (torch.cat([getattr(part, name) for part in found]) for name in ("score", "soft_label"))
    row = {"scenario": scenario, "noise": noise, "seed": seed, "kind": kind, "seconds": perf_counter() - begun}
    row |= {"truth": float((~match).double().mean()), "score": auroc(score, match), "label": auroc(label, match)}
    row |= {"rate": fit.facts["noise_rate"], "noisy": float((label < fit.facts["cuts"]["noisy_below"]).double().mean())}
    row |= {"calibration": _calibration(label, match), "regime": fit.facts["regime"]}
    if scenario.startswith("aligned"):
        csls = calibrated.learn(pairs, replace(options, scorer="csls"))
        row["similarity"] = auroc(pairs.similarity(), match)
        row["csls"] = auroc(calibrated.applier(csls, torch.device("cpu"))(pairs).score, match)
    if kind != "shuffle":
        row["power"] = power.check(fit, pairs, options)[:1]
    return row


def _table(scenario: str, noise: float, seed: int) -> tuple[Pairs, torch.Tensor]:
    which, captions = scenario.split()
    with tempfile.TemporaryDirectory() as out:
        words = ["--scenario", which, "--captions-per-photo", captions, "--noise", str(noise), "--seed", str(seed)]
        script = str(Path(BENCH, "make_tables.py"))
        subprocess.run([sys.executable, script, out, *words], check=True, stdout=subprocess.DEVNULL)
        tables = [open_embeddings(shard) for shard in find_shards([out])]
        truth = {
            p: m
            for t in tables
            for b in t.batches()
            for p, m in zip(b.pair_id, b.carried["is_match"].to_pylist(), strict=True)
        }
        pairs = fit_sample.draw(tables, pairs=50_000, seed=0).pairs
    return pairs, torch.tensor([truth[pair_id] for pair_id in pairs.pair_id])


def _swapped(pairs: Pairs, kind: str, noise: float, seed: int) -> tuple[Pairs, torch.Tensor]:
    """A share of the captions replaced by one of the same image cluster, or by one of the 10 nearest."""
    images, captions = mismatches.injected(pairs, seed, made=len(pairs))[kind]
    chosen = torch.from_numpy(np.random.default_rng(seed).random(len(images)) < noise)
    images, captions = images[chosen], captions[chosen]
    text, caption_id, match = pairs.text.clone(), pairs.caption_id.clone(), torch.ones(len(pairs), dtype=torch.bool)
    text[images], caption_id[images], match[images] = pairs.text[captions], pairs.caption_id[captions], False
    return replace(pairs, text=text, caption_id=caption_id), match


def _calibration(label: torch.Tensor, match: torch.Tensor) -> float:
    """Error of 10 equal-mass bins, less what perfectly calibrated labels of this sample would show."""
    draw = torch.Generator().manual_seed(0)
    perfect = [calibration_error(label, torch.rand(len(label), generator=draw) < label) for _ in range(20)]
    return calibration_error(label, match) - statistics.mean(perfect)


def _auroc_table(rows: list[Row], options: argparse.Namespace) -> list[str]:
    lines = [f"AUROC, uniformly shuffled captions, mean ± sd of {options.seeds} seeds (floor asked)"]
    for scenario in options.scenarios:
        for name in ("score", "label", "csls", "similarity"):
            cells = [_cell(rows, scenario, noise, name, options.seeds) for noise in NOISE]
            if all(cells):
                floors = [f" ({floor})" if name == "score" else "" for floor in FLOORS[scenario]]
                lines.append(
                    f"  {scenario:12} {name:11}" + "  ".join(c + f for c, f in zip(cells, floors, strict=True))
                )
        seconds = [row["seconds"] for row in rows if row["scenario"] == scenario]
        lines.append(
            f"  {scenario:12} seconds    {statistics.median(seconds):.1f} (median, one thread, learn and apply)"
        )
    return lines


def _cell(rows: list[Row], scenario: str, noise: float, name: str, seeds: int) -> str:
    values = [r[name] for r in _of(rows, scenario, noise) if name in r and r["seed"] < seeds]
    return f"{statistics.mean(values):.4f} ± {statistics.pstdev(values):.4f}" if values else ""


def _gain(rows: list[Row], options: argparse.Namespace) -> list[str]:
    lines = ["Paired gain of score over csls and over similarity, aligned 1"]
    for noise in NOISE:
        drawn = [r for r in _of(rows, "aligned 1", noise) if "csls" in r]
        if len(drawn) < 2:
            continue
        gain = [r["score"] - r["csls"] for r in drawn]
        error = statistics.stdev(gain) / len(gain) ** 0.5
        above = sum(r["score"] > r["similarity"] for r in drawn)
        mean = statistics.mean(gain)
        lines.append(
            f"  noise {noise}: {mean:+.4f}, {mean / error:.1f} standard errors; above cosine in {above} of {len(drawn)}"
        )
    return lines


def _rate_table(rows: list[Row], options: argparse.Namespace) -> list[str]:
    lines = ["Noise rate, aligned 1: true, mean error, mean |error|, interval covers, called noisy, calibration error"]
    for noise in RATES:
        drawn = _of(rows, "aligned 1", noise)
        if not drawn:
            continue
        errors = [r["rate"]["rate"] - r["truth"] for r in drawn]
        covered = sum(r["rate"]["low"] <= r["truth"] <= r["rate"]["high"] for r in drawn)
        means = [statistics.mean(values) for values in (errors, [abs(e) for e in errors], [r["noisy"] for r in drawn])]
        calibration = statistics.mean(r["calibration"] for r in drawn)
        words = (
            f"{noise:4}  {means[0]:+.3f}  {means[1]:.3f}  {covered} of {len(drawn)}  {means[2]:.3f}  {calibration:.3f}"
        )
        lines.append(f"  {words}")
    return lines


def _kinds_table(rows: list[Row], options: argparse.Namespace) -> list[str]:
    lines = [
        "20 % of captions from the same image cluster (topic) or among the 10 nearest (near): true AUROC, as stated by"
    ]
    lines.append("the power check, share called noisy of all, estimated rate")
    for scenario in options.scenarios:
        for kind in ("topic", "near"):
            drawn = [r for r in rows if r["scenario"] == scenario and r["kind"] == kind]
            if drawn:
                stated = statistics.mean(r["power"][0]["auroc"][kind] for r in drawn)
                true, noisy, rate = (
                    statistics.mean(values)
                    for values in (
                        [r["score"] for r in drawn],
                        [r["noisy"] for r in drawn],
                        [r["rate"]["rate"] for r in drawn],
                    )
                )
                lines.append(f"  {scenario:12} {kind:6} {true:.3f}  {stated:.3f}  {noisy:.3f}  {rate:.3f}")
    return lines


def _of(rows: list[Row], scenario: str, noise: float) -> list[Row]:
    return [r for r in rows if (r["scenario"], r["noise"], r["kind"]) == (scenario, noise, "shuffle")]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rate-seeds", type=int, default=20)
    parser.add_argument("--kind-seeds", type=int, default=3)
    parser.add_argument("--scenarios", nargs="+", default=list(SCENARIOS), choices=SCENARIOS)
    parser.add_argument("--skip-rates", action="store_true")
    parser.add_argument("--skip-kinds", action="store_true")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
