"""The state file: a line for each cell that was measured, so that a run that was ended goes on there.

Knows lines; nothing of how a cell is measured.
"""

import fcntl
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from learnt.cells import Draw, Sizes
from learnt.recalls import Recalls


@dataclass(frozen=True)
class Line:
    """One cell. last, chosen: recalls of every test photo after the last epoch, and after the one that validated best.

    why: it was left out, or failed; then there are no recalls.
    """

    draw: Draw
    method: str
    sizes: dict[str, Any]
    code: str  # the commit that measured it
    machine: dict[str, Any]
    seconds: float = 0.0
    cpu_s: float = 0.0  # says more where others use the machine; the draw's tables are in it that was first in need
    epoch: int = 0  # that validated best
    last: dict[str, str] = field(default_factory=dict)
    chosen: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    why: str = ""

    def recalls(self, epoch: str) -> Recalls:
        """epoch: last or chosen."""
        return Recalls.unpacked(getattr(self, epoch) or self.last)


class State:
    """What the file knows. Several processes may add to it."""

    def __init__(self, path: Path, sizes: Sizes) -> None:
        self.path, self._sizes = path, sizes

    def lines(self) -> dict[tuple[Draw, str], Line]:
        """The last line of each cell of these sizes that was measured; one that was cut short is none."""
        found: dict[tuple[Draw, str], Line] = {}
        for text in self.path.read_text().splitlines() if self.path.exists() else []:
            try:
                told = json.loads(text)
                line = Line(**{**told, "draw": Draw(**told["draw"])})
            except (ValueError, TypeError, KeyError):
                continue
            if line.sizes == self._sizes.of(line.draw.world):
                found[line.draw, line.method] = line
        return found

    def add(self, line: Line) -> None:
        """One more, whole even where others write at the same time."""
        with self.path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            cut = (before := file.read()) and not before.endswith("\n")  # a run was ended as it wrote
            file.write("\n" * bool(cut) + json.dumps(asdict(line)) + "\n")
