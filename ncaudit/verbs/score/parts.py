"""What all parts of a scored dataset share: found by one run with --fit-only, and gone by from then on.

Knows what lies beside the fit; makes nothing of it.
"""

from collections.abc import Sequence

from ncaudit.errors import NcauditError
from ncaudit.judging.saved_fits import SavedFit
from ncaudit.options import ScoreOptions
from ncaudit.progress import Progress
from ncaudit.shards.files.locations import is_file, join
from ncaudit.shards.tables.embeddings import EmbeddingTable
from ncaudit.shards.tables.repeats import Repeats, count_repeats
from ncaudit.verbs.outputs import is_folder
from ncaudit.verbs.score.fit import FIT_FOLDER, fit_that_is_there, the_fit
from ncaudit.verbs.score.kept_repeats import REPEATS, keep_repeats, kept_repeats
from ncaudit.verbs.score.rates import Rates, known_rates, rates_of

FIT_FIRST = "run the same command once with --fit-only in place of --slice, and then all parts"


def rates_for(options: ScoreOptions, tables: Sequence[EmbeddingTable], progress: Progress) -> Rates:
    """The fit with its noise rates; of a part those that are there. Raises NcauditError where they are not."""
    if options.slice is None:
        return rates_of(options, tables, the_fit(options, tables, progress), progress)
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


def repeats_for(options: ScoreOptions, tables: Sequence[EmbeddingTable], progress: Progress) -> Repeats:
    """How often photos and captions occur in all tables: kept by an earlier run, or counted now; of a part the former.

    Raises NcauditError where there is nothing that a part could go by.
    """
    path = join(options.out, FIT_FOLDER, REPEATS) if is_folder(options.out) else None
    if path is not None and is_file(path) and (there := kept_repeats(path, tables)) is not None:
        return there
    if options.slice is not None:
        what = f"{options.out} holds no counts of repeated photos and captions of these tables"
        raise NcauditError(what, fix=FIT_FIRST)
    repeats = count_repeats(tables, progress)
    if options.fit_only and path is not None:
        keep_repeats(path, repeats, tables)
    return repeats
