"""Writes webdataset tars again, every pair as often as a file of uids names it: `repeat_in_tars.py TARS UIDS OUT`.

TARS: a folder of tars in which each pair has a .json with its `uid`, as img2dataset writes those of DataComp.
UIDS: what `ncaudit filter --as datacomp-uids --repeat-by-weight COLUMN` wrote. OUT: a new folder.
First copies keep their key, others get one of their own: readers take neighbours of one key for one pair. All second
copies stand behind all first ones, so that few batches have two of a pair, which would count as each other's negatives.
"""

import json
import sys
import tarfile
from collections.abc import Iterator
from io import BytesIO
from itertools import groupby
from pathlib import Path

import numpy as np

Files = list[tuple[str, bytes]]  # what follows the key in each file's name, and what it holds


def main(tars: str, uids: str, out: str) -> None:
    """All tars of the folder, each under its own name."""
    times, whole = copies(uids), 0
    Path(out).mkdir(parents=True)
    for path in sorted(Path(tars).glob("*.tar")):
        written = rewrite(path, Path(out) / path.name, times)
        whole += written
        print(f"{path.name}: {written} pairs")
    print(f"{whole} of {sum(times.values())} copies are written to {out}")
    if whole < sum(times.values()):
        sys.exit("the others have a uid that no pair of these tars has")


def copies(path: str) -> dict[str, int]:
    """How often each uid, 32 hex digits, is in a file of uids."""
    found, counts = np.unique(np.load(path), return_counts=True)
    return {f"{high:016x}{low:016x}": int(count) for (high, low), count in zip(found.tolist(), counts, strict=True)}


def rewrite(path: Path, out: Path, times: dict[str, int]) -> int:
    """One tar; how many pairs it has then."""
    written, copy, more = 0, 0, True
    with tarfile.open(out, "w") as tar:
        while more:
            more = False
            for key, files in pairs_of(path):
                wanted = times.get(uid_of(files), 0)
                if copy < wanted:
                    add(tar, f"{key}-{copy}" if copy else key, files)
                    written += 1
                more |= copy + 1 < wanted
            copy += 1
    return written


def pairs_of(path: Path) -> Iterator[tuple[str, Files]]:
    """Key and files of each pair of a tar: neighbours in one folder, with the same name up to its first dot."""
    with tarfile.open(path) as tar:
        opened = ((parted(member.name), tar.extractfile(member)) for member in tar)
        files = ((key, suffix, file.read()) for (key, suffix), file in opened if file is not None)
        for key, group in groupby(files, key=lambda file: file[0]):
            yield key, [(suffix, data) for _, suffix, data in group]


def parted(name: str) -> tuple[str, str]:
    """Key and suffix of a file's name."""
    folder, slash, own = name.rpartition("/")
    key, _, suffix = own.partition(".")
    return f"{folder}{slash}{key}", suffix


def uid_of(files: Files) -> str:
    """What the pair's .json says."""
    return str(json.loads(dict(files).get("json", b"{}")).get("uid", ""))


def add(tar: tarfile.TarFile, key: str, files: Files) -> None:
    """One pair, under this key."""
    for suffix, data in files:
        member = tarfile.TarInfo(f"{key}.{suffix}")
        member.size = len(data)
        tar.addfile(member, BytesIO(data))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
