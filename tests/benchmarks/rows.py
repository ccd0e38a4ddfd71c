"""The figures of speed, each measured of any checkout of the code, beside its limit or peer from the same minutes.

Knows how each figure is measured, and makes what that takes; nothing of how often, of other code or of tables: `run.py`
prints them for this code, `table.py` for this and older code in turn. What runs in a process of its own comes back here
as `python rows.py NAME ARGUMENTS`, with the package of the checkout on its path.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from figures import Spent, in_process, output_of, timed

HERE = Path(__file__).resolve().parent
BUSY_PAIRS = 1_150


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    architecture: str  # "": the sample's own model
    embed_pairs: int
    embed_batch: int | None
    apply_rows: int
    score_rows: tuple[int, ...]
    search_queries: int
    search_keys: int
    label_rows: int
    filter_mb: int
    start_rounds: int


# those of the table that is to be met, and those of CI: three minutes on two cores
FULL = Sizes("ViT-B-32", 1_200, None, 50_000, (2_000, 10_000), 2_000, 100_000, 1_000_000, 600, 3)
LIGHT = Sizes("", 512, 64, 4_096, (500,), 512, 20_000, 2_000, 40, 1)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One measurement. Of unit `s` less is better."""

    value: float
    unit: str
    limit: float | None = None
    wall: float
    cpu: float
    peak_gib: float | None = None


class Place:
    """A folder with what is measured on, made when it is first asked for."""

    def __init__(self, folder: Path, sizes: Sizes) -> None:
        self.folder, self.sizes = folder, sizes
        self._made = 0

    def new(self, name: str) -> str:
        """A name below the folder that nothing has yet."""
        self._made += 1
        return str(self.folder / f"{name}-{self._made}")

    def tables(self, rows: int) -> str:
        """Embedding tables of so many aligned pairs."""
        import score_limit

        there = self.folder / f"{rows}"
        return str(there) if there.exists() else score_limit.aligned_tables(self.folder, rows)

    def fit(self, code: Path) -> str:
        """What this code learned of the pairs of the apply figure: a fit of another format is refused."""
        out = self.folder / f"fit-of-{code.name}"
        if not out.exists():
            words = ["score", self.tables(self.sizes.apply_rows), "--out", str(out), "--no-check"]
            in_process([*_NCAUDIT, *words], code=code)
        return f"{out}/_fit"

    @cached_property
    def classes(self) -> str:
        """Embedding tables with classes."""
        import labels_speed

        folder, rows = self.folder / "classes", self.sizes.label_rows
        if not folder.exists():
            classes = 100 if rows >= 10_000 else 5
            labels_speed.write_tables(folder, rows, argparse.Namespace(dims=512, classes=classes, wrong=0.2))
        return str(folder)

    @cached_property
    def photos(self) -> dict[str, Any]:
        """A dataset, a model, and the precision that embeds faster here: what a child needs to embed."""
        made = output_of([str(HERE / "rows.py"), "photos", json.dumps([str(self.folder), *_photo_sizes(self.sizes)])])
        found: dict[str, Any] = json.loads(made.splitlines()[-1])
        return found


_NCAUDIT = ("-m", "ncaudit", "-q")
Measure = Callable[[Place, Path], Measured]


@dataclass(frozen=True)
class Row:
    """A figure: how people call it, what stands beside it, and how it is measured of a checkout."""

    words: str
    beside: str
    measure: Measure
    target: float | None = None  # of the share


def _embed(place: Place, code: Path) -> Measured:
    asked = {**place.photos, "out": place.new("embedded"), "batch_pairs": place.sizes.embed_batch}
    found = _child("embed", code, asked)
    return Measured(value=found["steady"], unit="pairs/s", limit=found["forward"], wall=found["wall"], cpu=found["cpu"])


def _apply(place: Place, code: Path) -> Measured:
    rows = place.sizes.apply_rows
    found = _child("apply", code, [place.tables(rows), place.fit(code)])
    apply, products = found["apply"], found["products"]
    limit = rows / products["wall"]
    return Measured(value=rows / apply["wall"], unit="rows/s", limit=limit, wall=apply["wall"], cpu=apply["cpu"])


def _score(rows: int) -> Measure:
    def measure(place: Place, code: Path) -> Measured:
        words = [*_NCAUDIT, "score", place.tables(rows), "--out", place.new("scored"), "--json"]
        return _seconds(in_process(words, code=code))

    return measure


def _look(place: Place, code: Path) -> Measured:
    found = _child("look", code, None)
    return Measured(value=found["ours"], unit="s", limit=found["einsum"], wall=found["ours"], cpu=found["cpu"])


