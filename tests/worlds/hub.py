"""A stand-in of the Hugging Face hub on this machine: what its client asks for, files of ours, and its failures."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from huggingface_hub import constants

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """Its repositories: `models` and `datasets`, each a folder by its name; and how it fails.

    refused: what a repository is answered with instead, such as (401, "RepoNotFound"); refused_files: the same where
    only its files are refused. cut: names of files of which only the first half is sent; gone: of those that are listed
    and not there. asked: every request so far.
    """

    models: dict[str, Path] = field(default_factory=dict)
    datasets: dict[str, Path] = field(default_factory=dict)
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)
    refused_files: dict[str, tuple[int, str]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    address: str = ""

    def environment(self, home: Path, **more: str) -> dict[str, str]:
        """What makes the hub's client ask here and nowhere else, with a cache of its own."""
        return {"HF_ENDPOINT": self.address, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1",
                "HF_HUB_DISABLE_TELEMETRY": "1", **more}  # fmt: skip


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The hub answers as long as this lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())

        def log_message(self, *_: Any) -> None:
            """Tests read `asked`."""

        def _answer(self, body: str = "") -> None:
            hub.asked.append(f"{self.command} {self.path}")
            path = unquote(urlsplit(self.path).path).strip("/")
            if path.startswith(("api/models/", "api/datasets/")):
                self._about(path.removeprefix("api/"), body)
            elif "/resolve/" in path:
                self._file(path)
            else:
                self._refuse(404, "EntryNotFound")

        def _repository(self, kind: str, name: str) -> Path | None:
            """Its folder; None when it was refused."""
            folder = (hub.models if kind == "models" else hub.datasets).get(name)
            if name in hub.refused or folder is None:
                self._refuse(*hub.refused.get(name, (404, "RepoNotFound")))
                return None
            return folder

        def _about(self, path: str, body: str) -> None:
            kind, owner, name, *rest = path.split("/")
            if (folder := self._repository(kind, f"{owner}/{name}")) is None:
                return
            if rest[:1] == ["tree"]:
                self._tell(_tree(folder, "/".join(rest[2:]), "recursive=true" in self.path.lower()))
            elif rest[:1] == ["paths-info"]:
                asked = json.loads(body)["paths"] if body.startswith("{") else parse_qs(body).get("paths", [])
                self._tell([entry for entry in _tree(folder, "", True) if entry["path"] in asked])
            else:
                files = [{"rfilename": e["path"]} for e in _tree(folder, "", True) if e["type"] == "file"]
                self._tell({"id": f"{owner}/{name}", "sha": COMMIT, "private": False, "tags": [], "siblings": files})

        def _file(self, path: str) -> None:
            whose, _, asked = path.partition("/resolve/")
            kind = "datasets" if whose.startswith("datasets/") else "models"
            if (folder := self._repository(kind, whose.removeprefix("datasets/"))) is None:
                return
            name = asked.partition("/")[2]
            if refused := hub.refused_files.get(whose.removeprefix("datasets/")):
                self._refuse(*refused)
            elif name in hub.gone or not (folder / name).is_file():
                self._refuse(404, "EntryNotFound")
            else:
                self._send((folder / name).read_bytes(), cut=name in hub.cut)

        def _send(self, data: bytes, *, cut: bool) -> None:
            first, last = self._range(len(data))
            self.send_response(206 if self.headers.get("Range") else 200)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("Accept-Ranges", "bytes")
            if self.headers.get("Range"):
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
            self.send_header("Content-Length", str(last - first + 1))
            self.end_headers()
            if self.command != "HEAD":
                part = data[first : last + 1]
                self.wfile.write(part[: len(part) // 2] if cut else part)
            self.close_connection = cut

        def _range(self, size: int) -> tuple[int, int]:
            first, _, last = (self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")
            return int(first), min(int(last or size - 1), size - 1)

        def _tell(self, what: Any) -> None:
            data = json.dumps(what).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()

    return Answers


def _tree(folder: Path, below: str, recursive: bool) -> list[dict[str, Any]]:
    found = sorted((folder / below).rglob("*") if recursive else (folder / below).glob("*"))
    return [
        {"type": "directory" if path.is_dir() else "file", "path": path.relative_to(folder).as_posix(), "oid": "0" * 40,
         "size": 0 if path.is_dir() else path.stat().st_size}
        for path in found
    ]  # fmt: skip


def asking(hub: Hub, patch: pytest.MonkeyPatch, cache: Path) -> None:
    """The hub's client in this process asks there, and keeps what it gets in `cache`."""
    patch.setattr(constants, "ENDPOINT", hub.address)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.address + "/{repo_id}/resolve/{revision}/{filename}")
    patch.setattr(constants, "HF_HUB_CACHE", str(cache))
