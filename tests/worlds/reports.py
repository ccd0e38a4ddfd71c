"""Small datasets with their score tables, and pages read as a browser reads them."""

from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ncaudit.schema import SCORE, SUGGESTION
from ncaudit.shards.files.provenance import attach, fingerprint_of_file
from tests.worlds.images import drawn

RATE = {"rate": 0.25, "low": 0.2, "high": 0.3}
MADE = {"verb": "score", "ncaudit": "0.1.0", "fit": "f1", "noise_rate": RATE, "label_means": "as ever"}
VOID = {"meta", "img", "br", "hr", "input", "link", "path", "use", "rect", "line", "image"}


def dataset(path: Path, captions: Sequence[str | None], *, images: Sequence[bytes | None] | None = None) -> Path:
    """A shard of pictures, each of another colour, with these captions."""
    pictures = [drawn(i, (48, 32), "JPEG") for i in range(len(captions))] if images is None else list(images)
    columns = {"caption": pa.array(captions, pa.string()), "jpg": pa.array(pictures, pa.binary())}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def scores(
    path: Path, rows: Sequence[Mapping[str, Any]], *, data: Path | None = None, name: str = "a.parquet", **said: Any
) -> Path:
    """A score table of these rows; what they leave out is null, but for names, places and status.

    data: the shard that they say they were made from. said: more of the provenance.
    """
    stem = Path(name).stem
    usual = [{"pair_id": f"{stem}/{i}", "shard": name, "row": i, "status": "ok"} for i in range(len(rows))]
    full = [{**one, **row} for one, row in zip(usual, rows, strict=True)]
    known = {field.name: field for field in [*SCORE, *SUGGESTION, pa.field("caption", pa.string())]}
    more = [
        pa.field(name, pa.infer_type([r.get(name) for r in full])) for row in full for name in row if name not in known
    ]
    fields = [*known.values(), *dict.fromkeys(more)]
    made: dict[str, Any] = {**MADE, **said}
    if data is not None:
        made["data"] = {"name": data.name, "fingerprint": fingerprint_of_file(str(data))}
    arrays = [pa.array([row.get(field.name) for row in full], field.type) for field in fields]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_arrays(arrays, schema=attach(pa.schema(fields), made)), path)
    return path


class Page(HTMLParser):
    """What a page holds: sections by their id, tags with their attributes, text of scripts."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.html = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}  # of each section
        self.images: dict[str, list[str]] = {}  # alt text of the pictures in each section
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.headings: list[int] = []
        self._open: list[str] = []
        self._section = ""
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """As it comes."""
        told = dict(attrs)
        self.tags.append((tag, told))
        if tag == "section":
            self._section = str(told.get("id"))
        if tag == "img":
            self.images.setdefault(self._section, []).append(str(told.get("alt")))
        if tag == "script":
            self.scripts.append((told, ""))
        if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """As it comes."""
        if tag in self._open:
            while self._open.pop() != tag:
                pass
        if tag == "section":
            self._section = ""

    def handle_data(self, data: str) -> None:
        """As it comes."""
        if self._open and self._open[-1] == "script":
            told, text = self.scripts[-1]
            self.scripts[-1] = (told, text + data)
        elif not self._open or self._open[-1] != "style":
            self.text[self._section] = self.text.get(self._section, "") + data

    @property
    def policy(self) -> str:
        """What the page may do."""
        return next(str(a["content"]) for tag, a in self.tags if a.get("http-equiv") == "Content-Security-Policy")