def _search(data: str) -> Measure:
    def measure(place: Place, code: Path) -> Measured:
        sizes = ["--queries", str(place.sizes.search_queries), "--keys", str(place.sizes.search_keys)]
        spent = []
        words = [str(HERE / "search.py"), *sizes, "--data", data, "--runs", "3", "--json"]
        spent.append(timed(lambda: spent.append(output_of(words, code=code))))
        (row,) = json.loads(spent[0])["rows"]
        return Measured(
            value=row["ncaudit_s"], unit="s", limit=row["faiss_s"], wall=row["ncaudit_s"], cpu=spent[1].cpu
        )

    return measure


def _busy(place: Place, code: Path) -> Measured:
    words = [*_NCAUDIT, "score", place.tables(BUSY_PAIRS), "--no-check", "--json", "--out"]
    quiet = in_process([*words, place.new("quiet")], code=code)
    with _loops(2 * (os.cpu_count() or 1)):
        busy = in_process([*words, place.new("busy")], code=code)
    return Measured(value=busy.wall, unit="s", limit=quiet.wall, wall=busy.wall, cpu=busy.cpu)


def _labels(place: Place, code: Path) -> Measured:
    out = ["--label-column", "category", "--out", place.new("labelled"), "--json"]
    return _seconds(in_process([*_NCAUDIT, "labels", place.classes, *out], code=code))


def _filter(place: Place, code: Path) -> Measured:
    found = _rewritten(place, code, ["filter", "pyarrow"])
    ours, theirs = found["filter"], found["pyarrow"]
    speeds = (found["mb"] / one["seconds"] for one in (ours, theirs))
    value, limit = speeds
    return Measured(value=value, unit="MB/s", limit=limit, wall=ours["seconds"], cpu=ours["cpu_seconds"])


def _beside_filter(verb: str) -> Measure:
    def measure(place: Place, code: Path) -> Measured:
        found = _rewritten(place, code, ["filter", verb])
        ours, limit = found[verb], found["filter"]["cpu_seconds"]
        return Measured(value=ours["cpu_seconds"], unit="s", limit=limit, wall=ours["seconds"], cpu=ours["cpu_seconds"])

    return measure


def _start(place: Place, code: Path) -> Measured:
    case, rounds = "ncaudit score, 100 pairs", str(place.sizes.start_rounds)
    words = [str(HERE / "start.py"), "--rounds", rounds, "--cases", case, "--json", "--tree", str(code)]
    torch, score = json.loads(output_of(words, code=code))
    return Measured(
        value=score["beyond_torch_cpu_s"], unit="s", limit=torch["cpu_s"], wall=score["wall_s"], cpu=score["cpu_s"]
    )


def _train(what: str) -> Measure:
    def measure(place: Place, code: Path) -> Measured:
        found = _child("train", code, what)
        spent = Spent(found["wall"], found["cpu"])
        return Measured(value=found["train"], unit="pairs/s", limit=found["bare"], wall=spent.wall, cpu=spent.cpu)

    return measure


def rows_of(sizes: Sizes) -> dict[str, Row]:
    """All figures, in the order of the table."""
    embedded = f"embed {sizes.architecture or 'the sample’s model'}, {sizes.embed_pairs:,} pairs"
    whole = {
        f"score-{rows}": Row(f"score of {rows:,} aligned pairs × 512, power check included", "", _score(rows))
        for rows in sizes.score_rows
    }
    keys = f"neighbour search, {sizes.search_keys:,} keys × 512"
    return {
        "embed": Row(embedded, "the forward pass alone", _embed, 0.9),
        "apply": Row(f"score, applying a fit to {sizes.apply_rows:,} rows", "its products alone", _apply, 0.5),
        **whole,
        "look": Row("the exact look at 26 candidates each, 512 queries", "index_select and einsum", _look),
        "search-random": Row(f"{keys}, random", "faiss, flat", _search("random")),
        "search-clustered": Row(f"{keys}, clustered", "faiss, flat", _search("clustered")),
        "busy": Row(f"score --no-check, {BUSY_PAIRS:,} pairs, two busy loops per core beside", "quiet", _busy, 0.3),
        "labels": Row(f"labels of {sizes.label_rows:,} pairs × 512", "", _labels),
        "filter": Row(f"filter --data, {sizes.filter_mb:,} MB, half of the rows kept", "pyarrow alone", _filter, 0.9),
        "corrupt": Row("corrupt of the same, CPU", "filter's CPU", _beside_filter("corrupt"), 1.0),
        "score-data": Row("score --data of the same, CPU", "filter's CPU", _beside_filter("score --data"), 1.0),
        "start": Row("score of 100 pairs beyond import torch, CPU", "import torch", _start),
        **{f"train-{what}": Row(f"train {what}", "the bare step", _train(what), 0.8) for what in ("linear", "towers")},
    }


