"""Options of work that several jobs share: which part of the shards this one does. Knows numbers and one scheduler's
environment; nothing of shards.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from ncaudit.errors import UsageError
from ncaudit.options.shared.about import About, Options, Panel
from ncaudit.options.shared.effect import Unread
from ncaudit.options.shared.streams import is_folder

SLURM = "slurm"
WRITTEN = re.compile(r"(\d{1,9})/(\d{1,9})")
HOW = "give I/N, such as 0/64 for the first of 64 parts, or slurm inside an array job"
ARRAY = {name: f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "MIN", "COUNT", "STEP")}
Item = TypeVar("Item")


@dataclass(frozen=True)
class Slice:
    """Part `number`, from 0, of `count` parts."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, items: Sequence[Item]) -> list[Item]:
        """Every count-th of them.

        >>> Slice(1, 3).of("abcdefgh")
        ['b', 'e', 'h']
        """
        return list(items[self.number :: self.count])


def slice_of(text: str, environment: Mapping[str, str] = os.environ) -> Slice:
    """The part that a word means. Raises UsageError where it means none.

    >>> slice_of("3/64"), slice_of("slurm", {ARRAY["ID"]: "7", ARRAY["MIN"]: "5", ARRAY["COUNT"]: "4"})
    (Slice(number=3, count=64), Slice(number=2, count=4))
    """
    if text == SLURM:
        return _of_slurm(environment)
    if (found := WRITTEN.fullmatch(text)) is None:
        raise UsageError(f"--slice is {text}", fix=HOW)
    number, count = int(found[1]), int(found[2])
    if not count:
        raise UsageError(f"--slice is {text}: there are no parts", fix=HOW)
    if number >= count:
        raise UsageError(f"--slice is {text}: parts are counted from 0", fix=_from_0_on(count))
    return Slice(number, count)


def _from_0_on(count: int) -> str:
    return f"give 0/{count} to {count - 1}/{count}" if count > 1 else "give 0/1, which is all of them"


def _of_slurm(environment: Mapping[str, str]) -> Slice:
    told = {name: environment.get(variable, "1" if name == "STEP" else "") for name, variable in ARRAY.items()}
    if not all(value.isdecimal() for value in told.values()):
        missing = next(ARRAY[name] for name, value in told.items() if not value.isdecimal())
        fix = "submit it with sbatch --array=0-63, or give I/N"
        raise UsageError(f"--slice slurm, and {missing} is not set", fix=fix)
    first, count, step = int(told["MIN"]), int(told["COUNT"]), max(1, int(told["STEP"]))
    number, rest = divmod(int(told["ID"]) - first, step)
    if rest or not 0 <= number < count:
        what = f"--slice slurm, and task {told['ID']} is not one of {count} in a row from {first}"
        raise UsageError(what, fix="submit whole ranges: sbatch --array=0-63; a rerun of one task takes --slice I/N")
    return Slice(number, count)


@dataclass(frozen=True, kw_only=True)
class SliceOptions(Options):
    """Which part of the shards is done."""

    slice: Annotated[
        str | None,
        About(
            "Do one part of the shards alone: I/N takes every N-th of the same list, I from 0; slurm takes the task of "
            "an array job. All parts write to one folder; `ncaudit status` tells when it is whole.",
            Panel.speed, rare=True, metavar="I/N",
        ),
    ] = None  # fmt: skip

    @property
    def part(self) -> Slice | None:
        """The part that is meant; None for all."""
        return None if self.slice is None else slice_of(self.slice)

    def own(self, items: Sequence[Item]) -> list[Item]:
        """Those of the items that are this run's."""
        return list(items) if self.part is None else self.part.of(items)

    def told_of(self, own: int, every: int) -> list[str]:
        """What is told at the end of a part."""
        if self.part is None:
            return []
        return [f"part {self.part}: {own:,} of {every:,} shards, and what is told here is of these"]

    def unread_of_slices(self, out: str) -> Iterator[Unread]:
        """What is about one table per shard, where there is none."""
        if not is_folder(out):
            yield Unread(("slice",), f"writes a table per shard, and --out {out} is one for all", "give a folder")
