"""The folder that the pages' blocks run in."""

import pytest

from tests.docs.world import make_world
from tests.shell import peekable


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Made once for each file of tests, never written to: pages get a copy (`in_a_copy`)."""
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing.make_input_stream", peekable)
        make_world(folder, patch)
        patch.chdir(folder.parent)
        yield folder
