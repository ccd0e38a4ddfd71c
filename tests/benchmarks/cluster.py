"""embed, score and filter on a Ray of two machines, one of which is killed in the middle: the bytes of a local run?

    python tests/benchmarks/cluster.py [--place FOLDER] [--shards 64] [--rows 2000] [--many 10000]

Starts a head and two machines of one CPU each on this one, cuts the sample into shards below --place, and does all of
it once locally and once on the cluster: while it embeds, a machine is taken away. Then what an engine costs: `--many`
tasks that do nothing, and embedding in one process that is ready, here and behind Ray (starting is told apart).
Afterwards nothing is left but what it prints, unless --place is given (a store must be there, and its address in the
environment: AWS_ENDPOINT_URL). Exits with 1 where a byte differs.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
from fsspec.core import url_to_fs

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from ncaudit import EmbedOptions  # noqa: E402
from ncaudit.engines.jobs import Here, Task  # noqa: E402
from ncaudit.engines.local import ShardRows  # noqa: E402
from ncaudit.engines.on_ray.cluster import joined  # noqa: E402
from ncaudit.engines.on_ray.pool import Asked, pool_of  # noqa: E402
from ncaudit.progress import SILENT  # noqa: E402
from ncaudit.shards.files.shard import Shard  # noqa: E402
from ncaudit.shards.files.sources import find_shards  # noqa: E402
from ncaudit.verbs.embed.model_here import ModelHere  # noqa: E402
from tests.worlds.clusters import of_two_machines  # noqa: E402

SAMPLE = ROOT / "sample_data"
MODEL = f"local-dir:{SAMPLE / 'tiny-clip'}"
EMBED = ("--model", MODEL, "--device", "cpu", "--workers", "0", "--batch-pairs", "64", "--precision", "float32")
SCORE = ("--scorer", "clip-score", "--no-check", "--device", "cpu")
FILTER = ("--keep-share", "0.5")
STEPS = (
    ("embed", "data", "emb", EMBED),
    ("score", "emb-here", "scores", SCORE),
    ("filter", "scores-here", "kept", FILTER),
)
TABLES = "*.parquet"
DONE_BEFORE_KILL = 4


def main() -> int:
    asked = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        place = (asked.place or folder).rstrip("/")
        _cut(f"{place}/data", asked.shards, asked.rows)
        with of_two_machines() as cluster:
            alike = _compared(place, cluster)
            _overhead(place, folder, cluster.address, asked.many)
    return 0 if alike else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--place", help="a folder, or an address such as s3://bucket/there; by default a temporary folder"
    )
    parser.add_argument("--shards", type=int, default=64)
    parser.add_argument("--rows", type=int, default=2000, help="of the sample, 2000 at most")
    parser.add_argument("--many", type=int, default=10_000, help="tasks that do nothing")
    return parser.parse_args()


def _cut(folder: str, shards: int, rows: int) -> None:
    files, root = url_to_fs(folder)
    files.makedirs(root, exist_ok=True)
    table = pq.read_table(SAMPLE / "train.parquet").slice(0, rows)
    each = -(-len(table) // shards)
    for number in range(shards):
        with files.open(f"{root}/{number:05}.parquet", "wb") as file:
            pq.write_table(table.slice(number * each, each), file)


def _compared(place: str, cluster: object) -> bool:
    ray = ("--engine", "ray", "--ray-address", cluster.address)
    alike = True
    for verb, source, made, words in STEPS:
        line = [verb, f"{place}/{source}", *words, "--out"]
        here, there = f"{place}/{made}-here", f"{place}/{made}-ray"
        with _timed(f"{verb}, here"):
            _ran(_begun(*line, here))
        if verb == "score":  # a fit takes as long wherever it is made: both go by one
            _ran(_begun(*line, there, *ray))
        else:
            with _timed(f"{verb}, on Ray" + (", a machine killed in the middle" if verb == "embed" else "")):
                running = _begun(*line, there, *ray)
                if verb == "embed":
                    _kill_a_machine(cluster, there, running)
                _ran(running)
        same = _bytes(here) == _bytes(there)
        print(f"  {verb}: {len(_bytes(there))} tables, {'all bytes as of the local run' if same else 'BYTES DIFFER'}")
        alike = alike and same and len(_bytes(here)) > 0
    return alike


def _begun(*words: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "ncaudit", "-q", *map(str, words)], stdout=subprocess.DEVNULL, cwd=ROOT
    )


def _ran(process: subprocess.Popen[bytes]) -> None:
    if process.wait():
        raise SystemExit(f"a command ended with {process.returncode}")


def _kill_a_machine(cluster: object, out: str, running: subprocess.Popen[bytes]) -> None:
    while len(_tables(out)) < DONE_BEFORE_KILL and running.poll() is None:
        time.sleep(0.05)
    done = len(_tables(out))
    cluster.remove_node(cluster.machines.pop(), allow_graceful=False)
    print(f"  a machine was killed after {done} tables" + ("" if running.poll() is None else ", TOO LATE"))


def _tables(folder: str) -> list[str]:
    files, root = url_to_fs(folder)
    files.invalidate_cache()
    return sorted(files.glob(f"{root}/{TABLES}"))


def _bytes(folder: str) -> dict[str, bytes]:
    files, _ = url_to_fs(folder)
    return {path.rpartition("/")[2]: files.cat_file(path) for path in _tables(folder)}


def _nothing_each(name: object) -> ShardRows:
    return ShardRows({})


@contextmanager
def _nothing(progress: object):
    yield None, _nothing_each


@contextmanager
def _embedding(options: EmbedOptions, progress: object):
    model = ModelHere.load(options, None, {}, {})
    try:
        yield None, lambda shard: model.embed(shard, SILENT)
    finally:
        model.close()


def _overhead(place: str, scratch: str, address: str, many: int) -> None:
    with joined(address, [], scratch, SILENT) as cluster:
        with pool_of(cluster, Asked(1, 1.0), SILENT) as pool:
            pool.set_up_first(_nothing)
            tasks, before = [Task(Shard(f"/{n}", f"{n}"), n) for n in range(many)], _peak_gib()
            with _timed(f"{many:,} tasks that do nothing, one process on Ray") as spent:
                pool.run(tasks, _nothing)
            grown = f"{before:.2f} GiB before (torch is loaded), {_peak_gib():.2f} at its most"
            print(f"  {1000 * spent[0] / many:.2f} ms each; memory of the driver: {grown}")
        shards = find_shards([f"{place}/data"])
        tasks = [Task(shard, shard) for shard in shards]
        for name in ("here", "Ray"):
            options = EmbedOptions(
                sources=[f"{place}/data"], out=f"{scratch}/again-{name}", model=MODEL, device="cpu", workers=0,
                batch_pairs=64, precision="float32",
            )  # fmt: skip
            job = partial(_embedding, options)
            if name == "here":
                ready = Ready(job)
                with ready.timed(f"{len(tasks)} shards, one process here"):
                    Here(ready.job).run(tasks, SILENT)
                continue
            with pool_of(cluster, Asked(1, 1.0), SILENT) as pool:
                with _timed("  starting a process on Ray and its model"):
                    pool.set_up_first(job)
                with _timed(f"{len(tasks)} shards, one process on Ray that is ready") as there:
                    pool.run(tasks, job)
        print(f"  ratio of wall time {there[0] / ready.seconds:.2f}")


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


class Ready:
    """A job of this process whose time begins when it is set up."""

    def __init__(self, job: object) -> None:
        self._job, self.seconds = job, 0.0

    @contextmanager
    def job(self, progress: object):
        with self._job(progress) as found:
            begun = time.monotonic()
            yield found
            self.seconds = time.monotonic() - begun

    @contextmanager
    def timed(self, what: str):
        yield
        print(f"{what}: {self.seconds:.1f} s")


@contextmanager
def _timed(what: str):
    spent: list[float] = []
    begun = time.monotonic()
    yield spent
    spent.append(time.monotonic() - begun)
    print(f"{what}: {spent[0]:.1f} s", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
