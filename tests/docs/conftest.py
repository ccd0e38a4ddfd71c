"""The folder that the pages' blocks run in."""

import pytest

from tests.docs.world import make_world
from tests.shell import peekable


@pytest.fixture(scope="session")
def made_world(tmp_path_factory):
    """Made once, never written to: pages get a copy (`in_a_copy`)."""
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing.make_input_stream", peekable)
        make_world(folder, patch)
    return folder


@pytest.fixture(scope="module")
def world(made_world):
    """The same, for commands whose standard input is as a real process's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing.make_input_stream", peekable)
        patch.chdir(made_world.parent)
        yield made_world
