"""What stands in the page besides text: JSON for scripts, scripts with their hashes, captions made visible.

Knows HTML and hostile text; nothing of what either tells.
"""

import base64
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from markupsafe import Markup

HERE = Path(__file__).parent
# characters that move others about, or that nobody sees: shown as what they are
_HIDDEN = {
    *range(0x00, 0x09), *range(0x0B, 0x0D), *range(0x0E, 0x20), 0x7F, *range(0x80, 0xA0),
    0x061C, 0x180E, *range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070), 0xFEFF,
    *range(0xFFF9, 0xFFFC), *range(0xE0000, 0xE0080), *range(0xD800, 0xE000),
}  # fmt: skip
# what could end a script element, begin a comment in it, or end a line of a script; and all that nobody sees
_UNSAFE = {code: json.dumps(chr(code))[1:-1] for code in _HIDDEN} | {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&"}
_SHOWN = {code: f"⟨U+{code:04X}⟩" for code in _HIDDEN} | {0x200D: "\u200d", 0x200C: "\u200c"}  # emoji, Persian


def source(name: str) -> str:
    """A file of this folder, as text."""
    return (HERE / name).read_text(encoding="utf-8")


def json_for_script(value: Any) -> Markup:
    r"""JSON that may stand in a script element, whatever text is in it.

    >>> json_for_script(["</script>&"])
    Markup('["\\u003c/script\\u003e\\u0026"]')
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.translate(_UNSAFE))


def visible(text: str) -> str:
    r"""Text whose hidden characters are shown by their number: what turns a line around can turn nothing.

    >>> visible("safe\u202egpj.exe"), visible("nul\x00")
    ('safe⟨U+202E⟩gpj.exe', 'nul⟨U+0000⟩')
    """
    return text.translate(_SHOWN)


def script_hash(script: str) -> str:
    """What a content security policy calls an inline script: of the very characters between its tags."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def policy(scripts: Iterable[str]) -> str:
    """Nothing but pictures in the page itself, its own style, and these scripts."""
    allowed = " ".join(script_hash(script) for script in scripts) or "'none'"
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}; "
        "base-uri 'none'; form-action 'none'"
    )
