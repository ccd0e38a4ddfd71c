"""Models on the hub: what is fetched of one, into the hub's own cache, and in which words that fails.

Knows the hub's client and open_clip's file names; nothing of how a model is built.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants, errors, hf_hub_download, snapshot_download
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from open_clip.constants import HF_CONFIG_NAME

from ncaudit.errors import ModelUnavailable

# in the order in which open_clip looks for them
HUB_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")
LOG_IN = "for a private or gated one log in with `hf auth login`, or set HF_TOKEN"
LOCALLY = "fetch it where there is a network, and give --model local-dir:PATH"
AGAIN = "run it again; or fetch it yourself, and give --model local-dir:PATH"


def hub_folder(repo: str) -> str:
    """The folder in the hub's cache with the configuration of this model and its own byte-pair merges, if it has any.

    Weights come later: who can see from the configuration that they are of no use need not wait for them. Without a
    network it is what was fetched last.
    """
    with _no_bars():
        folder = snapshot_download(repo, allow_patterns=[HF_CONFIG_NAME, "*.txt.gz"])
    if not os.path.isfile(os.path.join(folder, HF_CONFIG_NAME)):
        raise ModelUnavailable(
            f"hf-hub:{repo} is no model of open_clip: it has no {HF_CONFIG_NAME}",
            fix="name a repository that has one, or a folder with --model local-dir:PATH",
        )
    return folder


def fetch_weights(repo: str, folder: str) -> None:
    """Fetches the weights beside what `hub_folder` fetched. Raises ModelUnavailable when there are none."""
    for name in HUB_WEIGHTS:
        if os.path.isfile(os.path.join(folder, name)):
            return
    for name in HUB_WEIGHTS:
        try:
            hf_hub_download(repo, name, revision=os.path.basename(folder))
            return
        except errors.LocalEntryNotFoundError:
            raise  # the hub does not answer, and the cache has been looked at
        except errors.EntryNotFoundError:
            continue
    raise ModelUnavailable(
        f"hf-hub:{repo} holds no weights ({', '.join(HUB_WEIGHTS)})",
        fix="fetch the file yourself, and give --model local-dir:PATH with the configuration beside it",
    )


def tower_file(repo: str, name: str) -> str:
    """Where the hub's cache has this file of a text tower's repository."""
    return hf_hub_download(repo, name)


def why(error: BaseException) -> tuple[str, str] | None:
    """What the hub's client met behind this error, and what to do about it; None where it is known no better."""
    for cause in _causes(error):
        if isinstance(cause, errors.GatedRepoError):
            return "it is gated, and you have no access to it", f"ask for access on its page; {LOG_IN}"
        if isinstance(cause, errors.RepositoryNotFoundError):
            return "the hub has no such repository, or none that you may see", f"check the name; {LOG_IN}"
        if isinstance(cause, errors.HFValidationError):
            return "no repository can be called that", "give hf-hub:OWNER/NAME"
        if isinstance(cause, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
            silent = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "the hub does not answer"
            return f"{silent}, and the cache has not all of it", LOCALLY
    return None


@contextmanager
def _no_bars() -> Iterator[None]:
    """For small files: the bar of the weights tells how long it takes."""
    were = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not were:
            enable_progress_bars()


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
