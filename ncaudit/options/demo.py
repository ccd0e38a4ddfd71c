"""Options of `demo`."""

from dataclasses import dataclass

from ncaudit.options.shared.checks import require_local


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """`ncaudit demo`: the main job on the sample that ships with ncaudit."""

    out: str = "ncaudit-demo"
    fast: bool = False  # audit the sample, and train nothing
    seed: int = 0
    device: str = "auto"
    workers: int | None = None
    overwrite: bool = False  # replace files of others that are in the way, too; never an input

    def __post_init__(self) -> None:
        require_local("--out", self.out)
