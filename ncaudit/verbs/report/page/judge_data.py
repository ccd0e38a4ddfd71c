"""What the page's judge gets: pairs without any score, and the name under which a browser keeps their verdicts.

Knows drawn pairs and JSON inside of HTML; nothing of how they were drawn, of pictures' making or of what is shown.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

# What could end the element that JSON is in, or begin a comment there; JSON has another way to write each.
_OPENERS: Final = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}
KEY_DIGITS = 32


@dataclass(frozen=True, kw_only=True)
class JudgePair:
    """One pair to judge. image: a data address, None where there is no picture."""

    pair_id: str
    shard: str
    row: int
    stratum: int  # which range of the score it was drawn from: its verdict counts for the rows there
    caption: str
    image: str | None


@dataclass(frozen=True, kw_only=True)
class Judge:
    """The sample, in the order in which it is judged.

    strata: (H,) rows of each stratum. tables: what the pairs were drawn from, the fit and the files, in any words that
    differ from those of other tables. command: what to run with the verdicts. alone: the page is for nothing else.
    """

    pairs: Sequence[JudgePair]
    strata: Sequence[int]
    tables: str
    command: str
    alone: bool = False

    def words(self) -> dict[str, Any]:
        """What the template `judge.html` asks for."""
        data = {"key": self._key(), "strata": [int(rows) for rows in self.strata], "pairs": list(map(vars, self.pairs))}
        return {"pairs": len(self.pairs), "data": embedded(data), "command": self.command, "alone": self.alone}

    def _key(self) -> str:
        """Pages opened from disk share one store: another sample, or one of other tables, has another name."""
        told = [self.tables, list(self.strata), [(pair.pair_id, pair.stratum, pair.caption) for pair in self.pairs]]
        return f"ncaudit-judge-{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:KEY_DIGITS]}"


def embedded(value: Any) -> Markup:
    """A value as JSON for an element of type application/json, which no text in it can end.

    >>> embedded(["</script><!--", 1])
    Markup('["\\\\u003c/script\\\\u003e\\\\u003c!--", 1]')
    """
    return Markup(json.dumps(value, allow_nan=False).translate(_OPENERS))
