"""Webdataset tars as tools write them, for the tests of all that reads or writes them."""

import io
import json
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

Files = Sequence[tuple[str, bytes]]


def write_tar(path: Path, files: Files, *, mode: str = "w", **entry: object) -> Path:
    """A tar of these (name, content) files; `entry`: attributes of every header, e.g. `mtime=1.5`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for attribute, value in entry.items():
                setattr(member, attribute, value)
            tar.addfile(member, io.BytesIO(content))
    return path


def pair(key: str, image: bytes = b"image", text: str | None = None, /, **fields: object) -> list[tuple[str, bytes]]:
    """The files of one sample, in the order in which img2dataset writes them."""
    files = [(f"{key}.jpg", image)]
    files += [(f"{key}.txt", text.encode())] if text is not None else []
    return files + ([(f"{key}.json", json.dumps(fields).encode())] if fields else [])


def samples(parts: Iterable[Files]) -> list[tuple[str, bytes]]:
    """Samples one after the other."""
    return [file for part in parts for file in part]


def img2dataset(rows: int, first: int = 0, image_bytes: int = 40) -> list[tuple[str, bytes]]:
    """The samples of a tar as img2dataset fills it; images are no images."""
    return samples(
        pair(
            f"{i:09}", bytes([i % 256]) * image_bytes, f"é caption {i}", caption=f"é caption {i}", url=f"http://x/{i}",
            key=f"{i:09}", status="success", error_message=None, width=256, height=256, similarity=i / 8, exif="{}",
        )
        for i in range(first, first + rows)
    )  # fmt: skip


def contents(path: Path) -> list[tuple[str, bytes]]:
    """(name, content) of every regular file, as `tarfile` reads them."""
    with tarfile.open(path) as tar:
        return [(member.name, tar.extractfile(member).read()) for member in tar if member.isreg()]
