"""Heads in a folder, as training leaves them, for the tests of all that reads them."""

from collections.abc import Mapping
from typing import Any

from ncaudit.matchers.heads.projection import AnyHeads, save_head_description, save_head_weights


def save_heads(heads: AnyHeads, folder: str, description: Mapping[str, Any]) -> None:
    """Both files. description: plain JSON, as `SavedHeads` gives it back."""
    save_head_description(heads, folder, description)
    save_head_weights(heads.state_dict(), folder)
