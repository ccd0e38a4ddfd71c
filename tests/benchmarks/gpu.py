#!/usr/bin/env python3
"""What one CUDA device does with every verb that computes, beside what it could do; equal to the CPU's numbers?

usage: python tests/benchmarks/gpu.py [--json FILE] [--only PART …] [--minutes 8]
       python tests/benchmarks/gpu.py --device cpu --tiny       # the same code without a GPU, in a minute

The device's own peaks come first: a large product in each number type, and copies from and to memory as
`core.transfers` makes them. Then, each beside its limit from this very run: embed (bytes decoded, sent, encoded,
stored) beside the forward pass alone and beside decoding alone; score's fit, and its apply beside the products that it
cannot do without; labels beside full products of all rows; training beside the bare step. With each the peak of the
device's memory, and how far its numbers are from the CPU's. Then what happens where memory runs out, by a real limit on
allocations; and `--devices all` against one device, byte for byte. Without a GPU it says why it skips, unless --device
cpu is given.

The JSON is written anew after each part: whatever ends the run, the finished parts are kept.
"""

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import embed as embed_figures
import labels_speed
import numpy as np
import pyarrow.parquet as pq
import score_limit
import torch
import training_speed
from figures import Figure, Spent, machine, timed, told
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

import ncaudit
from ncaudit.core.transfers import Fetched, one_behind, sent, staged
from ncaudit.encoders.decode_pool import DecodePool
from ncaudit.encoders.images import Decoded
from ncaudit.encoders.open_clip import Encoder, load_encoder
from ncaudit.options import EmbedOptions, LabelsOptions, ModelOptions, ScoreOptions, TrainOptions
from ncaudit.progress import Silent
from ncaudit.verbs.demo import sample_folder

MIB, GIB = 2**20, 2**30
TYPES = ("float16", "bfloat16", "float32")


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    product: int  # rows and columns of a square matrix
    copied_mib: int
    models: Mapping[str, int]  # pairs for each architecture
    photos: int  # distinct ones
    batch_pairs: int
    checked: int  # pairs that the CPU encodes in float32, too
    score_rows: int
    fit_rows: int
    label_rows: int
    rounds: int


FULL = Sizes(8_192, 1_024, {"ViT-B-32": 20_000, "ViT-L-14": 6_000}, 200, 512, 32, 400_000, 20_000, 200_000, 3)
TINY = Sizes(256, 4, {"the sample's": 48}, 8, 16, 8, 600, 300, 400, 1)


@dataclass
class Report:
    """All that was found so far."""

    device: torch.device
    sizes: Sizes
    work: Path
    figures: list[Figure] = field(default_factory=list)
    peaks: dict[str, float] = field(default_factory=dict)
    equal: dict[str, Any] = field(default_factory=dict)
    memory_gib: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def cuda(self) -> bool:
        """Whether it is a GPU."""
        return self.device.type == "cuda"

    def wait(self) -> None:
        """Until the device has done all that was asked of it."""
        if self.cuda:
            torch.cuda.synchronize(self.device)

    def add(self, **figure: Any) -> None:
        """One more figure."""
        self.figures.append(Figure(**figure))

    @contextmanager
    def memory(self, name: str) -> Iterator[None]:
        """Notes the most memory that the block held on the device."""
        if self.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
        yield
        if self.cuda:
            self.memory_gib[name] = round(torch.cuda.max_memory_allocated(self.device) / GIB, 3)

    def as_dict(self) -> dict[str, Any]:
        """What is written."""
        gpu = {"gpu": torch.cuda.get_device_name(self.device)} if self.cuda else {}
        names = ("peaks", "equal", "memory_gib", "skipped", "seconds")
        figures = [figure.as_dict() for figure in self.figures]
        return {"machine": {**machine(), **gpu}, "figures": figures, **{name: getattr(self, name) for name in names}}


