#!/usr/bin/env python3
"""What it is worth to doubt class labels in training: MAP by class on clean pairs, after training on noisy ones.

usage: python tests/benchmarks/label_training.py [--worlds digits shape colour] [--rates 0.2 0.4 0.6 0.8] [--seeds 3]
       [--rows nirnl cmp …] [--first-seed 0] [--tune heads|towers] [--splits] [--json]
       python tests/benchmarks/label_training.py --tune towers --paces [--rates 0.4] [--seeds 2] [--sizes 150 0]
       [--learning-rates 1e-5 1e-4 1e-3] [--epochs 8 20] [--json]

digits: scikit-learn's, the upper four rows of pixels are the image side, the lower four the text side; half of them
learn, the other half, with the true labels, is retrieved. shape, colour: the pairs of sample_data whose caption names
one shape, or one colour, which is the class, as the tiny model embeds them. With --tune towers that model itself learns
from their images and captions, half a minute a row, and there are no digits. Noise: with that chance a training label
is drawn from all classes, the true one too. Every objective has the same start, heads, epochs, batch and learning rate:
what `ncaudit train --tune heads --objective nirnl` takes without further flags; the last epoch is kept. MAP is the mean
of both directions, in percent, by `ncaudit eval retrieval --label-column`.
--paces: nirnl on towers at each learning rate, or at the one that train chooses (0), and for so many epochs; of the
training pairs so many (0: all).
--splits: no training; of the training pairs as they are before it, how often what nirnl asks names the right class.
"""

import argparse
import json
import re
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

import demo
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import one_hot

import ncaudit
from ncaudit.core.classes.belief import class_belief
from ncaudit.core.classes.sparse import SparseClasses
from ncaudit.core.classes.split import class_split
from ncaudit.core.classes.votes import PURE
from ncaudit.core.correspondence.consistency import centre
from ncaudit.options import CLASS_PACE
from ncaudit.verbs.demo import sample_folder

