"""What the page says of score tables: the answer, charts and galleries, from what one pass has found.

Knows what was seen, what the tables say of themselves, and cards; nothing of HTML, and of files whether they can be
written back.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ncaudit.core.statistics.wilson import wilson_interval
from ncaudit.counts import counted
from ncaudit.judging.galleries import rules
from ncaudit.judging.galleries.collector import Row
from ncaudit.judging.galleries.groups import DUPLICATES, GENERIC_CAPTIONS, PLACEHOLDER_IMAGES, FoundGroups, Group
from ncaudit.judging.galleries.per_stratum import Stratum
from ncaudit.judging.power_told import NOISE, conclusions
from ncaudit.options import ReportOptions
from ncaudit.schema import OK, VERDICTS
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.rewriting.rewrite import are_written_back
from ncaudit.verbs.report.answer import Fit, Part, together
from ncaudit.verbs.report.found.seen import GALLERIES, Seen
from ncaudit.verbs.report.shown import charts
from ncaudit.verbs.report.shown.cards import Asked, CardMaker, cut, where
from ncaudit.verbs.report.shown.chart_data import Grid, label_cosine, score_chart
from ncaudit.verbs.report.shown.pictures import LARGE, SMALL
from ncaudit.verbs.report.shown.views import Answer, Bar, Figure, GalleryView, GroupView, Interval

MOST_STRATA = 12  # with cards; twice as many are compared
NOT_SEEN = (
    "An estimate that nobody has checked: it counts captions that fit their picture no better than those of other "
    "pictures do. Captions of the same topic and half-right ones look much like matching pairs, so the true rate is "
    "likely higher; where the model knows such data badly, it may be lower."
)
SEEN_BY_PEOPLE = (
    "People have judged {:,} of the pairs, and the rate is theirs, carried over to all: it counts every kind of "
    "mismatch that they saw. The labels still rank pairs by how much they look like random ones."
)
PLAIN = {
    "image_missing": "there is no image",
    "image_undecodable": "the image cannot be decoded",
    "image_too_large": "the image has more pixels than allowed, as it is or resized for the model",
    "image_unfinished": "the image was not decoded in time, or memory ran out: embed again",
    "caption_missing": "there is no caption",
    "row_too_large": "a cell is larger than allowed",
    "embedding_invalid": "its embedding is zero or not a number",
    "upstream_failed": "the download had failed before",
}


@dataclass(frozen=True)
class ScoreFindings:
    """All that the page tells of score tables."""

    seen: Seen
    parts: Sequence[Part]
    fit: Fit | None
    options: ReportOptions

    @property
    def strata(self) -> list[Stratum]:
        """Those with rows that were scored, the noisiest first; none where all are one."""
        found = [one for one in self.seen.strata.found() if one.ok]
        return found if len(found) > 1 else []

    @cached_property
    def written_back(self) -> Sequence[str]:
        """The dataset as it was given; nothing where its format is only read."""
        data = self.options.data or ()
        return data if data and are_written_back(find_shards(data, max_row_bytes=self.options.max_row_bytes)) else ()

    @property
    def labelled(self) -> bool:
        """Whether any row has a soft label."""
        return self.seen.counts.labelled > 0

    def rows_with_witnesses(self) -> list[Row]:
        """Rows that are shown with the anchors that judged them."""
        return [row for found in self.seen.galleries.found() if found.gallery is not rules.FAILED for row in found.rows]

    def want(self, asked: Asked) -> None:
        """Ask for every picture of the galleries."""
        for row in self.rows_with_witnesses():
            asked.add(row, LARGE)
        for groups in self.seen.groups:
            for group in groups.found().groups:
                for row in group.shown[: _pictures(groups.found())]:
                    asked.add(row, SMALL)
        for stratum in self.strata[:MOST_STRATA]:
            for row in stratum.worst:
                asked.add(row, SMALL)


def answer(found: ScoreFindings) -> Answer:
    """What the page says first."""
    counts, told = found.seen.counts, together(found.parts)
    failed = sum(count for status, count in counts.statuses.items() if status != OK)
    facts = [("rows", f"{sum(counts.statuses.values()):,}"), ("scored", f"{counts.statuses[OK]:,}")]
    facts += [("failed", f"{failed:,}")] if failed else []
    step, command = _next_step(found)
    headline, meaning, interval = _headline(found, told)
    return Answer(
        headline=headline,
        meaning=meaning,
        interval=interval,
        facts=facts,
        verdicts=verdict_bars(counts.verdicts) if found.labelled else (),
        sentences=[*_sentences(found)],
        warnings=[*_warnings(found)],
        next_step=step,
        command=command,
        figure=_power_figure(found.parts),
    )


def _headline(found: ScoreFindings, told: tuple[float, float, float] | None) -> tuple[str, str, str | None]:
    counts = found.seen.counts
    if not counts.statuses[OK]:
        return "No row could be scored", "Every row failed before it had an embedding; below is why.", None
    if any(part.unknown for part in found.parts):
        return (
            "The model does not know these data",
            "Pairs as they are score like random ones, so nothing tells which captions are wrong. Either the model was "
            "trained on other pictures or another language, or nearly all captions are wrong.",
            None,
        )
    if not found.labelled:
        why = next((part.label_means for part in found.parts if part.label_means), "the tables have no soft_label")
        return "No soft labels", f"Rows are ranked by their score alone: {why.removeprefix('no soft label: ')}.", None
    if told is None:
        share = found.seen.strata.found()
        mean = float(sum(one.mismatched for one in share) / max(1, sum(one.labelled for one in share)))
        return (
            f"{mean:.1%} noise by the labels",
            "The mean of 1 − soft label; the tables tell no rate of their own.",
            None,
        )
    rate, low, high = told
    interval = f"90 % interval {low:.1%} to {high:.1%}"
    if judged := _judged(found.parts):
        return f"{rate:.1%} of the pairs are mismatched", SEEN_BY_PEOPLE.format(judged), interval
    return f"{rate:.1%} of the pairs look mismatched", NOT_SEEN, f"{interval}, of such pairs as the labels can see"


def _judged(parts: Sequence[Part]) -> int:
    """How many pairs people have judged, where that corrects the rate of all parts."""
    return min((part.judged_pairs or 0 for part in parts), default=0)


def _sentences(found: ScoreFindings) -> list[str]:
    power = found.parts[0].power if found.parts else ()
    told = [sentence[0].upper() + sentence[1:] + "." for sentence in conclusions(power)]
    judged = [part.judged_pairs for part in found.parts if part.judged_pairs]
    if judged and not _judged(found.parts):
        pairs = counted(max(judged), "pair")
        told.append(f"People judged {pairs} of some tables, whose rate and labels are corrected by that.")
    return told


def _warnings(found: ScoreFindings) -> list[str]:
    rated = [part for part in found.parts if part.rate is not None]
    told = []
    if len(found.parts) > 1:
        each = "; ".join(
            f"{part.rate['rate']:.1%} of {counted(part.rows, 'row')} ({_shards(part)})"
            for part in rated
            if part.rate is not None
        )
        told.append(f"These tables were labelled at {len(found.parts)} noise rates of their own: {each}.")
    if len({part.scores_of for part in found.parts}) > 1:
        told.append("They were scored with different fits, whose scores are on different scales.")
    return told


def _shards(part: Part) -> str:
    return part.shards[0] if len(part.shards) == 1 else f"{part.shards[0]} and {len(part.shards) - 1:,} more"


def _next_step(found: ScoreFindings) -> tuple[str | None, str | None]:
    """One sentence, and the command."""
    tables = " ".join(shlex.quote(one) for one in found.options.scores)
    if not found.seen.counts.statuses[OK]:
        return "Mend what the statuses say, and embed again.", None
    if any(part.unknown for part in found.parts):
        told = (
            "Look at the pairs below. If they match, embed with another model; if not, join captions and images anew."
        )
        return told, f"ncaudit sample {tables} --out review.csv"
    if not found.labelled:
        return "Keep the best by score, once you have looked at the worst:", _filter(found, "--keep-share 0.8")
    keep = "keep the pairs that are likelier right than wrong:"
    judged = any(part.judged_pairs is not None for part in found.parts)
    if judged or not found.options.judge:
        return keep.capitalize(), _filter(found, "--min-soft-label 0.5")
    first = "Judge pairs under “Judge”: that tells the rate of all mismatches, and how far to trust the labels. "
    return f"{first}Then {keep}", _filter(found, "--min-soft-label 0.5")


def _filter(found: ScoreFindings, rule: str) -> str:
    """The dataset itself, where it was given and `filter` can write it."""
    data = shlex.join(word for source in found.written_back for word in ("--data", source))
    words = ["ncaudit filter", shlex.join(found.options.scores), rule, data, "--out kept/"]
    return " ".join(filter(None, words))


def verdict_bars(verdicts: Mapping[str, int]) -> list[Bar]:
    """Shares of the whole, the clean first."""
    total = sum(verdicts[word] for word in VERDICTS)
    if not total:
        return []
    each = ((word, verdicts[word]) for word in VERDICTS)
    return [Bar(word, f"{count:,} ({count / total:.0%})", count / total, word) for word, count in each]


def _power_figure(parts: Sequence[Part]) -> Figure | None:
    power = parts[0].power if parts else ()
    if not power or not any(power[0]["auroc"].values()):
        return None
    cosine = [one for one in power[1:] if one["scorer"] == "clip-score"]
    kinds = {kind: word for kind, word in NOISE.items() if power[0]["auroc"].get(kind) is not None}
    return Figure(
        "What this audit can see",
        "How well wrong captions of each kind are told from right ones, on these data. The further right, the better.",
        charts.power([power[0], *cosine], kinds) if kinds else None,
    )


def figures(found: ScoreFindings) -> list[Figure]:
    """All charts; one that cannot be drawn says why."""
    rows = found.seen.charts.rows()
    drawn = [_score_figure(found), *([_cosine_figure(grid)] if (grid := label_cosine(rows)) else [])]
    return [one for one in (*drawn, _strata_figure(found), _statuses(found), _reliability(found)) if one is not None]


def _score_figure(found: ScoreFindings) -> Figure | None:
    random = found.fit.random if found.fit is not None else np.zeros(0)
    cuts = found.parts[0].cuts if len(found.parts) == 1 else None
    told = score_chart(found.seen.charts.rows(), random, cuts)
    if told is None:
        return None
    note = "Where the pairs as given have a hump on top of the random pairs, captions are wrong."
    if told.random is None and found.fit is not None:
        note = "How many pairs have which score. The fit holds no random pairs to draw beside them."
    elif told.random is None:
        note = "The random pairs are not drawn: the fit that made these scores is not beside the tables (in _fit/)."
    return Figure("Scores", note, charts.scores(told), wide=True)


def _cosine_figure(grid: Grid) -> Figure:
    note = "The plain cosine beside the label: what a threshold on the cosine would treat otherwise lies off the bend."
    return Figure("Label against cosine", note, charts.label_and_cosine(grid), wide=True)


def _strata_figure(found: ScoreFindings) -> Figure | None:
    strata = [one for one in found.strata if one.noise_rate is not None][: 2 * MOST_STRATA]
    if len(strata) < 2:
        return None
    shown = []
    for one in strata:
        rate = one.noise_rate or 0.0
        shown.append(Interval(one.name, rate, *wilson_interval(rate, one.labelled), one.labelled))
    more = len(found.strata) - len(shown)
    by, told = found.options.by, f" {more:,} more are not shown." if more else ""
    note = f"Mean of 1 − soft label in each {by}, with the 90 % interval of so many rows; by its lower end.{told}"
    return Figure(f"Noise rate by {by}", note, intervals=shown)


def _statuses(found: ScoreFindings) -> Figure:
    counts = found.seen.counts
    statuses = sorted(counts.statuses.items(), key=lambda one: (one[0] != OK, -one[1], one[0]))
    reasons = [(word, count) for word, count in sorted(counts.reasons.items(), key=lambda one: -one[1]) if count]
    most = max([*counts.statuses.values(), 1])
    bars = [Bar(status, f"{count:,}", count / most, "status") for status, count in statuses]
    bars += [Bar(f"reason: {word.replace('_', ' ')}", f"{count:,}", count / most, "reason") for word, count in reasons]
    return Figure(
        "Rows, and why to look at them", "Every row by its status, and the scored ones by their reason.", bars=bars
    )


def _reliability(found: ScoreFindings) -> Figure | None:
    told = found.seen.reliability
    if told is None or not told.judged:
        return None
    known = f"Of {counted(told.judged, 'pair')} it is known whether image and caption match."
    note = f"{known} On the line, labels promise what is true; below it, pairs that look right are wrong in ways that "
    note += "labels do not count: the same topic, or half right."
    return Figure("Reliability", note, charts.reliability(told.bins()))


def galleries(found: ScoreFindings, maker: CardMaker) -> list[GalleryView]:
    """All of them that hold anything, in the page's order."""
    views = {gallery.name: _gallery(found, gallery, maker) for gallery in GALLERIES if gallery is not rules.FAILED}
    of_groups = {one.found().grouping.name: _groups(one.found(), maker) for one in found.seen.groups}
    order = [
        *(views[one.name] for one in (rules.WORST, rules.UNSURE, rules.SUGGESTED)),
        *(of_groups[one.name] for one in (GENERIC_CAPTIONS, PLACEHOLDER_IMAGES, DUPLICATES)),
        *(views[one.name] for one in rules.AGAINST_SIMILARITY),
        *_strata_gallery(found, maker),
        _failed(found),
    ]
    return [view for view in order if view.count]


