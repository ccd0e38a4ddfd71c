"""A model that is loaded once for the commands of a whole module."""

import pytest

from ncaudit.encoders.open_clip import load_encoder
from ncaudit.options import ModelOptions, Precision
from ncaudit.verbs.embed import model_here
from tests.commands import SAMPLE


@pytest.fixture(scope="module")
def tiny_model():
    """Every embedding of the module's commands in this process is by the same encoder."""
    encoder = load_encoder(ModelOptions(model=str(SAMPLE / "tiny-clip"), device="cpu", precision=Precision.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_here, "load_encoder", lambda options: encoder)
        yield
