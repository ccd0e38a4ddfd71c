"""Options of `corrupt`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ncaudit.options.shared.checks import choose, compatible, require_at_least, require_local, require_share
from ncaudit.options.shared.effect import Unread, refuse_changed
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
        known = not self.kind.of_labels or self.label_column is not None
        compatible(known, f"--kind {self.kind} needs to know the labels", "name them with --label-column")
        refuse_changed(self)

    def unread(self) -> Iterator[Unread]:
        """What this kind of noise does not look at."""
        kind = f"--kind {self.kind}"
        if self.kind.of_labels:
            captions = ("clusters", "nearest", "caption_column", "image_column", "image_root")
            yield Unread(captions, f"is about captions, and {kind} leaves them alone")
        else:
            yield Unread(
                ("label_column",), f"is for label kinds, not for {kind}",
                "leave it out, or give --kind label-symmetric or label-asymmetric",
            )  # fmt: skip
        for name, kinds in READ_BY.items():
            if self.kind not in kinds:
                yield Unread((name,), f"is not needed by {kind}", f"leave it out, or give --kind {' or '.join(kinds)}")


READ_BY = {
    "clusters": (CorruptKind.topic,),
    "nearest": (CorruptKind.near,),
    "embeddings": (CorruptKind.topic, CorruptKind.near, CorruptKind.label_asymmetric),
}
