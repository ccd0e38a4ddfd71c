"""A result as one JSON object, for `--json`. Knows dataclasses and accounts; nothing of what they mean."""

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from ncaudit.cli.shared.user_text import visible_json


def json_object(value: Any) -> str:
    """One line, without NaN, and harmless to a terminal."""
    return visible_json(json.dumps(plain(value), ensure_ascii=False, allow_nan=False))


def plain(value: Any) -> Any:
    """A result as JSON knows it: dataclasses as objects, enums by value, NaN and infinities as null."""
    from ncaudit.engines.local import Accounting  # --help must not pay for arrow

    if isinstance(value, Accounting):
        return {**_object(value), "rows": value.rows, "ok": value.ok, "failed": value.failed}
    if is_dataclass(value) and not isinstance(value, type):
        return _object(value)
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _object(value: Any) -> dict[str, Any]:
    return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
