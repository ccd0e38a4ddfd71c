"""Exact top-k search, `ncaudit.core.neighbours.search.nearest` against `faiss.IndexFlatIP`: time and recall.

    python tests/benchmarks/search.py                    # 10,000 x 100,000 x 512, k = 10
    python tests/benchmarks/search.py --keys 20000 --k 1 --json

Both run in turn in one process, so that a busy machine slows both; the ratio of the medians is the figure.
faiss' answer is also the truth for the recall: an answer counts when its similarity, taken again in float64, reaches
that of the true k-th key to 1e-6 (equal keys may come in any order).
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ncaudit.core.neighbours.search import KeyBank, nearest, prepare_keys


def main() -> None:
    """Measures the asked-for size on both kinds of data, or on one."""
    options = _options()
    torch.set_num_threads(options.threads)
    faiss.omp_set_num_threads(options.threads)
    kinds = {"random": random_rows, "clustered": clustered_rows}
    rows = [_compare(name, kinds[name], options) for name in ([options.data] if options.data else kinds)]
    report = {"machine": _machine(options.threads), "size": _size(options), "rows": rows}
    print(json.dumps(report, indent=1) if options.json else _table(report))


def random_rows(queries: int, keys: int, dims: int, seed: int) -> tuple[Tensor, Tensor]:
    """Directions without any structure: neighbours are far, and far apart."""
    draw = torch.Generator().manual_seed(seed)
    rows = normalize(torch.randn(queries + keys, dims, generator=draw), dim=1)
    return rows[:queries], rows[queries:]


def clustered_rows(queries: int, keys: int, dims: int, seed: int) -> tuple[Tensor, Tensor]:
    """Shaped like one modality of CLIP: a narrow cone, topics of very different size, a few near-copies.

    Mean cosine of two rows about 0.5, inside a topic about 0.7, 2 % of the rows are near-copies of another.
    """
    draw = torch.Generator().manual_seed(seed)
    count = queries + keys
    decay = torch.arange(1, dims + 1).float() ** -0.5  # a falling spectrum: few directions carry most of the variance
    topics = torch.randn(2000, dims, generator=draw) * decay
    popularity = 1 / torch.arange(1, 2001).float()
    topic = topics[torch.multinomial(popularity, count, replacement=True, generator=draw)]
    own = torch.randn(count, dims, generator=draw) * decay
    cone = normalize(torch.randn(1, dims, generator=draw), dim=1)
    rows = normalize(normalize(topic + 1.2 * own, dim=1) + cone, dim=1)
    copies = torch.randperm(count, generator=draw)[: count // 50]
    source = torch.randint(0, count, (len(copies),), generator=draw)
    rows[copies] = normalize(rows[source] + 0.002 * torch.randn(len(copies), dims, generator=draw), dim=1)
    return rows[:queries], rows[queries:]


Rows = Callable[[int, int, int, int], tuple[Tensor, Tensor]]


def _compare(name: str, make: Rows, options: argparse.Namespace) -> dict:
    queries, keys = make(options.queries, options.keys, options.dims, options.seed)
    index = faiss.IndexFlatIP(options.dims)
    index.add(keys.numpy())
    bank = prepare_keys(keys, dtype=getattr(torch, options.rough) if options.rough else None)
    runs = {
        "ncaudit": lambda: nearest(queries, bank, options.k),
        "faiss": lambda: index.search(queries.numpy(), options.k),
    }
    times: dict[str, list[float]] = {which: [] for which in runs}
    for _ in range(options.runs):
        for which, run in runs.items():
            start = time.perf_counter()
            run()
            times[which].append(time.perf_counter() - start)
    ours, theirs = (statistics.median(times[which]) for which in ("ncaudit", "faiss"))
    return {
        "data": name,
        "rough": str(bank.rough.dtype).removeprefix("torch."),
        "ncaudit_s": round(ours, 3),
        "faiss_s": round(theirs, 3),
        "ratio": round(theirs / ours, 2),
        "recall": recall(queries, bank, options.k, index),
    }


def recall(queries: Tensor, bank: KeyBank, k: int, index: faiss.IndexFlatIP) -> float:
    """Share of our answers that are among the true k best, up to equal similarities."""
    ours = nearest(queries, bank, k).index
    truth = torch.from_numpy(index.search(queries.numpy(), k)[1])
    hits = 0
    for rows in torch.split(torch.arange(len(queries)), 1000):
        query = queries[rows, None].double()
        mine = (bank.keys[ours[rows]].double() * query).sum(dim=2)
        least = (bank.keys[truth[rows]].double() * query).sum(dim=2).amin(dim=1, keepdim=True)
        hits += int((mine >= least - 1e-6).sum())
    return round(hits / ours.numel(), 6)


def _machine(threads: int) -> dict:
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": threads,
        "torch": torch.__version__,
        "faiss": faiss.__version__,
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _size(options: argparse.Namespace) -> dict:
    return {name: getattr(options, name) for name in ("queries", "keys", "dims", "k", "runs")}


def _table(report: dict) -> str:
    words = [f"{key} {value}" for part in ("machine", "size") for key, value in report[part].items()]
    columns = list(report["rows"][0])
    lines = [", ".join(words), "", "".join(f"{column:>12}" for column in columns)]
    return "\n".join(lines + ["".join(f"{row[column]!s:>12}" for column in columns) for row in report["rows"]])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--dims", type=int, default=512)
    parser.add_argument("--k", type=int, default=10, help="neighbours per query")
    parser.add_argument("--runs", type=int, default=3, help="runs of each, in turn; medians are shown")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads for both")
    parser.add_argument("--rough", choices=["float16", "bfloat16", "float32"], help="the rough pass's type")
    parser.add_argument("--data", choices=["random", "clustered"], help="one kind of data; by default both")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


if __name__ == "__main__":
    main()
