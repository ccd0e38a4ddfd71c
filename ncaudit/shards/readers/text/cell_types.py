"""Which type a column of text cells is: a number or a truth value only where no cell loses anything by it.

Knows how values are spelled; nothing of files.
"""

import pyarrow as pa
import pyarrow.compute as pc

INTEGER = r"^(0|-?[1-9][0-9]{0,18})$"
UNSIGNED = r"^(0|[1-9][0-9]{0,19})$"
# At most 15 digits before the point: more would be rounded, and are rather names than numbers.
SHORTEST = r"^-?(0|[1-9][0-9]{0,14})(\.(0|[0-9]*[1-9]))?([eE][-+]?[0-9]{1,3})?$|^(nan|NaN|-?inf)$"
FIXED = r"^-?(0|[1-9][0-9]{0,14})\.[0-9]+$"
TRUE, FALSE = ["true", "True", "TRUE"], ["false", "False", "FALSE"]


class CellType:
    """What all cells shown to it can be. The result does not depend on their order, nor on how they are cut."""

    def __init__(self) -> None:
        self._kinds = {"bool", "integer", "unsigned", "shortest", "fixed"}
        self._decimals: int | None = None
        self._seen = False

    def see(self, cells: pa.Array) -> None:
        """Take some more cells into account: text, null where there is none."""
        present = cells.drop_null()
        if not len(present):
            return
        self._seen = True
        self._kinds = {kind for kind in self._kinds if self._fits(kind, present)}

    @property
    def type(self) -> pa.DataType:
        """Truth values, whole numbers and numbers that are written as programs write them; everything else is text.

        "007" is text, as are "1.10" beside "1.9" (a version, not a number) and numbers too long to be held exactly.
        Numbers with the same count of decimals everywhere are floats, trailing zeros or not. Whole numbers that 64
        bits hold only without a sign (hashes) are unsigned.
        """
        if not self._seen or not self._kinds:
            return pa.string()
        if "bool" in self._kinds:
            return pa.bool_()
        if "integer" in self._kinds:
            return pa.int64()
        return pa.uint64() if "unsigned" in self._kinds else pa.float64()

    def _fits(self, kind: str, cells: pa.Array) -> bool:
        if kind == "bool":
            return bool(pc.all(pc.is_in(cells, pa.array([*TRUE, *FALSE]))).as_py())
        if kind == "fixed":
            return _all_match(cells, FIXED) and self._one_length(cells)
        if kind == "shortest":
            return _all_match(cells, SHORTEST)
        form, whole = (INTEGER, pa.int64()) if kind == "integer" else (UNSIGNED, pa.uint64())
        return _all_match(cells, form) and _in_64_bits(cells, whole)

    def _one_length(self, cells: pa.Array) -> bool:
        lengths = pc.subtract(pc.utf8_length(cells), pc.find_substring(cells, "."))
        low, high = pc.min_max(lengths).as_py().values()
        self._decimals = low if self._decimals is None else self._decimals
        return bool(low == high == self._decimals)


def _all_match(cells: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(cells, pattern)).as_py())


def _in_64_bits(cells: pa.Array, whole: pa.DataType) -> bool:
    try:
        cells.cast(whole)
    except pa.ArrowInvalid:
        return False
    return True