WORLDS, RATES = ("digits", "shape", "colour"), (0.2, 0.4, 0.6, 0.8)
OBJECTIVES: dict[str, dict[str, Any]] = {
    "nirnl": {"objective": "nirnl", "label_column": "label"},
    "cmp": {"objective": "cmp"},
    "cross-entropy": {"objective": "cross-entropy", "label_column": "label"},
    "cross-entropy + cmp": {"objective": "cross-entropy", "label_column": "label", "cmp_weight": 0.9},
}
HEADS: dict[str, Any] = {"tune": "heads", "head": "mlp", "device": "cpu", "precision": "float32"}
PACE: dict[str, Any] = asdict(CLASS_PACE)
TOWERS: dict[str, Any] = {"tune": "towers", "device": "cpu", "precision": "float32", "workers": 0}
TOWERS_PACE: dict[str, Any] = {"epochs": 8, "batch_pairs": 128, "learning_rate": 1e-3}
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", nargs="+", choices=WORLDS)
    parser.add_argument("--tune", choices=("heads", "towers"), default="heads")
    parser.add_argument("--rates", type=float, nargs="+", default=RATES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rows", nargs="+", choices=OBJECTIVES, default=tuple(OBJECTIVES))
    parser.add_argument("--splits", action="store_true")
    parser.add_argument("--paces", action="store_true")
    parser.add_argument("--sizes", type=int, nargs="+", default=(0,))
    parser.add_argument("--learning-rates", type=float, nargs="+", default=(1e-5, 1e-4, 3e-4, 1e-3, 3e-3))
    parser.add_argument("--epochs", type=int, nargs="+", default=(8, 20))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    towers, found = options.tune == "towers", list[Row]()
    worlds = options.worlds or (WORLDS[1:] if towers else WORLDS)
    if towers and "digits" in worlds:
        parser.error("digits are no images with captions: give --worlds shape colour with --tune towers")
    if towers and options.splits:
        parser.error("--splits is about heads")
    if options.paces and not towers:
        parser.error("--paces is about towers: give --tune towers")
    pace = TOWERS_PACE if towers else PACE
    measured = rows(worlds, options.rates, seeds, options.rows, towers=towers)
    if options.splits:
        measured = splits(worlds, options.rates, seeds)
    elif options.paces:
        of_pace = product(options.sizes, options.epochs, options.learning_rates)
        measured = paces(worlds, options.rates, seeds, list(of_pace))
    for row in measured:
        found.append(row)
        print(json.dumps(row), file=sys.stderr, flush=True)
    told = {"machine": demo.machine(), "pace": pace, "rows": found}
    table = split_lines(found) if options.splits else pace_lines(found) if options.paces else lines(found)
    print(json.dumps(told, indent=1) if options.json else "\n".join([str(told["machine"]), *table]))


def rows(
    worlds: Iterable[str] = WORLDS,
    rates: Sequence[float] = RATES,
    seeds: Iterable[int] = range(3),
    objectives: Sequence[str] = tuple(OBJECTIVES),
    *,
    towers: bool = False,
) -> Iterator[Row]:
    """One row per world, rate, seed and objective, as soon as it is measured."""
    seeds = list(seeds)
    for world in worlds:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            _digits(root) if world == "digits" else _sample(root, world, images=towers)
            known: dict[tuple[str, int], Row] = {}  # what asks no label is the same at every rate
            for rate, seed in product(rates, seeds):
                _write_halves(root, world, rate, seed)
                for name in objectives:
                    row = known.get((name, seed)) or _row(root, world, rate, seed, name, towers)
                    if "label_column" not in OBJECTIVES[name]:
                        known[name, seed] = row
                    yield {**row, "rate": rate}


def paces(
    worlds: Iterable[str], rates: Sequence[float], seeds: Iterable[int], asked: Sequence[tuple[int, int, float]]
) -> Iterator[Row]:
    """One row per world, rate, seed and pace: training pairs, epochs, learning rate, 0 as on the command line."""
    seeds = list(seeds)
    for world in worlds:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            _sample(root, world, images=True)
            for rate, seed in product(rates, seeds):
                _write_halves(root, world, rate, seed)
                every = pq.read_table(root / "train.parquet")
                for size, epochs, learning_rate in asked:
                    pq.write_table(every.slice(0, size or None), root / "train.parquet")
                    pace = {"epochs": epochs, "learning_rate": learning_rate or None}
                    row = _row(root, world, rate, seed, "nirnl", True, pace)
                    yield {**row, "epochs": epochs, "learning_rate": learning_rate}


def pace_lines(found: Sequence[Row]) -> list[str]:
    """A table per world and number of pairs: MAP by learning rate and epochs, means over rates and seeds."""
    told = []
    for world, pairs in dict.fromkeys((row["world"], row["pairs"]) for row in found):
        own = [row for row in found if (row["world"], row["pairs"]) == (world, pairs)]
        rates, epochs = (sorted({row[name] for row in own}) for name in ("learning_rate", "epochs"))
        told.append(f"{world}, {pairs} pairs: MAP % of nirnl on towers, by learning rate (0: chosen) and epochs")
        told.append("      " + "".join(f"{rate:>9g}" for rate in rates))
        for count in epochs:
            cells = [[row["map"] for row in own if (row["epochs"], row["learning_rate"]) == (count, r)] for r in rates]
            told.append(
                f"{count:>6}" + "".join(f"{statistics.mean(cell):>9.1f}" if cell else " " * 9 for cell in cells)
            )
    return told


def splits(worlds: Iterable[str], rates: Sequence[float], seeds: Iterable[int]) -> Iterator[Row]:
    """Per world, rate and seed: the share of right classes among the given ones, and of those that nirnl is told."""
    seeds = list(seeds)
    for world in worlds:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            _digits(root) if world == "digits" else _sample(root, world, images=False)
            for rate, seed in product(rates, seeds):
                _write_halves(root, world, rate, seed)
                yield {"world": world, "rate": rate, "seed": seed, **_right_classes(root / "train.parquet", seed)}


def _right_classes(path: Path, seed: int) -> dict[str, float]:
    table = pq.read_table(path)
    given, true = (torch.from_numpy(table[name].to_numpy().copy()) for name in ("label", "true"))
    image, text = (_centred_rows(table[name]) for name in ("image_embedding", "text_embedding"))
    photo, carried = torch.arange(len(given)), one_hot(given).bool()
    judge = class_belief(image, text, photo, carried, neighbours=None, seed=seed)
    nobody = SparseClasses.top(torch.full(carried.shape, 1 / carried.shape[1]))
    split = {
        name: class_split(image, text, photo, carried, belief, neighbours=None, seed=seed)
        for name, belief in (("neighbours alone", nobody), ("both", judge))
    }
    named = {"given": given, "audit alone": judge.code[:, 0].long()}
    named |= {name: found.voted for name, found in split.items()}
    pure = split["both"].part == PURE
    right = {name: float((classes == true).float().mean()) for name, classes in named.items()}
    return {**right, "given, of pure pairs": float((given == true)[pure].float().mean())}


def _centred_rows(column: pa.ChunkedArray) -> torch.Tensor:
    rows = torch.from_numpy(np.stack(column.to_numpy()).astype(np.float32))
    return centre(rows, rows.mean(dim=0))


def split_lines(found: Sequence[Row]) -> list[str]:
    """A table per world of means over the seeds."""
    told = []
    for world in dict.fromkeys(row["world"] for row in found):
        own = [row for row in found if row["world"] == world]
        rates, names = sorted({row["rate"] for row in own}), [*own[0]][3:]
        told.append(f"{world}: share of right classes before training, {len({row['seed'] for row in own})} seeds")
        told.append(" " * 20 + "".join(f"{rate:>8g}" for rate in rates))
        for name in names:
            means = [statistics.mean(row[name] for row in own if row["rate"] == rate) for rate in rates]
            told.append(f"{name:<20}" + "".join(f"{mean:>8.3f}" for mean in means))
    return told


def lines(found: Sequence[Row]) -> list[str]:
    """Tables of means and deviations over the seeds, and what was asked of nirnl."""
    return [line for world in dict.fromkeys(row["world"] for row in found) for line in _table(world, found)]


def _table(world: str, found: Sequence[Row]) -> list[str]:
    own = [row for row in found if row["world"] == world]
    rates, names = sorted({row["rate"] for row in own}), list(dict.fromkeys(row["row"] for row in own))
    cells = {(rate, name): _cell(own, rate, name) for rate in rates for name in names}
    seeds, width = len({row["seed"] for row in own}), max(map(len, names))
    table = [f"{world}: MAP % on clean pairs, {seeds} seeds, by chance of a random label"]
    table.append(" " * width + "".join(f"{rate:>14g}" for rate in rates))
    for name in names:
        table.append(f"{name:<{width}}" + "".join(f"{cells[rate, name][1]:>14}" for rate in rates))
    return [*table, *_asked(rates, names, cells)]


def _cell(own: Sequence[Row], rate: float, name: str) -> tuple[float, str]:
    maps = [row["map"] for row in own if row["rate"] == rate and row["row"] == name]
    return statistics.mean(maps), f"{statistics.mean(maps):.1f} ± {statistics.pstdev(maps):.1f}"


def _asked(
    rates: Sequence[float], names: Sequence[str], cells: dict[tuple[float, str], tuple[float, str]]
) -> list[str]:
    """Whether nirnl is best from .4 on, and what it loses from .2 to .6."""
    if "nirnl" not in names:
        return []
    told = []
    for rate in (rate for rate in rates if rate >= 0.4):
        best = max(names, key=lambda name: cells[rate, name][0])
        told.append(f"best at {rate:g}: {best}")
    if {0.2, 0.6} <= set(rates):
        told.append(f"nirnl loses {cells[0.2, 'nirnl'][0] - cells[0.6, 'nirnl'][0]:.1f} points from .2 to .6")
    return told


def _row(root: Path, world: str, rate: float, seed: int, name: str, towers: bool, pace: Row = TOWERS_PACE) -> Row:
    begun, out = perf_counter(), str(root / "out")
    held = {} if "label_column" in OBJECTIVES[name] else {"val_share": 0.0}  # by class nothing is held out anyway
    common = {"out": out, "seed": seed, "restart": True, **held, **OBJECTIVES[name]}
    if towers:
        start, data = f"local-dir:{sample_folder()}/tiny-clip", [str(root / "train.parquet")]
        trained = ncaudit.train(ncaudit.TrainOptions(data=data, model=start, **TOWERS, **pace, **common))
        test, asked_for = str(root / "tested"), {"model": f"local-dir:{out}", "columns": ["label"], "overwrite": True}
        ncaudit.embed(ncaudit.EmbedOptions(sources=[str(root / "test.parquet")], out=test, workers=0, **asked_for))
        asked: dict[str, Any] = {"embeddings": [test]}
    else:
        table = [str(root / "train.parquet")]
        trained = ncaudit.train(ncaudit.TrainOptions(embeddings=table, **HEADS, **PACE, **common))
        asked = {"embeddings": [str(root / "test.parquet")], "model": out}
    options = ncaudit.EvalRetrievalOptions(label_column="label", device="cpu", **asked)
    found = ncaudit.eval_retrieval(options).by_class
    i2t, t2i = 100 * found.image_to_text.map_all, 100 * found.text_to_image.map_all
    told = {"world": world, "rate": rate, "seed": seed, "row": name, "map": (i2t + t2i) / 2, "i2t": i2t, "t2i": t2i}
    split = {"neighbours": trained.neighbours, **(trained.parts or {})}
    return {**told, **split, "pairs": trained.train_pairs, "seconds": perf_counter() - begun}


def _write_halves(root: Path, world: str, rate: float, seed: int) -> None:
    """train.parquet, its labels wrong at this rate, and test.parquet, of which all are right."""
    draw = np.random.default_rng(seed)
    pairs, test = pq.read_table(root / "pairs.parquet"), root / "pairs-test.parquet"
    if test.exists():
        train, clean = pairs, pq.read_table(test)
    else:
        order = draw.permutation(len(pairs))
        train, clean = pairs.take(order[: len(pairs) // 2]), pairs.take(order[len(pairs) // 2 :])
    label = train["label"].to_numpy()
    drawn = draw.integers(0, int(label.max()) + 1, len(label))
    label = np.where(draw.random(len(label)) < rate, drawn, label)
    train = train.append_column("true", train["label"])
    place = train.schema.get_field_index("label")
    pq.write_table(train.set_column(place, "label", pa.array(label)), root / "train.parquet")
    pq.write_table(clean, root / "test.parquet")


def _digits(root: Path) -> None:
    pixels, digit = load_digits(return_X_y=True)
    sides = {"image_embedding": pixels[:, :32], "text_embedding": pixels[:, 32:]}
    lists = {name: pa.FixedSizeListArray.from_arrays(x.astype(np.float16).ravel(), 32) for name, x in sides.items()}
    names = {"pair_id": [f"digit-{i}" for i in range(len(digit))]}
    pq.write_table(pa.table({**names, **lists, "label": digit.astype(np.int64)}), root / "pairs.parquet")


def _sample(root: Path, attribute: str, *, images: bool) -> None:
    """The sample's pairs that match and name one shape or colour: train to learn from, heldout to retrieve.

    images: themselves, not what the tiny model makes of them.
    """
    sample = sample_folder()
    words, backgrounds = _words(sample, attribute)
    for name, out in (("train", "pairs"), ("heldout", "pairs-test")):
        source = f"{sample}/{name}.parquet"
        table = pq.read_table(source if images else _embedded(root, source))
        said = [_named(backgrounds.sub("", caption), words) for caption in table["caption"].to_pylist()]
        clean = [kind == "none" for kind in table["noise_type"].to_pylist()]
        kept = pa.array([one is not None and fine for one, fine in zip(said, clean, strict=True)])
        table = table.append_column("label", pa.array(said, pa.int64())).filter(kept)
        pq.write_table(table, root / f"{out}.parquet")


def _embedded(root: Path, source: str) -> str:
    """The table that the tiny model makes of a file of the sample."""
    out, model = str(root / Path(source).stem), f"local-dir:{sample_folder()}/tiny-clip"
    columns = ["caption", "noise_type"]
    ncaudit.embed(ncaudit.EmbedOptions(sources=[source], out=out, model=model, columns=columns))
    return f"{out}/{Path(source).name}"


def _words(sample: str, attribute: str) -> tuple[list[re.Pattern[str]], re.Pattern[str]]:
    """For each class the words that captions have for it; and the backgrounds, where these words mean nothing."""
    sys.path.append(sample)
    import grammar  # what made the captions

    every = grammar.SHAPE_WORDS if attribute == "shape" else grammar.COLOUR_WORDS
    places = "|".join(place for places in grammar.BACKGROUND_WORDS for place in places)
    return [re.compile(rf"\b({'|'.join(words)})(e?s)?\b") for words in every], re.compile(places)


def _named(caption: str, words: Sequence[re.Pattern[str]]) -> int | None:
    """The one class that a caption names, or None."""
    named = [i for i, one in enumerate(words) if one.search(caption)]
    return named[0] if len(named) == 1 else None


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
