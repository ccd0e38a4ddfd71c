"""What `demo` tells at its end: what each training was worth. Knows its result; nothing of the verbs that it runs."""

from ncaudit.cli.layout.vocabulary import Column, Kind, Table, Words, prose
from ncaudit.verbs.demo import DemoResult, Recalls

MATCHERS = {
    "start": "the weak model that scored the pairs",
    "plain": "fine-tuned on all pairs alike",
    "soft": "fine-tuned on pairs weighted by soft label",
    "oracle": "fine-tuned on the pairs known to match",
}
NUMBERS = ("image to text R@1", "text to image R@1", "image to text R@10", "text to image R@10")
HEADER = [Column("matcher", Kind.words), *map(Column, NUMBERS)]


def lines(result: DemoResult) -> Words:
    """The recalls, how well mismatches are found, and where everything is."""
    found = ", ".join(f"{name} {part.auroc:.3f}" for name, part in result.detection.items())
    return [
        *_trained(result),
        f"AUROC of finding the mismatched pairs: {found}",
        f"{result.seconds:.0f} s; everything is in {result.out}",
        prose(f"next: open {result.report} in a browser"),
    ]


def _trained(result: DemoResult) -> Words:
    rows = [[MATCHERS[name], *_cells(recalls)] for name, recalls in result.retrieval.items()]
    return [Table("Recall on 1,000 clean held-out pairs, in %", HEADER, rows), ""] if rows else []


def _cells(recalls: Recalls) -> list[str]:
    return [f"{value:.1f}" for value in (recalls.i2t_r1, recalls.t2i_r1, recalls.i2t_r10, recalls.t2i_r10)]
