"""What a command need not load: a quarter second of every start.

Knows pyarrow's habit; nothing of any command.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType


class _NoPandas(MetaPathFinder):
    """Where Python looks first for a module: pandas is not there."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("a command has no DataFrames", name=fullname)


def spare_pandas() -> None:
    """pyarrow loads pandas at its first array, to know a Series by sight; no command makes or asks for one.

    For the process of a command alone: pyarrow asks once, and gives no DataFrame afterwards. Where pandas is loaded
    already it stays, and whatever else wants it later still finds it.
    """
    if "pandas" in sys.modules:
        return
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        import pyarrow as pa

        pa.scalar(None)
    finally:
        sys.meta_path.remove(finder)