def _gallery(found: ScoreFindings, gallery: rules.Gallery, maker: CardMaker) -> GalleryView:
    one = found.seen.galleries[gallery]
    cards = [maker.scored(row) for row in one.rows]
    return GalleryView(gallery.name, gallery.title, gallery.rule, one.count, cards)


def _pictures(groups: FoundGroups) -> int:
    return 6 if groups.grouping is GENERIC_CAPTIONS else 1


def _groups(found: FoundGroups, maker: CardMaker) -> GalleryView:
    grouping = found.grouping
    views = [_group(group, found, maker) for group in found.groups]
    return GalleryView(grouping.name, grouping.title, grouping.rule, found.count, groups=views)


def _group(group: Group, found: FoundGroups, maker: CardMaker) -> GroupView:
    cards = [maker.scored(row, SMALL, why=False) for row in group.shown]
    captions = [card.caption for card in cards if card.caption is not None]
    if found.grouping is GENERIC_CAPTIONS:
        title = _of_group(group, "this caption", "which occurs {:,} times")
        return GroupView(title, group.rows, cards, caption=captions[0] if captions else None)
    if found.grouping is PLACEHOLDER_IMAGES:
        title = _of_group(group, "this picture", "which occurs {:,} times with its near-equals")
        return GroupView(title, group.rows, cards[:1], captions=captions)
    places = [told for row in group.shown if (told := where(row)) is not None]
    title = _of_group(group, "the same picture and caption", "")
    return GroupView(title, group.rows, cards[:1], caption=captions[0] if captions else None, places=places)