def peaks(report: Report) -> None:
    """Products in three types, and copies: what every limit below is made of."""
    n = report.sizes.product
    for name in TYPES:
        side = torch.ones(n, n, device=report.device, dtype=getattr(torch, name))
        seconds = _steady(report, lambda side=side: torch.mm(side, side), 4 * report.sizes.rounds)
        report.peaks[f"{name} TFLOP/s"] = 2 * n**3 / seconds / 1e12
    host = torch.ones(report.sizes.copied_mib * MIB, dtype=torch.uint8)
    there = host.to(report.device)
    copies: dict[str, Callable[[], object]] = {
        "to the device, plain": lambda: host.to(report.device), "to the device": lambda: sent(pinned, report.device),
        "to the host": lambda: Fetched(there).wait(),
    }  # fmt: skip
    pinned = staged([host.numpy()], report.device)
    for name, copy in copies.items():
        report.peaks[f"{name} GB/s"] = len(host) / _steady(report, copy, report.sizes.rounds) / 1e9
    if report.cuda:
        pinned_gb, plain_gb = (report.peaks[f"to the device{how} GB/s"] for how in ("", ", plain"))
        report.add(what="copy to the device", value=pinned_gb, unit="GB/s", limit=plain_gb, beside="a plain copy")


def embed(report: Report) -> None:
    """Photos to tables, beside decoding alone and the forward pass alone."""
    for architecture, pairs in report.sizes.models.items():
        model, data = _model(report, architecture), report.work / f"photos-{architecture}"
        embed_figures.write_dataset(data / "00000.parquet", made_photos(report.sizes.photos), pairs)
        encoder = load_encoder(ModelOptions(model=model, device=str(report.device)))
        decoding, pixels = _decoding(data / "00000.parquet", encoder, min(pairs, 4_000))
        with report.memory(f"embed {architecture}"):
            whole, out = _embedded(report, model, data)
        forward, flops = _forward(report, encoder, pixels)
        limit, what = min((decoding, "decoding alone"), (forward, "the forward pass alone"))
        named = f"embed {architecture}"
        report.add(what=named, value=whole, unit="pairs/s", limit=limit, beside=what, target=0.85)
        report.add(what=f"{named}: beside the model", value=whole, unit="pairs/s", limit=forward, beside="forward pass")
        precision = encoder.identity.precision
        report.add(
            what=f"{architecture}, the forward pass", value=forward * flops / 1e12, unit="TFLOP/s",
            limit=report.peaks.get(f"{precision} TFLOP/s"), beside=f"a large product in {precision}",
        )  # fmt: skip
        report.equal[named] = {"lowest cosine to the CPU's float32": _lowest_cosine(report, model, data, out)}


def score(report: Report) -> None:
    """A fit, and rows scored with it, beside their products."""
    sizes, work = report.sizes, report.work
    learn, rows = (score_limit.aligned_tables(work, n) for n in (sizes.fit_rows, sizes.score_rows))
    fitted = str(work / "scored-fit")
    with report.memory("score, fit"):
        spent = _verb(report, lambda: ncaudit.score(_scoring(report, learn, fitted)))
    report.add(what=f"score, the fit of {sizes.fit_rows:,} pairs", value=spent.wall, unit="s")
    with report.memory("score, apply"):
        spent = _verb(report, lambda: ncaudit.score(_scoring(report, rows, str(work / "scored"), f"{fitted}/_fit")))
    _, anchors = score_limit.counts(rows, f"{fitted}/_fit")
    bare = timed(score_limit.products(sizes.score_rows, anchors, str(report.device)))
    report.add(
        what="score, apply", value=sizes.score_rows / spent.wall, unit="rows/s", limit=sizes.score_rows / bare.wall,
        beside=f"its products against {anchors:,} anchors", target=0.5,
    )  # fmt: skip
    report.equal["score"] = _scores_apart(report, learn, f"{fitted}/_fit")


