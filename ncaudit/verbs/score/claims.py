"""What `score` will write, and what decides on it: claimed before anything is fitted.

Knows options, shards and where fits are kept; nothing of how a score is computed.
"""

from collections.abc import Sequence
from typing import Any

from ncaudit import own_json
from ncaudit.errors import NcauditError
from ncaudit.judging.saved_fits import FACTS, TENSORS, SavedFit, holds_fit, save_fit
from ncaudit.options import EngineKind, ScoreOptions
from ncaudit.shards.claims.claims import Claim, Place, asked
from ncaudit.shards.files.locations import basename, dirname, is_file, join, real
from ncaudit.shards.files.provenance import fingerprint_of_file
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.tables.embeddings import EmbeddingTable
from ncaudit.shards.tables.repeats.kept import REPEATS
from ncaudit.verbs.outputs import inputs_of, place_of, tables_of, told_by_options, versions_of
from ncaudit.verbs.score.fit import FIT_FOLDER
from ncaudit.verbs.score.rates import RATES

FIT_FILES = (TENSORS, FACTS)


def claimed(options: ScoreOptions, shards: Sequence[Shard], tables: Sequence[EmbeddingTable]) -> Claim:
    """Everything that is written for these shards, the fit included. Raises NcauditError as `asked` does."""
    inputs = [*inputs_of(shards, [table.shard for table in tables]), *_named(options)]
    return asked("score", places(options, shards), inputs, overwrite=options.overwrite)


def places(options: ScoreOptions, shards: Sequence[Shard]) -> list[Place]:
    """Where that lies."""
    kept = (REPEATS,) if options.fit_only or options.slice or options.engine is EngineKind.ray else ()
    fit = [f"{FIT_FOLDER}/{name}" for name in (*(() if options.fit else FIT_FILES), RATES, *kept)]
    found = place_of("--out", options.out, [*tables_of(shards), *fit], proven=_is_fit)
    if options.save_fit:
        found.append(Place("--save-fit", options.save_fit, FIT_FILES, proven=_is_fit))
    return found


def deciding(options: ScoreOptions, tables: Sequence[EmbeddingTable]) -> dict[str, Any]:
    """What the tables rest on: with a fit that was given each on its own shard, else all on all shards together."""
    fit = [fingerprint_of_file(path) for path in _fit_files(options.fit)] if options.fit else []
    verdicts = [_version(path) for path in _listed(options.verdicts)]
    rests_on = None if options.fit else versions_of(table.shard for table in tables)
    return {"options": told_by_options(options), "fit": fit, "verdicts": verdicts, "shards": rests_on}


def keep_fit(saved: SavedFit, options: ScoreOptions) -> None:
    """Save the fit where it was asked for. Raises NcauditError where that would write over the one that was given."""
    folder = str(options.save_fit)
    if options.fit and real(options.fit) == real(folder) and not holds_fit(folder, saved):
        raise NcauditError(
            f"{folder} holds the fit that was given, and would be written over", fix="give another --save-fit"
        )
    save_fit(saved, folder)


def _named(options: ScoreOptions) -> list[str]:
    """Files that are read besides the tables. The fit's own folder may be where it is to be saved: see `keep_fit`."""
    joined = inputs_of(find_shards(options.join)) if options.join else []
    same = options.fit and options.save_fit and real(options.fit) == real(options.save_fit)
    return [*joined, *_listed(options.verdicts), *([] if same else _fit_files(options.fit))]


def _fit_files(folder: str | None) -> list[str]:
    paths = [join(folder, name) for name in FIT_FILES] if folder else []
    return [path for path in paths if is_file(path)]


def _listed(paths: str | Sequence[str] | None) -> list[str]:
    return [paths] if isinstance(paths, str) else list(paths or ())


def _version(path: str) -> str | None:
    return fingerprint_of_file(path) if is_file(path) else None


def _is_fit(path: str) -> bool:
    """Whether this is a file of a fit, which the smaller of the two files says, or of rates, which says so itself."""
    folder, name = dirname(path), basename(path)
    if name == RATES:
        return _says(path, {"fit", "later"})
    return name in FIT_FILES and _says(join(folder, FACTS), {"fit_id", "scorer"})


def _says(path: str, names: set[str]) -> bool:
    return names <= set(own_json.known(path) or ())
