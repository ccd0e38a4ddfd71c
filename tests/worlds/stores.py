"""An S3 server on this machine, and a proxy before it that fails as networks do: real requests, real processes.

Tests that ask for one are skipped where moto or s3fs is missing.
"""

import http.client
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

BUCKET = "pairs"
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "s3cr3t-never-told", "AWS_REGION": "us-east-1"}
ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"


@dataclass(frozen=True)
class Answer:
    """What the proxy says in place of the store."""

    status: int
    code: str
    message: str = "so it is"


CUT = Answer(0, "the connection is closed in the middle of the request")
Fault = Callable[[str, str], Answer | None]  # by method and path: what happens to a request


@dataclass
class Proxy:
    """Stands before the store. fault: asked of every request; None lets it through."""

    target: tuple[str, int]
    fault: Fault = lambda method, path: None
    seen: list[str] = field(default_factory=list)  # "PUT /pairs/a" in their order
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def handler_of(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words: object) -> None:
            pass

        def any(self) -> None:
            proxy.seen.append(f"{self.command} {self.path}")
            answer = proxy.fault(self.command, self.path)
            size = int(self.headers.get("Content-Length") or 0)
            if answer is CUT:
                self.rfile.read(size // 2)
                self.close_connection = True
                with suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)
                return
            body = self.rfile.read(size)
            if answer is not None:
                told = ERROR.format(code=answer.code, message=answer.message).encode()
                self.give(answer.status, {"Content-Type": "application/xml"}, b"" if self.command == "HEAD" else told)
                return
            behind = http.client.HTTPConnection(*proxy.target, timeout=60)
            behind.request(self.command, self.path, body, dict(self.headers.items()))
            got = behind.getresponse()
            data = got.read()
            given = {k: v for k, v in got.getheaders() if k.lower() not in ("transfer-encoding", "connection")}
            self.give(got.status, given, data)

        def give(self, status: int, headers: dict[str, str], body: bytes) -> None:
            with suppress(OSError):
                self.send_response_only(status)
                for name, value in headers.items():
                    if self.command == "HEAD" or name.lower() != "content-length":
                        self.send_header(name, value)
                if self.command != "HEAD":
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = any

    return Handler


@contextmanager
def proxied(url: str) -> Iterator[Proxy]:
    """A proxy before the store at `url`."""
    host, _, port = url.removeprefix("http://").partition(":")
    proxy = Proxy((host, int(port)))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(proxy))
    server.daemon_threads = True
    proxy.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Store:
    """A server with one empty bucket. url: of the server itself, whatever stands before it."""

    url: str

    def client(self) -> object:
        """One for all of its requests: making one takes a hundred times as long as a request."""
        return self._client

    @cached_property
    def _client(self) -> object:
        import boto3

        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", **keys)

    def environment(self, url: str | None = None) -> dict[str, str]:
        """What a process needs to reach it. url: of a proxy."""
        return {**os.environ, **KEYS, "AWS_ENDPOINT_URL": url or self.url}

    def objects(self, folder: str = "") -> dict[str, bytes]:
        """All that can be seen below a folder of the bucket, by names below it; without manifests."""
        client, found = self.client(), {}
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=folder)  # type: ignore[attr-defined]
        for key in (each["Key"] for page in pages for each in page.get("Contents", ())):
            if "_manifest/" not in key:
                body = client.get_object(Bucket=BUCKET, Key=key)["Body"]  # type: ignore[attr-defined]
                found[key.removeprefix(folder).lstrip("/")] = body.read()
        return found

    def uploads(self) -> list[str]:
        """The keys of uploads in parts that nobody has completed or aborted."""
        found = self.client().list_multipart_uploads(Bucket=BUCKET)  # type: ignore[attr-defined]
        return [each["Key"] for each in found.get("Uploads", ())]


@contextmanager
def served() -> Iterator[Store]:
    """A store, for as long as the block takes."""
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    server = pytest.importorskip("moto.server", reason="moto[server] is not installed").ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    store = Store(f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}")
    try:
        yield store
    finally:
        server.stop()


def fresh_bucket(store: Store) -> None:
    """The bucket, empty."""
    import urllib.request

    urllib.request.urlopen(urllib.request.Request(f"{store.url}/moto-api/reset", method="POST")).read()
    store.client().create_bucket(Bucket=BUCKET)  # type: ignore[attr-defined]


def forget_stores() -> None:
    """File systems of earlier tests had other servers; listings and clients of theirs must not answer."""
    from ncaudit.shards.places import listings

    listings.forget()
    with suppress(ImportError):
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def in_memory(folder: str) -> dict[str, bytes]:
    """All that lies below a folder of memory://, by names below it; without manifests."""
    import fsspec

    files = fsspec.filesystem("memory")
    start = f"/{folder.strip('/')}/"
    paths = files.find(start) if files.exists(start) else []
    return {path.removeprefix(start): files.cat_file(path) for path in paths if "_manifest/" not in path}