def _seconds(spent: Spent) -> Measured:
    return Measured(value=spent.wall, unit="s", wall=spent.wall, cpu=spent.cpu, peak_gib=spent.peak_gib)


def _child(name: str, code: Path, asked: Any) -> Any:
    # libraries may print: what is told stands on the last line
    return json.loads(output_of([str(HERE / "rows.py"), name, json.dumps(asked)], code=code).splitlines()[-1])


def _rewritten(place: Place, code: Path, only: list[str]) -> dict[str, Any]:
    words = [str(HERE / "filter.py"), "--mb", str(place.sizes.filter_mb), "--only", *only, "--tree", str(code)]
    found: dict[str, Any] = json.loads(output_of(words))  # made and told by this code, timed of the other
    return found


@contextmanager
def _loops(count: int) -> Iterator[None]:
    """So many processes beside that do nothing, as fast as they can."""
    beside = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for one in beside:
            one.kill()
            one.wait()


def _photo_sizes(sizes: Sizes) -> tuple[str, int]:
    return sizes.architecture, sizes.embed_pairs


def _made_photos(asked: list[Any]) -> dict[str, Any]:
    """In a child: the dataset and the model, real photos where they lie at hand."""
    import embed as embed_figures
    import gpu
    import torch

    from ncaudit.core.device import pick_precision
    from ncaudit.verbs.demo import sample_folder

    folder, (architecture, pairs) = Path(asked[0]), asked[1:]
    bench, data, model = Path(os.environ.get("NCAUDIT_BENCH", "")), folder / "photos", folder / "model"
    real = bool(os.environ.get("NCAUDIT_BENCH")) and (bench / embed_figures.PHOTOS).is_file()
    if not data.exists():
        photos = embed_figures.photos(bench) if real else gpu.made_photos(200)
        embed_figures.write_dataset(data / "00000.parquet", photos, pairs)
    if architecture and not model.exists():
        embed_figures.save_model(model, architecture)
    named = str(model) if architecture else f"{sample_folder()}/tiny-clip"
    precision = str(pick_precision(torch.device("cpu"))).removeprefix("torch.")
    told = {"data": str(data), "model": f"local-dir:{named}", "precision": precision, "pairs": pairs}
    return {**told, "photos": "real" if real else "made"}


def _embed_child(asked: dict[str, Any]) -> dict[str, float]:
    import embed as embed_figures

    from ncaudit.encoders.open_clip import load_encoder
    from ncaudit.options import EmbedOptions, ModelOptions

    own = {"model": asked["model"], "precision": asked["precision"], "device": "cpu"}
    options = EmbedOptions(sources=[asked["data"]], out=asked["out"], batch_pairs=asked["batch_pairs"], **own)
    return embed_figures.one_round(options, load_encoder(ModelOptions(**own)), asked["pairs"])


def _apply_child(asked: list[str]) -> dict[str, Any]:
    import score_limit

    return score_limit.apply(*asked)


def _look_child(_: None) -> dict[str, float]:
    """512 queries, 20,000 keys × 512, 26 keys each: medians of 40."""
    import statistics

    import torch

    try:
        from ncaudit.core.neighbours.listed import listed_products as look
    except ImportError:  # older code: as it stood in the search

        def look(rows: torch.Tensor, keys: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
            return (keys[index] * rows[:, None, :]).sum(dim=2)

    rows, keys = (torch.nn.functional.normalize(torch.randn(n, 512), dim=1) for n in (512, 20_000))
    index = torch.randint(len(keys), (len(rows), 26))

    def einsum() -> torch.Tensor:
        return torch.einsum("ncd,nd->nc", keys.index_select(0, index.flatten()).view(*index.shape, -1), rows)

    assert torch.allclose(look(rows, keys, index), einsum(), atol=1e-5)
    spent = [(timed(lambda: look(rows, keys, index)), timed(einsum)) for _ in range(40)]
    ours, theirs = zip(*spent, strict=True)
    wall = [statistics.median(one.wall for one in each) for each in (ours, theirs)]
    return {"ours": wall[0], "einsum": wall[1], "cpu": statistics.mean(one.cpu for one in ours)}


def _train_child(what: str) -> dict[str, Any]:
    import training_speed

    found: list[dict[str, Any]] = []
    spent = timed(lambda: found.append(training_speed.measured(what, "cpu", 1)))
    return {**found[0], "wall": spent.wall, "cpu": spent.cpu}


CHILDREN: dict[str, Callable[[Any], Any]] = {
    "photos": _made_photos, "embed": _embed_child, "apply": _apply_child, "look": _look_child, "train": _train_child,
}  # fmt: skip

if __name__ == "__main__":
    print(json.dumps(CHILDREN[sys.argv[1]](json.loads(sys.argv[2]))))
