"""What all parts of a scored dataset share: found by one run with --fit-only, and gone by from then on.

Knows what lies beside the fit; makes nothing of it.
"""

import json
from collections.abc import Sequence
from hashlib import blake2b

from ncaudit.engines.jobs import Site, ThisProcess
from ncaudit.errors import NcauditError
from ncaudit.judging.saved_fits import SavedFit
from ncaudit.options import ScoreOptions
from ncaudit.progress import Progress
from ncaudit.shards.files.locations import dirname, is_file, join
from ncaudit.shards.tables.embeddings import EmbeddingTable
from ncaudit.shards.tables.repeats.counts import Repeats
from ncaudit.shards.tables.repeats.kept import REPEATS, kept_repeats
from ncaudit.verbs.outputs import is_folder, versions_of
from ncaudit.verbs.score.counted import count_repeats
from ncaudit.verbs.score.fit import FIT_FOLDER, fit_that_is_there, the_fit
from ncaudit.verbs.score.rates import Rates, known_rates, rates_of

HERE = ThisProcess()
FIT_FIRST = "run the same command once with --fit-only in place of --slice, and then all parts"


def rates_for(options: ScoreOptions, tables: Sequence[EmbeddingTable], progress: Progress, site: Site) -> Rates:
    """The fit with its noise rates; of a part those that are there. Raises NcauditError where they are not."""
    if options.slice is None:
        return rates_of(options, tables, the_fit(options, tables, progress, site), progress, site)
    return rates_of_part(options, tables, fit_that_is_there(options, tables, progress), progress)


def rates_of_part(
    options: ScoreOptions, tables: Sequence[EmbeddingTable], saved: SavedFit | None, progress: Progress
) -> Rates:
    """Those of the fit that is there. Raises NcauditError where it is not, or never saw some of the tables."""
    if saved is None:
        raise NcauditError(f"{options.out} holds no fit of these tables that its parts could go by", fix=FIT_FIRST)
    rates, new = known_rates(options, tables, saved, progress)
    if new:
        more = f" and {len(new) - 1:,} more" if len(new) > 1 else ""
        what = f"{new[0].shard.name}{more} came after the fit, and their noise rate is not known yet"
        raise NcauditError(what, fix=FIT_FIRST)
    return rates


def repeats_path(options: ScoreOptions) -> str | None:
    """Where counts are kept for others than this process; None where all goes into one table."""
    return join(options.out, FIT_FOLDER, REPEATS) if is_folder(options.out) else None


def counted_of(tables: Sequence[EmbeddingTable]) -> str:
    """What is counted: all tables, as they are."""
    told = json.dumps(versions_of(table.shard for table in tables))
    return blake2b(told.encode(), digest_size=16).hexdigest()


def repeats_for(
    options: ScoreOptions, tables: Sequence[EmbeddingTable], progress: Progress, site: Site = HERE
) -> Repeats:
    """How often photos and captions occur in all tables: kept by an earlier run, or counted now; of a part the former.

    Raises NcauditError where there is nothing that a part could go by.
    """
    path, of = repeats_path(options), counted_of(tables)
    if path is not None and is_file(path) and (there := kept_repeats(path, of)) is not None:
        return there
    if options.slice is not None:
        what = f"{options.out} holds no counts of repeated photos and captions of these tables"
        raise NcauditError(what, fix=FIT_FIRST)
    keep = path if options.fit_only or site.elsewhere else None
    return count_repeats(site, tables, of, path and dirname(path), keep, progress)
