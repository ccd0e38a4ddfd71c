"""Which model rows come from once heads stand behind it, and whether heads know a model's rows.

Knows the `model` of a table's provenance; nothing of tables or of how rows are computed.
"""

from collections.abc import Mapping
from typing import Any

from ncaudit.matchers.heads.projection import SavedHeads

DECISIVE = ("weight_hash", "activation", "preprocessing", "image_dims", "text_dims", "heads")  # for what rows mean
Model = Mapping[str, Any]


def model_behind(saved: SavedHeads, model: Model | None) -> dict[str, Any]:
    """The `model` of rows that came from this one (None: nobody knows which) after they went through the heads."""
    before = (model or {}).get("heads")
    through = f"{before}+{saved.weight_hash}" if before else saved.weight_hash
    return {**(model or {}), "image_dims": saved.heads.dims, "text_dims": saved.heads.dims, "heads": through}


def difference(saved: SavedHeads, model: Model | None) -> str:
    """In what this model differs from the one whose rows the heads were trained on; "" where either is unknown.

    Neither its name, which a copy changes, nor its precision: rows of another one have a cosine above .999.
    """
    known = saved.description.get("model")
    if not known or not model:
        return ""
    strange = (name for name in DECISIVE if known.get(name) != model.get(name))
    return ", ".join(f"{name} {known.get(name)!r} against {model.get(name)!r}" for name in strange)


def learnt_from_note(seen: int, of: int, what: str) -> str:
    """What must be said where pairs are judged by heads that were trained on them."""
    return (
        f"the heads were trained on {seen} of these {of} {what}: mismatches that they have memorised look like "
        "matches; use heads that were trained on other pairs"
    )
