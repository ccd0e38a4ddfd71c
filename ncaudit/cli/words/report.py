"""What `report` tells at its end: where the page is, what is on it, and the rate. Knows its result only."""

from ncaudit.cli.layout.vocabulary import Told, Words, headline
from ncaudit.cli.shared.accounts import accounting, noted
from ncaudit.counts import counted
from ncaudit.verbs.report.report import ReportResult

MIB = 1 << 20


def lines(result: ReportResult) -> Words:
    """The summary for people."""
    return [
        *_rate(result),
        f"{result.out}: {_galleries(result)}{_pictures(result)}, {_size(result.page_bytes)}",
        *_judge(result),
        f"next: {_open(result.out)}",
        *noted(result.notes),
        *accounting(result.accounting),
    ]


def _open(page: str) -> str:
    return f"fetch {page}, and open it in a browser" if "://" in page else f"open {page} in a browser"


def _galleries(result: ReportResult) -> str:
    return f"{counted(result.pairs_shown, 'pair')} in galleries, " if result.galleries else ""


def _pictures(result: ReportResult) -> str:
    told = counted(result.pictures, "picture")
    return f"{told} ({result.pictures_failed:,} could not be shown)" if result.pictures_failed else told


def _size(number: int) -> str:
    return f"{number / MIB:.1f} MiB" if number >= MIB else f"{number / 1024:.0f} KiB"


def _rate(result: ReportResult) -> list[Told]:
    if result.noise_rate is None:
        return []
    what = "label noise rate" if result.of_labels else "noise rate"
    interval = f"90 % interval {result.noise_rate_low or 0:.1%} to {result.noise_rate_high or 0:.1%}"
    told = interval if result.noise_rate_told else "a usual one: these embeddings cannot tell it"
    return [headline(f"{what} {result.noise_rate:.1%}", f" ({told})")]


def _judge(result: ReportResult) -> list[str]:
    return [f"{counted(result.judge_pairs, 'pair')} to judge on the page"] if result.judge_pairs else []
