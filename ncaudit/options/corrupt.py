"""Options of `corrupt`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from ncaudit.options.shared import common
from ncaudit.options.shared.about import About, Panel
from ncaudit.options.shared.checks import choose, compatible, require_at_least, require_share, settle_places
from ncaudit.options.shared.effect import Unread, refuse_changed
from ncaudit.options.shared.inputs import DataOptions


class CorruptKind(StrEnum):
    """Which captions are swapped: any, those of the same image cluster, the nearest ones, or those of one photo; what
    changes within a caption: a word, or a phrase that is added; or which labels change: to any class, or each class to
    one other."""

    shuffle = "shuffle"
    topic = "topic"
    near = "near"
    paraphrase = "paraphrase"
    word = "word"
    half_truth = "half-truth"
    label_symmetric = "label-symmetric"
    label_asymmetric = "label-asymmetric"

    @property
    def of_labels(self) -> bool:
        """Whether it changes labels and leaves the captions as they are."""
        return self in (CorruptKind.label_symmetric, CorruptKind.label_asymmetric)

    @property
    def rewords(self) -> bool:
        """Whether it changes what captions say, and moves none."""
        return self in (CorruptKind.word, CorruptKind.half_truth)


@dataclass(frozen=True, kw_only=True)
class CorruptOptions(DataOptions):
    """`ncaudit corrupt`: known noise, with the truth beside it."""

    UNASKED = ("max_image_pixels", "caption_lines", "key")

    sources: Annotated[
        Sequence[str],
        About(
            "The dataset: parquet files, folders of them or globs. To change labels also embedding tables.",
            Panel.input, metavar="DATA", is_path=True, positional=True,
        ),
    ]  # fmt: skip
    out: Annotated[
        str,
        About("Folder for the corrupted dataset and its truth.", Panel.output, metavar="PATH", is_path=True),
    ]
    rate: Annotated[
        float,
        About(
            "Share of the pairs with a caption whose caption changes, 0 to 1; of the label kinds, of the pairs with a "
            "label whose label changes.",
            Panel.judged, metavar="SHARE",
        ),
    ]  # fmt: skip
    kind: Annotated[
        CorruptKind,
        About(
            "Which captions are swapped: any (shuffle), those of the same cluster of images (topic), one of the "
            "nearest (near), or, as a control that makes nothing wrong, those of the same photo (paraphrase). Or what "
            "captions say: one word is exchanged for another as frequent (word), or a phrase of a near caption is put "
            "behind (half-truth). Or which labels change: to any class (label-symmetric), or each class to one other "
            "(label-asymmetric).",
            Panel.judged, metavar="NAME",
        ),
    ] = CorruptKind.shuffle  # fmt: skip
    label_column: Annotated[
        str | None,
        About(
            "Column with the class, or a list of classes, of each pair: what the label kinds change.",
            Panel.classes, metavar="COLUMN",
        ),
    ] = None  # fmt: skip
    embeddings: Annotated[
        Sequence[str] | None,
        About(
            "Embedding tables of this dataset, with which the kinds topic, near, half-truth and label-asymmetric "
            "measure what is near. By default the words of the captions, and for labels the order of the classes.",
            Panel.input, metavar="PATH", is_path=True,
        ),
    ] = None  # fmt: skip
    clusters: Annotated[
        int, About("Clusters of similar images for the kind topic, 1 or more.", Panel.judged, metavar="COUNT")
    ] = 20
    nearest: Annotated[
        int,
        About(
            "How many of the nearest captions the kinds near and half-truth take one from, 1 or more.",
            Panel.judged, metavar="COUNT",
        ),
    ] = 10
    seed: common.Seed = 0
    threads: common.Threads = None
    overwrite: common.Overwrite = False

    def __post_init__(self) -> None:
        super().__post_init__()
        settle_places(self, "out")
        choose(self, kind=CorruptKind)
        require_share("--rate", self.rate, zero=True)
        require_at_least("--clusters", self.clusters, 1)
        require_at_least("--threads", self.threads, 1)
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
    "nearest": (CorruptKind.near, CorruptKind.half_truth),
    "embeddings": (CorruptKind.topic, CorruptKind.near, CorruptKind.half_truth, CorruptKind.label_asymmetric),
}