def labels(report: Report) -> None:
    """Classes judged, beside the products of all rows with all rows in both modalities."""
    rows, folder = report.sizes.label_rows, report.work / "classes"
    made = argparse.Namespace(dims=512, classes=100 if rows > 10_000 else 4, wrong=0.2)
    labels_speed.write_tables(folder, rows, made)
    with report.memory("labels"):
        spent = _verb(report, lambda: ncaudit.labels(_labelling(report, folder, report.device)))
    block, kind = min(rows, 8_192), torch.float16 if report.cuda else torch.float32
    side, keys = (torch.ones(n, 512, device=report.device, dtype=kind) for n in (block, rows))
    product = _steady(report, lambda: torch.mm(side, keys.T), report.sizes.rounds) * rows / block * 2
    beside = "two full products of all rows"
    report.add(what=f"labels of {rows:,} pairs", value=spent.wall, unit="s", limit=product, beside=beside)
    few = report.work / "few-classes"
    labels_speed.write_tables(few, min(rows, 4_000), argparse.Namespace(**{**vars(made), "classes": 4}))
    tables = [ncaudit.labels(_labelling(report, few, device)).out for device in (report.device, torch.device("cpu"))]
    report.equal["labels"] = {"largest difference of label_quality": _apart(*tables, "label_quality")}


def training(report: Report) -> None:
    """Heads and towers, beside the bare step; heads on the device and on the CPU end alike."""
    if not report.cuda:
        training_speed.HEADS_PAIRS, training_speed.HEADS_BATCH = 256, 64
    for what in training_speed.ASKED:
        with report.memory(f"train {what}"):
            found = training_speed.measured(what, str(report.device), report.sizes.rounds)
        report.add(
            what=f"train {what}, {found['precision']}", value=found["train"], unit="pairs/s", limit=found["bare"],
            beside="the bare step", target=found["asked"],
        )  # fmt: skip
    report.equal["train heads"] = {"largest difference of a weight": _heads_apart(report)}


