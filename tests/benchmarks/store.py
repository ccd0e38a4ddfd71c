"""What a store costs: ncaudit's own processor time when it writes there, and how long many small shards take to resume.

    python tests/benchmarks/store.py                        # 10,000 shards of 100 rows
    python tests/benchmarks/store.py --shards 1000 --json

A server that speaks S3 runs in a process of its own on this machine, so that its processor time is told apart: of a
real store none of it is this machine's. First `filter --data` and `embed` write to a folder and to the store, in turn;
CPU is this process's, user and system. Then a finished run of `embed` with many shards is planned (--dry-run) and run,
its outputs in a folder and in the store: those are copies of one shard's rows, each with its own shard's provenance.
"""

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filter import write_dataset, write_scores  # beside this file

from ncaudit.options import EmbedOptions, FilterOptions
from ncaudit.schema import METADATA_KEY
from ncaudit.shards.files.provenance import attach, fingerprint, fingerprint_of_file
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.places import listings, manifest
from ncaudit.verbs.embed.embed import embed
from ncaudit.verbs.filter.filter import filter_pairs
from ncaudit.verbs.plan import plan

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "sample_data"
TINY = f"local-dir:{SAMPLE / 'tiny-clip'}"
BUCKET = "benchmark"
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1"}


@dataclass(frozen=True)
class Took:
    """One run. cpu_s: of this process. server_cpu_s: of the store's."""

    what: str
    wall_s: float
    cpu_s: float
    server_cpu_s: float
    peak_mib: float


