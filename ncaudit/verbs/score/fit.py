"""The fit that `score` works with: asked for, left by an earlier run, or new; then corrected by people's verdicts."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ncaudit.core.device import pick_device
from ncaudit.engines.jobs import Site
from ncaudit.errors import BadTable, NcauditError
from ncaudit.judging import calibrated, choice, power
from ncaudit.judging.fit_sample import Sample
from ncaudit.judging.saved_fits import SavedFit, has_fit, load_fit, save_fit
from ncaudit.options import AUTO_SCORER, ScoreOptions
from ncaudit.options.shared.about import flag_of
from ncaudit.progress import SILENT, Progress
from ncaudit.scoring.fits import Applier
from ncaudit.scoring.pairs import rooted
from ncaudit.shards.files.locations import join
from ncaudit.shards.files.provenance import fingerprint
from ncaudit.shards.tables.embeddings import EmbeddingTable
from ncaudit.verbs.outputs import is_folder
from ncaudit.verbs.score import stages
from ncaudit.verbs.score.drawn import draw
from ncaudit.verbs.score.judged.heard import ASIDE, Heard
from ncaudit.verbs.score.rates import Rates
from ncaudit.version import FORMATS, same_results

FIT_FOLDER = "_fit"  # readers of a folder of parquet pass over names with an underscore


def the_fit(options: ScoreOptions, tables: Sequence[EmbeddingTable], progress: Progress, site: Site) -> SavedFit:
    """The fit asked for, the one that an earlier run left in OUT if it still holds, or a new one."""
    if (there := fit_that_is_there(options, tables, progress)) is not None:
        return there
    saved = _new_fit(options, tables, progress, site)
    if is_folder(options.out):
        save_fit(saved, join(options.out, FIT_FOLDER))
    return saved


def fit_that_is_there(options: ScoreOptions, tables: Sequence[EmbeddingTable], progress: Progress) -> SavedFit | None:
    """The same; None where there would be a new one."""
    if options.fit:
        return _asked_for(options, tables)
    if options.refit or not is_folder(options.out):
        return None
    left = _left_in(join(options.out, FIT_FOLDER), progress)
    return left if left and _still_holds(left, options, tables) else None


def why_anew(options: ScoreOptions, tables: Sequence[EmbeddingTable]) -> str | None:
    """In what the fit in OUT differs from what this command asks for, in words; None where none lies there."""
    folder = join(options.out, FIT_FOLDER)
    left = _left_in(folder, SILENT)
    if left is None:
        return None
    names = [flag_of(name) for name, value in left.fit.options.items() if getattr(options, name, None) != value]
    other = ", ".join(names) or ("model" if _model(tables) != left.model else "tables")
    return f"the fit in {folder} was made with other {other}: all is fitted and scored anew"


def _left_in(folder: str, progress: Progress) -> SavedFit | None:
    """What an earlier run has left, if it is whole: a damaged one is ours to make again."""
    try:
        return load_fit(folder) if has_fit(folder) else None
    except BadTable as error:
        progress.note(f"{error.message}: it is fitted anew")
        return None


def _asked_for(options: ScoreOptions, tables: Sequence[EmbeddingTable]) -> SavedFit:
    saved = load_fit(str(options.fit))
    if not same_results({"format": saved.format}, "score"):
        raise BadTable(
            f"the fit in {options.fit} is in format {saved.format}, and this ncaudit scores in format"
            f" {FORMATS['score']}, with other results",
            fix="fit anew, or score with the version of ncaudit that made the fit",
        )
    if options.scorer not in (saved.fit.scorer, AUTO_SCORER):
        raise NcauditError(
            f"the fit in {options.fit} is for --scorer {saved.fit.scorer}, not {options.scorer}",
            fix=f"add --scorer {saved.fit.scorer}",
        )
    model, fitted = _model(tables) or {}, saved.model or {}
    keys = {*model, *fitted} if "name" in model and "name" in fitted else {"heads"}  # these count on any table
    if different := sorted(key for key in keys if model.get(key) != fitted.get(key)):
        behind = "give the heads of the fit with --model" if "heads" in fitted else "leave out --model"
        raise BadTable(
            f"the fit in {options.fit} and {tables[0].shard.path} differ in their model's {', '.join(different)}",
            fix=f"{behind if 'heads' in different else 'embed with the model of the fit'}, or fit anew",
        )
    _require_width(saved, tables)
    return saved


def _require_width(saved: SavedFit, tables: Sequence[EmbeddingTable]) -> None:
    widths = {tensor.shape[1] for name, tensor in saved.fit.tensors.items() if name in ("bank_image", "bank_text")}
    found = {table.image_dims for table in tables} | {table.text_dims for table in tables}
    if widths and found - {0} - widths:
        raise BadTable(
            f"the fit has {widths.pop()} dimensions and {tables[0].shard.path} has {tables[0].image_dims}",
            fix="embed with the model of the fit, or fit anew",
        )


def _still_holds(saved: SavedFit, options: ScoreOptions, tables: Sequence[EmbeddingTable]) -> bool:
    """Whether an earlier fit is what this command asks for; shards that came since do not change it."""
    asked = {name: getattr(options, name, None) for name in saved.fit.options}
    known = (table.shard for table in tables if table.shard.name in saved.shards)
    unchanged = all(saved.shards[shard.name] == fingerprint(shard) for shard in known)
    same = asked == dict(saved.fit.options) and unchanged and _model(tables) == saved.model
    return same and same_results({"format": saved.format}, "score")


def _new_fit(options: ScoreOptions, tables: Sequence[EmbeddingTable], progress: Progress, site: Site) -> SavedFit:
    sample = _sample(options, tables, progress, site)
    progress.stage(stages.FIT, choice.steps(options), "steps")
    fit = choice.learn(sample.pairs, options, sample.names, partial(progress.advance, 1))
    if options.check and "noise_rate" in fit.facts:
        progress.stage(stages.POWER, power.steps(), "scorers")
        told = power.check(fit, sample.pairs, options, partial(progress.advance, 1))
        fit = fit.with_labels({**fit.facts, "power": told})
    return SavedFit(fit, _model(tables), {table.shard.name: fingerprint(table.shard) for table in tables})


def _sample(options: ScoreOptions, tables: Sequence[EmbeddingTable], progress: Progress, site: Site) -> Sample:
    site.ready(tables[0].shard, progress)
    progress.stage(stages.DRAW, sum(table.rows for table in tables))
    sample = draw(site, tables, pairs=options.fit_pairs, seed=options.seed, progress=progress)
    if not len(sample.pairs):
        raise BadTable("no row has a usable pair of embeddings", fix="see the status column of the embedding tables")
    return replace(sample, pairs=rooted(sample.pairs.to(pick_device(options.device))))


def judged(
    options: ScoreOptions, tables: Sequence[EmbeddingTable], rates: Rates, progress: Progress, site: Site, heard: Heard
) -> Rates:
    """What labels the rows after people's verdicts: these speak for all rows at once."""
    saved = rates.base if len(rates.groups) > 1 else rates.groups[0].saved
    if "noise_rate" not in saved.fit.facts:
        raise NcauditError(
            "there is no calibration that verdicts could correct: " + str(saved.fit.facts["label_means"]),
            fix="leave out --verdicts, or give more pairs or those of another model",
        )
    site.ready(tables[0].shard, progress)
    progress.stage(stages.JUDGED, sum(tables[number].rows for number in heard.numbers))
    folder = join(options.out, FIT_FOLDER, ASIDE) if site.elsewhere else None
    found = heard.scored(site, saved, options.device, folder, progress)
    fit = calibrated.judged(saved.fit, found.score, found.mismatched, found.weight, found.rate)
    facts = {**fit.facts, "judging": found.judging.facts()}
    return rates.all_with(replace(saved, fit=replace(fit, facts=facts)))


def applier_of(options: ScoreOptions, saved: SavedFit) -> Applier:
    return calibrated.applier(saved.fit, pick_device(options.device))


def _model(tables: Sequence[EmbeddingTable]) -> dict[str, Any] | None:
    """The one that all tables which name theirs agree on; behind heads, tables from elsewhere name the heads alone."""
    told = ((table.provenance or {}).get("model") or {} for table in tables)
    return max(told, key=len, default=None) or None