def memory_runs_out(report: Report) -> None:
    """A limit on allocations that a batch is over: embed halves it, and score its rows, with the same numbers."""
    if not report.cuda:
        report.skipped["memory_runs_out"] = "only a GPU has a limit on its allocations; the tests raise the error"
        return
    architecture = next(iter(report.sizes.models))
    model, data = _model(report, architecture), report.work / f"photos-{architecture}"
    heard, batch = _Heard(), 4 * report.sizes.batch_pairs
    with _limited(report, model, batch // 4):
        options = _embedding(report, model, data, "halved", batch_pairs=batch)
        ncaudit.embed(options, heard)
    report.equal["embed, memory runs out"] = {"asked": batch, "notes": heard.notes}
    report.equal["score, memory runs out"] = _scored_within_less(report)


def _scored_within_less(report: Report) -> dict[str, Any]:
    """How far the scores are from those of a run with all memory, by the share of that run's memory; None: too little.

    Rows are halved until they fit; what cannot be halved, the fit itself, sets the end.
    """
    rows, fit = str(report.work / f"{report.sizes.fit_rows}"), f"{report.work}/scored-fit/_fit"
    torch.cuda.empty_cache()
    held = torch.cuda.memory_reserved(report.device)
    torch.cuda.reset_peak_memory_stats(report.device)
    free = ncaudit.score(_scoring(report, rows, str(report.work / "free"), fit)).out
    peak, found = torch.cuda.max_memory_reserved(report.device) - held, {}
    for share in (0.9, 0.75, 0.6, 0.45):
        with _at_most(report, held + share * peak):
            try:
                tight = ncaudit.score(_scoring(report, rows, str(report.work / f"tight-{share}"), fit)).out
            except torch.OutOfMemoryError:
                found[f"{share}"] = None
                break
            found[f"{share}"] = _apart(free, tight, "score")
    return found


def all_devices(report: Report) -> None:
    """`--devices all` writes what one device writes, byte for byte."""
    architecture, few = next(iter(report.sizes.models)), 2 * report.sizes.batch_pairs
    model, data = _model(report, architecture), report.work / "two-shards"
    data.mkdir()
    for shard in range(2):
        embed_figures.write_dataset(data / f"{shard}" / "00000.parquet", made_photos(report.sizes.photos), few)
    sizes = {"batch_pairs": report.sizes.batch_pairs}
    every = ("all",) if report.cuda else ("cpu", "cpu")
    one = ncaudit.embed(_embedding(report, model, data, "one", **sizes)).out
    more = {"device": "auto", "devices": every, **sizes}
    several = ncaudit.embed(_embedding(report, model, data, "several", **more)).out
    tables = [sorted(Path(out).rglob("*.parquet")) for out in (one, several)]
    same = all(a.read_bytes() == b.read_bytes() for a, b in zip(*tables, strict=True))
    devices = torch.cuda.device_count() if report.cuda else len(every)
    report.equal["embed --devices"] = {"devices": devices, "tables": len(tables[0]), "same bytes": same}


PARTS: dict[str, Callable[[Report], None]] = {
    "peaks": peaks, "embed": embed, "score": score, "labels": labels, "training": training,
    "memory_runs_out": memory_runs_out, "all_devices": all_devices,
}  # fmt: skip


class _Heard(Silent):
    """Notes, and when pairs were done."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.done: list[tuple[float, int]] = []

    def advance(self, done: int, failed: int = 0) -> None:
        self.done.append((time.perf_counter(), done))

    def note(self, text: str) -> None:
        self.notes.append(text)

    def rate(self) -> float:
        """Per second from the first window on: what loads and starts is none of it."""
        (begun, _), (ended, _) = self.done[0], self.done[-1]
        later = sum(done for _, done in self.done[1:])
        return later / (ended - begun) if later else self.done[0][1] / 1e-9


def _steady(report: Report, run: Callable[[], object], times: int) -> float:
    """Seconds of one of several runs after the other, a first one left out."""
    run()
    report.wait()
    begun = time.perf_counter()
    for _ in range(times):
        run()
    report.wait()
    return (time.perf_counter() - begun) / times


def _verb(report: Report, run: Callable[[], object]) -> Spent:
    def done() -> None:
        run()
        report.wait()

    return timed(done)


def _model(report: Report, architecture: str) -> str:
    if architecture not in FULL.models:
        return f"local-dir:{sample_folder()}/tiny-clip"
    folder = report.work / architecture / "model"
    if not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        embed_figures.save_model(folder, architecture)
    return f"local-dir:{folder}"


def made_photos(count: int) -> tuple[list[bytes], list[str]]:
    """Noise that was smoothed, so that JPEG takes for it about what it takes for photos: 60 kB at 512 x 384."""
    draw, photos = np.random.default_rng(0), []
    for _ in range(count):
        coarse = Image.fromarray(draw.integers(256, size=(96, 128, 3), dtype=np.uint8))
        file = io.BytesIO()
        coarse.resize((512, 384), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        photos.append(file.getvalue())
    return photos, [f"a photo of noise, the {i}th of {count}" for i in range(count)]


def _decoding(path: Path, encoder: Encoder, count: int) -> tuple[float, torch.Tensor]:
    """Images per second that the decoding processes give while nothing else is done; and a batch of them."""
    images = pq.read_table(path, columns=["jpg"])["jpg"].to_pylist()[:count]
    with DecodePool(None) as pool:
        list(pool.submit(images[:64], encoder.preprocess, 10**9).results())  # all are awake
        begun = time.perf_counter()
        found = [outcome for outcome in pool.submit(images, encoder.preprocess, 10**9).results()]
        rate = len(images) / (time.perf_counter() - begun)
    pixels = [outcome.pixels for outcome in found if isinstance(outcome, Decoded)]
    return rate, torch.from_numpy(np.stack(pixels[:512]))


def _forward(report: Report, encoder: Encoder, pixels: torch.Tensor) -> tuple[float, float]:
    """Pairs per second of the model alone, on batches that are there already; floating point operations of a pair."""
    n = min(len(pixels), report.sizes.batch_pairs)
    batch, tokens = encoder.normalise(pixels[:n]), encoder.tokenize(made_photos(1)[1] * n)

    def pairs() -> None:
        with torch.inference_mode():
            encoder.model.encode_image(batch)
        encoder.begin_tokens(tokens)

    seconds = _steady(report, pairs, 4 * report.sizes.rounds)
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # its one operator is none that the counter knows
    try:
        with FlopCounterMode(display=False) as counter:
            pairs()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return n / seconds, counter.get_total_flops() / n


def _embedding(report: Report, model: str, data: Path, name: str, **more: Any) -> EmbedOptions:
    own = {"device": str(report.device), **more}
    return EmbedOptions(sources=[str(data)], out=str(report.work / name), model=model, **own)


def _embedded(report: Report, model: str, data: Path) -> tuple[float, Path]:
    """Pairs per second of embed, from its first window on."""
    heard, name = _Heard(), f"tables-{data.name}"
    ncaudit.embed(_embedding(report, model, data, name, batch_pairs=report.sizes.batch_pairs), heard)
    return heard.rate(), report.work / name / "00000.parquet"


def _lowest_cosine(report: Report, model: str, data: Path, out: Path) -> float:
    exact = load_encoder(ModelOptions(model=model, precision="float32", device="cpu"))
    pairs = pq.read_table(data / "00000.parquet").slice(0, report.sizes.checked)
    with DecodePool(0) as pool:
        outcomes = pool.submit(pairs["jpg"].to_pylist(), exact.preprocess, 10**9).results()
        pixels = staged([outcome.pixels for outcome in outcomes if isinstance(outcome, Decoded)], exact.device)
    begun = [exact.begin_images(pixels), exact.begin_tokens(exact.tokenize(pairs["caption"].to_pylist()))]
    lowest = 1.0
    for column, rows in zip(("image_embedding", "text_embedding"), one_behind(begun), strict=True):
        found = pq.read_table(out, columns=[column])[column].slice(0, len(pairs)).combine_chunks()
        ours = torch.from_numpy(found.flatten().to_numpy().astype(np.float32)).view(len(pairs), -1)
        lowest = min(lowest, float(torch.cosine_similarity(ours, rows.wait()).min()))
    return lowest


def _scoring(report: Report, tables: str, out: str, fit: str | None = None, device: str | None = None) -> ScoreOptions:
    given = {} if fit is None else {"fit": fit}
    more = {} if fit else {"check": False}
    return ScoreOptions(embeddings=[tables], out=out, device=device or str(report.device), **given, **more)


def _scores_apart(report: Report, tables: str, fit: str) -> dict[str, float]:
    """The same fit on the device and on the CPU."""
    outs = [
        ncaudit.score(_scoring(report, tables, str(report.work / f"scored-on-{name}"), fit, name)).out
        for name in (str(report.device), "cpu")
    ]
    return {f"largest difference of {column}": _apart(*outs, column) for column in ("score", "soft_label")}


def _apart(one: str, other: str, column: str) -> float:
    paths = [sorted(Path(folder).glob("*.parquet")) for folder in (one, other)]
    a, b = (np.concatenate([pq.read_table(path)[column].to_numpy() for path in some]) for some in paths)
    return float(np.nanmax(np.abs(a - b)))


def _labelling(report: Report, tables: Path, device: torch.device) -> LabelsOptions:
    out = str(report.work / f"{tables.name}-on-{device.type}")
    return LabelsOptions(embeddings=[str(tables)], label_column=labels_speed.COLUMN, out=out, device=str(device))


def _heads_apart(report: Report) -> float:
    """Heads that learned the same on the device and on the CPU."""
    from safetensors.torch import load_file

    tables, found = str(report.work / f"{report.sizes.fit_rows}"), []
    for name in dict.fromkeys((str(report.device), "cpu")):
        out = report.work / f"heads-on-{name}"
        own = {"tune": "heads", "epochs": 1, "batch_pairs": 128, "precision": "float32", "device": name}
        ncaudit.train(TrainOptions(embeddings=[tables], out=str(out), **own))
        found.append(load_file(out / "heads.safetensors"))
    return max(float((found[0][name] - found[-1][name]).abs().max()) for name in found[0])


@contextmanager
def _limited(report: Report, model: str, fitting: int) -> Iterator[None]:
    """So much memory on the device that the model fits with a batch of `fitting` pairs, and not with many more."""
    encoder = load_encoder(ModelOptions(model=model, device=str(report.device)))
    held = torch.cuda.memory_allocated(report.device)
    torch.cuda.reset_peak_memory_stats(report.device)
    encoder.encode_images(torch.zeros(fitting, *encoder.preprocess.size, 3, dtype=torch.uint8))
    peak = torch.cuda.max_memory_allocated(report.device) - held
    weights = sum(one.numel() * one.element_size() for one in encoder.model.parameters())
    del encoder
    torch.cuda.empty_cache()
    with _at_most(report, torch.cuda.memory_reserved(report.device) + 2 * weights + 1.5 * peak):
        yield


@contextmanager
def _at_most(report: Report, size: float) -> Iterator[None]:
    """No more bytes than that for this process on the device."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(report.device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, size / total), report.device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, report.device)


def run(report: Report, parts: Sequence[str], minutes: float, keep: Callable[[Report], None]) -> None:
    """Part after part; what fails or has no time left is told, and the others are measured all the same."""
    begun = time.perf_counter()
    for name in parts:
        started = time.perf_counter()
        if started - begun > 60 * minutes:
            report.skipped[name] = f"{minutes:g} minutes were over"
            continue
        try:
            PARTS[name](report)
        except Exception as error:
            report.skipped[name] = f"failed: {type(error).__name__}: {error}"
        report.seconds[name] = round(time.perf_counter() - started, 1)
        keep(report)


def main() -> None:
    options = _options()
    device = torch.device("cuda" if options.device == "auto" else options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("skipped: this machine or this torch has no CUDA device; --device cpu --tiny tries the code without one")
        return

    def keep(found: Report) -> None:
        if options.json:
            Path(options.json).write_text(json.dumps(found.as_dict(), indent=1))

    with tempfile.TemporaryDirectory(dir=options.work) as work:
        report = Report(device, TINY if options.tiny else FULL, Path(work))
        run(report, options.only or list(PARTS), options.minutes, keep)
    print("\n".join(_lines(report)))
    if any(why.startswith("failed") for why in report.skipped.values()):
        raise SystemExit(1)


def _lines(report: Report) -> list[str]:
    lines = [", ".join(f"{name} {value}" for name, value in report.as_dict()["machine"].items())]
    lines += [f"{name}: {value:,.3g}" for name, value in report.peaks.items()]
    lines += [*told(report.figures), *(f"{name}: {value}" for name, value in report.equal.items())]
    lines += [f"memory, {name}: {value} GiB" for name, value in report.memory_gib.items()]
    return [*lines, *(f"skipped: {name}: {why}" for name, why in report.skipped.items())]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="cuda, cuda:N or cpu; by default cuda where it is there")
    parser.add_argument("--tiny", action="store_true", help="the sample's own model and few rows: does the code run?")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts; some use what earlier ones made")
    parser.add_argument("--minutes", type=float, default=8, help="no part begins later than that")
    parser.add_argument("--json", help="file for the report, written anew after each part")
    parser.add_argument("--work", help="folder for models and tables (8 GiB)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