class Server:
    """The store, in a process of its own."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.environ.update(KEYS, AWS_ENDPOINT_URL=f"http://127.0.0.1:{self.port}")
        while True:
            try:
                self.client().create_bucket(Bucket=BUCKET)
                return
            except Exception:  # it is starting
                time.sleep(0.5)

    def client(self) -> Any:
        import boto3

        return boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name="us-east-1")

    def cpu(self) -> float:
        """Seconds that it has computed so far."""
        with open(f"/proc/{self._process.pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def timed(what: str, server: Server, run: Callable[[], Any]) -> Took:
    listings.forget()
    wall, cpu, behind = time.monotonic(), own_cpu(), server.cpu()
    run()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Took(what, time.monotonic() - wall, own_cpu() - cpu, server.cpu() - behind, peak)


def writing(folder: Path, server: Server, rounds: int, mb: int) -> list[Took]:
    """filter and embed, to a folder and to the store in turn; of each the quickest of the rounds."""
    places = {"local": str(folder / "here"), "store": f"s3://{BUCKET}/there"}
    data, scored, sample = folder / "s.parquet", folder / "scores/s.parquet", [str(SAMPLE / "train.parquet")]
    scored.parent.mkdir()
    write_scores(scored, write_dataset(data, mb, 30_000, 1_000), data)
    chosen: dict[str, Any] = {"scores": [str(scored)], "data": [str(data)], "keep_share": 0.8}
    runs: dict[str, Callable[[str], Any]] = {
        "filter": lambda to: filter_pairs(FilterOptions(out=to, **chosen)),
        "embed": lambda to: embed(EmbedOptions(sources=sample, out=to, model=TINY, workers=0, device="cpu")),
    }
    best: dict[str, Took] = {}
    for number, what, place in product(range(-1, rounds), runs, places):  # the first round warms up
        to = f"{places[place]}/{what}-{number}"
        took = timed(f"{what}, {place}", server, partial(runs[what], to))
        if number >= 0 and (took.what not in best or took.cpu_s < best[took.what].cpu_s):
            best[took.what] = took
    return list(best.values())


def many_inputs(folder: Path, shards: int, rows: int) -> None:
    """Shards of the same small pictures."""
    folder.mkdir()
    table = pq.read_table(SAMPLE / "train.parquet", columns=["jpg", "caption"]).slice(0, 1)
    table = pa.concat_tables([table] * rows)
    pq.write_table(table, folder / "00000.parquet")
    content = (folder / "00000.parquet").read_bytes()
    for number in range(1, shards):
        (folder / f"{number:05}.parquet").write_bytes(content)


def finished(folder: Path, shards: int, out: Path) -> None:
    """What `embed` would leave of them all: its first table, again and again, as made of each shard."""
    one = folder / "one"
    one.mkdir()
    os.link(folder / "data/00000.parquet", one / "00000.parquet")
    embed(EmbedOptions(sources=[str(one)], out=str(out), model=TINY, workers=0, device="cpu"))
    table = pq.read_table(out / "00000.parquet")
    said = json.loads(table.schema.metadata[METADATA_KEY])
    for number in range(1, shards):
        name = f"{number:05}.parquet"
        source = {"name": name, "fingerprint": fingerprint(Shard(str(folder / "data" / name), name))}
        pq.write_table(table.cast(attach(table.schema, {**said, "source": source})), out / name)


def sent(folder: Path, server: Server) -> None:
    """A finished folder and its manifest, as ncaudit would have left them in the store."""
    client, names = server.client(), sorted(path.name for path in folder.iterdir())
    with ThreadPoolExecutor(4) as pool:
        put = lambda name: client.put_object(Bucket=BUCKET, Key=f"many/{name}", Body=(folder / name).read_bytes())  # noqa: E731
        list(pool.map(put, names))
    there, lines = listings.look(f"s3://{BUCKET}/many").entries, []
    for name in (name for name in names if name.endswith(".parquet")):
        said = json.loads(pq.read_schema(folder / name).metadata[METADATA_KEY])
        statuses = {"ok": pq.read_metadata(folder / name).num_rows}
        entry = there[f"s3://{BUCKET}/many/{name}"]
        told = {"said": said, "fingerprint": fingerprint_of_file(str(folder / name)), "told": {"statuses": statuses}}
        lines.append({"name": name, "size": entry.size, "version": entry.version, **told})
    for first in range(0, len(lines), manifest.PIECE_FILES):
        part = f"s3://{BUCKET}/many/{manifest.FOLDER}/all.{first:06}.jsonl.gz"
        manifest._put(part, lines[first : first + manifest.PIECE_FILES])
    listings.forget()


def resuming(folder: Path, server: Server, shards: int, rows: int) -> list[Took]:
    """A finished run of many small shards: planned, and run again."""
    many_inputs(folder / "data", shards, rows)
    finished(folder, shards, folder / "many")
    sent(folder / "many", server)
    found = []
    for place, out in (("local", str(folder / "many")), ("store", f"s3://{BUCKET}/many")):
        options = EmbedOptions(sources=[str(folder / "data")], out=out, model=TINY, workers=0, device="cpu")
        found.append(timed(f"plan {shards:,} finished shards, {place}", server, partial(plan, options)))
        found.append(timed(f"resume {shards:,} finished shards, {place}", server, partial(resume, options, shards)))
    return found


def resume(options: EmbedOptions, shards: int) -> None:
    """Nothing may be left to do."""
    assert embed(options).accounting.shards_resumed == shards


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mb", type=int, default=300, help="size of the dataset that is filtered")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    server = Server()
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = writing(Path(folder), server, asked.rounds, asked.mb)
            found += resuming(Path(folder), server, asked.shards, asked.rows)
    finally:
        server.close()
    if asked.json:
        print(json.dumps([asdict(one) for one in found], indent=1))
        return
    print(f"{'':42}{'wall s':>8}{'own CPU s':>11}{'store CPU s':>13}{'peak MiB':>10}")
    for one in found:
        print(f"{one.what:42}{one.wall_s:8.2f}{one.cpu_s:11.2f}{one.server_cpu_s:13.2f}{one.peak_mib:10.0f}")


if __name__ == "__main__":
    main()
