"""What `sample` tells at its end: how many pairs were drawn, and what to do with them. Knows its result only."""

import shlex

from ncaudit.cli.layout.vocabulary import Command, Words
from ncaudit.cli.shared.accounts import accounting, noted
from ncaudit.counts import counted
from ncaudit.options import STREAM
from ncaudit.shards.people.verdicts import IS_MATCH
from ncaudit.verbs.sample import SampleResult


def lines(result: SampleResult) -> Words:
    """The summary for people, with what to do next."""
    name = "review.csv" if result.out == STREAM else result.out
    return [
        f"{result.drawn:,} of {counted(result.rows, 'pair')} drawn, from {_strata(result)}: {result.out}",
        f"next: fill in {IS_MATCH} (yes, no or cannot tell; empty: not judged), then run",
        Command(f"ncaudit score … --verdicts {shlex.quote(name)}", lead="  "),
        *noted(result.notes),
        *accounting(result.accounting),
    ]


def _strata(result: SampleResult) -> str:
    each = sorted({stratum.drawn for stratum in result.strata})
    spread = f"{each[0]:,}" if len(each) == 1 else f"{each[0]:,} to {each[-1]:,}"
    return f"{len(result.strata)} {'strata' if len(result.strata) > 1 else 'stratum'} by score ({spread} of each)"
