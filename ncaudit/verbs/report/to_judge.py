"""The pairs that the page asks people about: the very ones, in the order, that `sample` draws of the same tables.

Knows the draw, the tables' provenance and the judge's part of the page; nothing of HTML or of pictures' making.
"""

import hashlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from ncaudit.errors import NcauditError
from ncaudit.judging.draw import Drawn, fetched, keys, require_unique
from ncaudit.judging.galleries.cells import Cells
from ncaudit.judging.galleries.collector import Row
from ncaudit.options import ReportOptions, SampleOptions, ScorerOptions
from ncaudit.options.shared.as_command import command_of
from ncaudit.options.shared.engines import EngineOptions
from ncaudit.shards.files.locations import dirname, is_dir, join, normal
from ncaudit.shards.files.provenance import fingerprint
from ncaudit.shards.tables.scores import ScoreTable
from ncaudit.verbs.report.found.drawn import Draw
from ncaudit.verbs.report.shown.cards import Asked, CardMaker, place_of
from ncaudit.verbs.report.shown.judge_pairs import JudgePair, JudgeSample, JudgeStratum
from ncaudit.verbs.report.shown.pictures import LARGE, Pictures

EXPORTED = "judged.csv"
COLUMNS = ("pair_id", "shard", "row", "caption")  # nothing that tells a judge what to say
EMBEDDINGS = "embeddings"  # beside its scores in a folder of `audit`


class ToJudge:
    """The drawn pairs. note: why there are none, where the page says so."""

    def __init__(self, options: ReportOptions, tables: Sequence[ScoreTable], draw: Draw | None) -> None:
        self._options, self._tables, self.note = options, tables, ""
        try:
            self._drawn = self._draw(draw) if options.judge else None
        except NcauditError as error:
            if options.judge_only:
                raise
            self._drawn, self.note = None, f"There is nothing to judge: {error.message}."

    def want(self, asked: Asked) -> None:
        """Ask for their pictures."""
        for row, _ in self._rows:
            asked.add(row, LARGE)

    def sample(self, pictures: Pictures) -> JudgeSample | None:
        """What the page gets; None where nothing is drawn."""
        if self._drawn is None:
            return None
        drawn, maker = self._drawn[0], CardMaker(pictures, {})
        return JudgeSample(
            key=self._key,
            name=EXPORTED,
            pairs=[_pair(row, stratum, maker) for row, stratum in self._rows],
            strata=[JudgeStratum(rows=int(n), drawn=int(m)) for n, m in zip(drawn.sizes, drawn.drawn, strict=True)],
            command=command(self._options.scores, self._tables[0].provenance),
            again="" if self._options.judge_only else command_of(told(self._options)),
            alone=self._options.judge_only,
        )

    def _draw(self, draw: Draw | None) -> tuple[Drawn, pa.Table]:
        drawn = None if draw is None else draw.drawn(self._options.judge, SampleOptions.strata)
        if drawn is None:
            raise NcauditError("no row has a score", fix="see the status column")
        pairs = fetched(self._tables, drawn.place, _seen_by_judges)
        require_unique(pairs["pair_id"])
        return drawn, pairs

    @cached_property
    def _rows(self) -> list[tuple[Row, int]]:
        """Each with its stratum, in random order."""
        if self._drawn is None:
            return []
        drawn, pairs = self._drawn
        order = np.argsort(keys("order", pairs["pair_id"].combine_chunks(), self._options.seed), kind="stable")
        (batch,) = pairs.combine_chunks().to_batches()
        rows = Cells(batch).rows(np.arange(len(batch)), COLUMNS)
        return [(Row(int(drawn.place[i]), rows[i]), int(drawn.stratum[i])) for i in order.tolist()]

    @cached_property
    def _key(self) -> str:
        """Of the tables' content and the draw: pages opened from disk share one store."""
        told = [*(fingerprint(table.shard) for table in self._tables), self._options.judge, self._options.seed]
        return f"ncaudit-judge-{hashlib.sha256(repr(told).encode()).hexdigest()[:16]}"


def told(options: ReportOptions) -> ReportOptions:
    """As the page tells them: where its tables were read changes nothing that stands on it."""
    usual = EngineOptions
    return replace(options, engine=usual.engine, ray_address=usual.ray_address, actors=None, gpus_per_actor=None)


def command(scores: Sequence[str], provenance: Mapping[str, Any] | None) -> str:
    """What to run with the verdicts. The options that the scores were made with count: with others, it is another fit.

    >>> command(["scores"], {"options": {"scorer": "ncr", "k": None, "seed": 0}})
    'ncaudit score EMBEDDINGS --scorer ncr --verdicts judged.csv --out scores'
    """
    more = shlex.join(_flags((provenance or {}).get("options") or {}))
    made = f"--verdicts {EXPORTED} --out {shlex.quote(scores[0])}"
    words = ["ncaudit score", embeddings_beside(scores), more, made]
    return " ".join(filter(None, words))


def embeddings_beside(tables: Sequence[str]) -> str:
    """What the tables were made from as a command names it: the folder beside them, or a word for where it may be."""
    beside = join(dirname(normal(tables[0])), EMBEDDINGS)
    return shlex.quote(beside) if is_dir(beside) else EMBEDDINGS.upper()


def _flags(recorded: Mapping[str, Any]) -> Iterator[str]:
    """Those that say something else than the defaults."""
    usual = {field.name: getattr(ScorerOptions, field.name) for field in fields(ScorerOptions)}
    for name, value in recorded.items():
        default = usual.get(name)
        word = default.value if isinstance(default, Enum) else default
        if name not in usual or value is None or value == word:
            continue
        flag = name.replace("_", "-")
        yield from [f"--{flag}" if value else f"--no-{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]


def _pair(row: Row, stratum: int, maker: CardMaker) -> JudgePair:
    picture, text, place = maker.picture(row, LARGE), maker.caption(row), place_of(row)
    return JudgePair(
        pair_id=str(row.get("pair_id")),
        shard=None if place is None else place[0],
        row=None if place is None else place[1],
        caption=None if text is None else text.text,
        caption_characters=None if text is None else text.of,
        image=None if picture is None else picture.url,
        stratum=stratum,
    )


def _seen_by_judges(table: ScoreTable, places: Any) -> pa.Table:
    """What a judge may see of some rows; long captions are cut later."""
    names = [name for name in COLUMNS if name in table.schema.names]
    return table.rows_at(places, names).select(names)
