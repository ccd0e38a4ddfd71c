"""How fast a tar shard is read as batches, against `tarfile` alone reading every file of it.

    python tests/benchmarks/tar_read.py                     # 1,000 samples of about 100 kB
    python tests/benchmarks/tar_read.py --samples 10000 --image-bytes 30000 --json

The tar is as img2dataset writes it (a jpg, a txt and a json per sample; random bytes in place of images, a pax header
before every file) and lies in the page cache. All run in turn in one process, several times, so that a busy machine
slows all; the figures are medians. "opening and reading" counts the look at the whole shard that types and the number
of rows need, as a first use of it does; "reading" is what every later use costs.
"""

import argparse
import io
import json
import os
import platform
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ncaudit.shards.readers.tars import tar


def main() -> None:
    """Makes the shard, times the readers in turn, prints MB per second and shares of tarfile's."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "00000.tar")
        write_shard(path, options.samples, options.image_bytes)
        megabytes = os.path.getsize(path) / 1e6
        Path(path).read_bytes()  # in the page cache: the disk is not what is measured
        readers: dict[str, Callable[[str], int]] = {
            "tarfile": with_tarfile, "opening and reading": opened, "reading": read,
        }  # fmt: skip
        seconds = {name: list[float]() for name in readers}
        for _ in range(options.repeat):
            for name, reader in readers.items():
                begun = time.perf_counter()
                found = reader(path)
                seconds[name].append(time.perf_counter() - begun)
                assert found == options.samples
    rates = {name: megabytes / statistics.median(each) for name, each in seconds.items()}
    shares = {name: rate / rates["tarfile"] for name, rate in rates.items()}
    report = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores", "mb": round(megabytes),
        "samples": options.samples, "mb_per_s": rates, "share_of_tarfile": shares,
    }  # fmt: skip
    print(json.dumps(report, indent=1) if options.json else table(report))


def with_tarfile(path: str) -> int:
    """Every file read, nothing made of it. Returns the number of images."""
    with tarfile.open(path, "r:") as archive:
        return sum(member.name.endswith(".jpg") for member in archive if archive.extractfile(member).read())  # type: ignore[union-attr]


def opened(path: str) -> int:
    """All columns, as the first to use the shard reads them."""
    tar._surveys._found.clear()
    return read(path)


def read(path: str) -> int:
    """All columns, of a shard that was opened before."""
    return sum(len(batch) for batch in tar.TarShard(path).batches(256))


def write_shard(path: str, samples: int, image_bytes: int) -> None:
    """A tar of made-up samples; sizes vary by half."""
    draw = np.random.default_rng(0)
    with tarfile.open(path, "w") as archive:
        for i in range(samples):
            key, caption = f"{i:09}", f"a caption of the photo with the number {i}"
            image = draw.bytes(int(image_bytes * draw.uniform(0.5, 1.5)))
            fields = {"caption": caption, "url": f"https://example.org/{i}.jpg", "key": key, "status": "success"}
            fields |= {"error_message": None, "width": 512, "height": 384, "exif": "{}", "sha256": "0" * 64}
            for suffix, content in (("jpg", image), ("txt", caption.encode()), ("json", json.dumps(fields).encode())):
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size, member.mtime = len(content), 1_700_000_000.5
                archive.addfile(member, io.BytesIO(content))


def table(report: Mapping[str, Any]) -> str:
    """One line per reader."""
    lines = [f"{report['samples']:,} samples, {report['mb']:,} MB ({report['machine']})"]
    for name, rate in report["mb_per_s"].items():
        lines.append(f"  {name:20} {rate:7,.0f} MB/s  {report['share_of_tarfile'][name]:6.0%}")
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_000)
    parser.add_argument("--image-bytes", type=int, default=100_000, help="mean size of an image")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
