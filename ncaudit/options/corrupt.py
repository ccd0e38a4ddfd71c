"""Options of `corrupt`."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ncaudit.options.shared.checks import choose, compatible, require_at_least, require_local, require_share
from ncaudit.options.shared.inputs import DataOptions


class CorruptKind(StrEnum):
    """Which captions are swapped: any, those of the same image cluster, or the nearest ones; or which labels change:
    to any class, or each class to one other."""

    shuffle = "shuffle"
    topic = "topic"
    near = "near"
    label_symmetric = "label-symmetric"
    label_asymmetric = "label-asymmetric"

    @property
    def of_labels(self) -> bool:
        """Whether it changes labels and leaves the captions as they are."""
        return self in (CorruptKind.label_symmetric, CorruptKind.label_asymmetric)


@dataclass(frozen=True, kw_only=True)
class CorruptOptions(DataOptions):
    """`ncaudit corrupt`: known noise, with the truth beside it."""

    sources: Sequence[str]
    out: str
    rate: float
    kind: CorruptKind = CorruptKind.shuffle
    label_column: str | None = None  # what the label kinds change
    embeddings: Sequence[str] | None = None  # what nearness is measured with; None: TF-IDF of captions
    clusters: int = 20
    nearest: int = 10
    seed: int = 0
    overwrite: bool = False  # replace files of others that are in the way, too; never an input

    def __post_init__(self) -> None:
        super().__post_init__()
        require_local("--out", self.out)
        choose(self, kind=CorruptKind)
        require_share("--rate", self.rate, zero=True)
        require_at_least("--clusters", self.clusters, 1)
        require_at_least("--nearest", self.nearest, 1)
        if self.kind.of_labels:
            _check_label_kind(self)
        else:
            compatible(
                self.label_column is None, f"--label-column is for label kinds, not for --kind {self.kind}",
                "leave it out, or give --kind label-symmetric or label-asymmetric",
            )  # fmt: skip


def _check_label_kind(options: CorruptOptions) -> None:
    kind = f"--kind {options.kind}"
    compatible(options.label_column is not None, f"{kind} needs to know the labels", "name them with --label-column")
    for name in ("clusters", "nearest", "caption_column", "image_column", "image_root"):
        flag = f"--{name.replace('_', '-')}"
        same = getattr(options, name) == getattr(CorruptOptions, name)
        compatible(same, f"{flag} is about captions, and {kind} leaves them alone", "leave it out")
    compatible(
        options.kind is CorruptKind.label_asymmetric or not options.embeddings, f"{kind} needs no --embeddings",
        "leave it out, or give --kind label-asymmetric",
    )  # fmt: skip
