"""The noise rates of one run: the fit's, of the rows that it saw, and those of rows that came later.

Knows fits, tables and a small file beside the fit; nothing of how a rate is estimated. Rows that a fit never saw keep
its scores, and get the share of mismatches of their own. It is saved before the first table is written: a run that is
killed and started again, or one to which more shards have come since, gives the earlier ones the same labels.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ncaudit import own_json
from ncaudit.core.device import pick_device
from ncaudit.engines.jobs import Site
from ncaudit.judging import calibrated
from ncaudit.judging.saved_fits import SavedFit
from ncaudit.options import ScoreOptions
from ncaudit.progress import SILENT, Progress
from ncaudit.shards.files.locations import join, lexists
from ncaudit.shards.files.provenance import fingerprint
from ncaudit.shards.files.writer import atomic_file
from ncaudit.shards.tables.embeddings import EmbeddingTable
from ncaudit.verbs.outputs import is_folder
from ncaudit.verbs.score import stages
from ncaudit.verbs.score.drawn import draw

RATES = "rates.json"
_CUTS: own_json.Shape = {"clean_from": (None, float), "noisy_below": (None, float)}
_FACTS: own_json.Shape = {"noise_rate": {"rate": float, "low": float, "high": float}, "cuts": _CUTS}
_LATER: own_json.Shape = {"shards": {...: str}, "fit?": str}
SHAPE: own_json.Shape = {
    "fit": str,
    "later": [({**_LATER, "pairs": int, "facts": _FACTS}, {**_LATER, "pairs": int, "facts": None})],
}


@dataclass(frozen=True)
class Rated:
    """Some shards, (name → fingerprint), and the fit that labels their rows.

    later: whether the fit did not see them. pairs: usable ones that their rate was estimated on; 0 where it is the
    fit's, as nothing was estimated.
    """

    saved: SavedFit
    shards: Mapping[str, str]
    later: bool = False
    pairs: int = 0

    @property
    def key(self) -> tuple[str, frozenset[tuple[str, str]]]:
        """What tells groups apart."""
        return self.saved.fit_id, frozenset(self.shards.items())


@dataclass(frozen=True)
class Rates:
    """Who is labelled with what; the rows that the fit saw come first."""

    base: SavedFit
    groups: Sequence[Rated]
    new: Rated | None = None  # the group that this run has estimated
    path: str | None = None  # where it is kept

    @property
    def first(self) -> Rated:
        """The first whose rows get labels, or just the first."""
        return next((group for group in self.groups if "noise_rate" in group.saved.fit.facts), self.groups[0])

    def of(self, table: EmbeddingTable) -> Rated:
        """The group of a table."""
        return next(group for group in reversed(self.groups) if table.shard.name in group.shards)

    def all_with(self, saved: SavedFit) -> "Rates":
        """Every table with one fit: what people's verdicts say, they say of all rows."""
        shards = {name: found for group in self.groups for name, found in group.shards.items()}
        return Rates(saved, [Rated(saved, shards)])


def rates_of(
    options: ScoreOptions, tables: Sequence[EmbeddingTable], saved: SavedFit, progress: Progress, site: Site
) -> Rates:
    """The rates for these tables: the fit's, those that earlier runs found, and new ones for what came since."""
    known, new = known_rates(options, tables, saved, progress)
    if new:
        found = _rated(options, new, saved, progress, site)
        known = replace(known, groups=[*known.groups, found], new=found)
    keep_rates(known)
    return known


def known_rates(
    options: ScoreOptions, tables: Sequence[EmbeddingTable], saved: SavedFit, progress: Progress
) -> tuple[Rates, list[EmbeddingTable]]:
    """The same without what is still to be estimated; and the tables that came since."""
    here = {table.shard.name: fingerprint(table.shard) for table in tables}
    seen = {name: found for name, found in here.items() if saved.shards.get(name) == found}
    path = join(options.out, "_fit", RATES) if is_folder(options.out) else None
    earlier = [] if path is None or options.refit else _load(path, saved, progress)
    known = _placed({name: found for name, found in here.items() if name not in seen}, earlier)
    placed = seen.keys() | {name for group in known for name in group.shards}
    rates = Rates(saved, [*([Rated(saved, seen)] if seen else []), *known], None, path)
    return rates, [table for table in tables if table.shard.name not in placed]


def keep_rates(rates: Rates) -> None:
    """See to it that what this run has estimated is kept, beside what other runs have put there since.

    Two runs with one fit may rate different shards side by side. Nothing is locked: each adds to the file as it is now,
    and looks again when its tables are written whether the other has written over that.
    """
    if rates.path is None or rates.new is None:
        return
    kept = _load(rates.path, rates.base, SILENT)
    if rates.new.key not in {group.key for group in kept}:
        _save(rates.path, rates.base, [*kept, rates.new])


def _placed(here: Mapping[str, str], earlier: Sequence[Rated]) -> list[Rated]:
    """The earlier groups as far as their shards are here, unchanged. A shard that came back changed is new."""
    known = []
    for group in earlier:
        kept = {name: found for name, found in group.shards.items() if here.get(name) == found}
        known += [replace(group, shards=kept)] if kept else []
    return known


def _rated(
    options: ScoreOptions, tables: Sequence[EmbeddingTable], saved: SavedFit, progress: Progress, site: Site
) -> Rated:
    shards = {table.shard.name: fingerprint(table.shard) for table in tables}
    progress.stage(stages.DRAW_LATER, sum(table.rows for table in tables))
    sample = draw(site, tables, pairs=options.fit_pairs, seed=options.seed, progress=progress)
    if not len(sample.pairs):
        return Rated(saved, shards, later=True)
    progress.stage(stages.RATE, None)
    fit = calibrated.rerated(saved.fit, sample.pairs.to(pick_device(options.device)), options)
    estimated = fit is not saved.fit
    return Rated(replace(saved, fit=fit), shards, later=True, pairs=len(sample.pairs) if estimated else 0)


def _save(path: str, saved: SavedFit, groups: Sequence[Rated]) -> None:
    told = [
        {
            "shards": dict(group.shards),
            "pairs": group.pairs,
            "facts": dict(group.saved.fit.facts) if group.pairs else None,
            "fit": group.saved.fit_id,
        }
        for group in groups
    ]
    with atomic_file(path) as file:
        file.write(json.dumps({"fit": saved.fit_id, "later": told}, indent=1, sort_keys=True).encode())


def _load(path: str, saved: SavedFit, progress: Progress) -> list[Rated]:
    """What earlier runs found with this fit; nothing from a file of another fit, or a damaged one."""
    if not lexists(path):
        return []
    told = own_json.known(path, SHAPE)
    if told is not None and told["fit"] != saved.fit_id:
        return []
    groups = [_group(each, saved) for each in (told or {}).get("later", ())]
    if told is None or not all(groups):
        progress.note(f"{path} is damaged: the noise rates of rows that came after the fit are estimated anew")
        return []
    return [group for group in groups if group]


def _group(told: Mapping[str, Any], saved: SavedFit) -> Rated | None:
    """None where the facts are not those that were saved: the id of their fit is made of them."""
    own = replace(saved, fit=replace(saved.fit, facts=told["facts"] or {})) if told["pairs"] else saved
    if told.get("fit", own.fit_id) != own.fit_id:
        return None
    return Rated(own, told["shards"], later=True, pairs=told["pairs"])