def _of_group(group: Group, what: str, more: str) -> str:
    """How many rows are flagged, and how many there are where that is more."""
    head = f"{counted(group.rows, 'row')} with {what}"
    return f"{head}, {more.format(group.size)}" if more and group.size > group.rows else head


def _strata_gallery(found: ScoreFindings, maker: CardMaker) -> list[GalleryView]:
    by, strata = found.options.by, found.strata
    parts = []
    for one in strata[:MOST_STRATA]:
        rate = "no labels" if one.noise_rate is None else f"{one.noise_rate:.1%} noise"
        cards = [maker.scored(row, SMALL, why=False) for row in one.worst]
        parts.append(GalleryView("", one.name, f"{counted(one.ok, 'scored row')}, {rate}", one.ok, cards, small=True))
    rule = f"The values of {by} with the most noise, few rows counting for less, each with its lowest labels."
    if not found.labelled:
        rule = f"The first values of {by} by name, each with its lowest scores: there are no labels to compare them by."
    return [GalleryView("strata", f"By {by}", rule, len(strata), parts=parts)] if parts else []


def _failed(found: ScoreFindings) -> GalleryView:
    failed = found.seen.galleries[rules.FAILED]
    statuses = {word: n for word, n in found.seen.counts.statuses.items() if word != OK}
    most = max([*statuses.values(), 1])
    bars = [
        Bar(f"{word}: {PLAIN[word]}" if word in PLAIN else word, f"{n:,}", n / most, "status")
        for word, n in sorted(statuses.items(), key=lambda one: (-one[1], one[0]))
    ]
    groups = [failed_row(row, str(row.get("status") or "no status")) for row in failed.rows]
    return GalleryView("failed", failed.gallery.title, failed.gallery.rule, failed.count, groups=groups, bars=bars)


def failed_row(row: Row, title: str) -> GroupView:
    """A row that nothing can be shown of but its caption and where it is."""
    caption, place = cut(row.get("caption")), where(row)
    return GroupView(title, 1, captions=[caption] if caption else [], places=[place] if place else [])
