"""What tests of all folders ask for by name: embedding tables on the disk, the smallest model loaded once."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer.testing

from ncaudit.encoders.open_clip import load_encoder
from ncaudit.options import ModelOptions, Precision
from ncaudit.verbs.embed import model_here
from tests.worlds import processes
from tests.worlds.embeddings import embedding_table
from tests.worlds.process_state import put_back
from tests.worlds.sample import TINY

Write = Callable[..., Path]
# The tree of all commands and their flags, which a process makes once: 25 ms for each command that tests run in theirs
if hasattr(typer.testing, "_get_command"):  # not Typer's to promise
    typer.testing._get_command = cache(typer.testing._get_command)


@pytest.fixture(autouse=True)
def process_as_it_was() -> Iterator[None]:
    """Whatever a test, or a command that it runs in this process, leaves in the process is gone with it."""
    with put_back():
        yield


@pytest.fixture
def write_embeddings(tmp_path: Path) -> Write:
    """Writes one shard of embeddings: `write("A/00000", n=200, …)` gives the folder that all its shards are in."""

    def write(stem: str = "00000", n: int = 200, *, folder: str = "embeddings", **world: float) -> Path:
        path = tmp_path / folder / f"{stem}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(embedding_table(n, **world), path)
        return tmp_path / folder

    return write


@pytest.fixture(scope="module")
def tiny_model():
    """Every embedding of the module's commands in this process is by the same encoder."""
    encoder = load_encoder(ModelOptions(model=TINY, device="cpu", precision=Precision.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_here, "load_encoder", lambda options: encoder)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Processes that share the tests must give them the same names; an object has another address in each.

    Files whose tests take long come first: at the end those are left that take moments, and no core waits for another.
    """
    changing = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if changing:
        raise pytest.UsageError(f"the name of a test holds an address, name its cases with ids=: {changing[0]}")
    processes.before_any_test()
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)
