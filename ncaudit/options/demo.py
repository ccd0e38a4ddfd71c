"""Options of `demo`."""

from dataclasses import dataclass
from typing import Annotated

from ncaudit.options.shared import common
from ncaudit.options.shared.about import About, Options, Panel
from ncaudit.options.shared.checks import require_at_least, settle_places


@dataclass(frozen=True, kw_only=True)
class DemoOptions(Options):
    """`ncaudit demo`: the main job on the sample that ships with ncaudit."""

    out: Annotated[str, About("Folder for everything the demo makes.", Panel.output, metavar="PATH", is_path=True)] = (
        "ncaudit-demo"
    )
    fast: Annotated[
        bool, About("Audit the sample and leave out the trainings: done in half a minute.", Panel.speed)
    ] = False
    seed: common.Seed = 0
    device: common.Device = "auto"
    workers: common.Workers = None
    threads: common.Threads = None
    overwrite: common.Overwrite = False

    def __post_init__(self) -> None:
        settle_places(self, "out")
        require_at_least("--threads", self.threads, 1)
