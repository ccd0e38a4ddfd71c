"""Charts as SVG that stands in the page: no script, the same bytes every time, colours that the page's style decides.

Knows numbers and matplotlib, which is imported here alone; nothing of tables. No text of a user's is drawn: names stand
in HTML, where any alphabet can be shown.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from ncaudit.verbs.report.found.truths import ReliabilityBin
from ncaudit.verbs.report.shown.chart_data import Grid, ScoreChart

# stand-ins that matplotlib can write, and what the page's style calls them
INK, FAINT, OWN, OTHER = "#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04"
_NAMED = {INK: "currentColor", FAINT: "var(--faint)", OWN: "var(--accent)", OTHER: "var(--other)"}
_STYLE: dict[str, Any] = {
    **{"svg.fonttype": "none", "svg.hashsalt": "ncaudit", "font.family": "sans-serif", "font.size": 9},
    **{name: INK for name in ("text.color", "axes.labelcolor", "xtick.color", "ytick.color")},
    **{"axes.edgecolor": FAINT, "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.8},
    **{"axes.facecolor": "none", "figure.facecolor": "none", "savefig.facecolor": "none", "legend.frameon": False},
}
_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
_COSINE = "plain cosine"  # as the sentences beside the chart call it
WIDE = (5.2, 2.7)  # inches, of which a screen 360 pixels wide is 4.6: words are still read there
_GRID_COLOUR = (0.30, 0.47, 0.78)  # of a picture, which no style reaches: seen on white and on black


def scores(told: ScoreChart) -> Markup:
    """Observed against random pairs, with the label as a curve and the cuts as lines."""
    with _Drawing(*WIDE) as drawing:
        axes = drawing.axes
        axes.stairs(told.observed, told.edges, fill=True, color=OWN, alpha=0.45, label="pairs as given")
        if told.random is not None:
            axes.stairs(told.random, told.edges, color=OTHER, linewidth=1.4, label="random pairs")
        axes.set(xlabel="score", yticks=[], xlim=(told.edges[0], told.edges[-1]))
        axes.spines["left"].set_visible(False)
        if len(told.at):
            _label_curve(axes, told)
        axes.legend(loc="upper left", fontsize=8)
        return drawing.svg("Scores of the pairs as given and of random pairs, with the soft label as a curve")


def _label_curve(axes: Any, told: ScoreChart) -> None:
    right = axes.twinx()
    right.plot(told.at, told.label, color=INK, linewidth=1.2)
    right.set(ylim=(0, 1.04), ylabel="soft label (line)", yticks=[0, 0.5, 1])
    right.spines["left"].set_visible(False)
    for word, place in told.cuts.items():
        right.axvline(place, color=FAINT, linewidth=1, linestyle=(0, (3, 2)))
        side = {"ha": "right", "text": "noisy "} if word == "noisy" else {"ha": "left", "text": " clean"}
        right.text(place, 1.04, side["text"], ha=side["ha"], va="bottom", fontsize=8)


def label_and_cosine(grid: Grid) -> Markup:
    """How many rows have which label and cosine, darker where there are more."""
    with _Drawing(*WIDE) as drawing:
        axes = drawing.axes
        shade = np.log1p(grid.counts) / max(1e-9, float(np.log1p(grid.counts).max()))
        image = np.zeros((*shade.shape, 4))
        image[..., :3], image[..., 3] = _GRID_COLOUR, np.where(shade > 0, 0.15 + 0.85 * shade, 0)
        extent = (grid.low, grid.high, 0, 1)
        axes.imshow(image, origin="lower", aspect="auto", extent=extent, interpolation="nearest")
        axes.set(xlabel="cosine similarity", ylabel="soft label", yticks=[0, 0.5, 1], ylim=(-0.02, 1.02))
        return drawing.svg("Soft label against cosine similarity: how many pairs have which")


def reliability(bins: Sequence[ReliabilityBin]) -> Markup:
    """What labels promise against what is true, with 90 % intervals."""
    with _Drawing(3.4, 2.9) as drawing:
        axes = drawing.axes
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (3, 2)))
        promised, seen = ([getattr(one, name) for one in bins] for name in ("promised", "observed"))
        below = [one.observed - one.observed_low for one in bins]
        above = [one.observed_high - one.observed for one in bins]
        axes.errorbar(promised, seen, yerr=[below, above], fmt="o", ms=4, color=OWN, ecolor=OWN, elinewidth=1.2)
        ticks = [0, 0.5, 1]
        axes.set(xlabel="soft label (promised)", ylabel="share that match", xticks=ticks, yticks=ticks)
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
        return drawing.svg("Reliability: share of matching pairs against the soft label", narrow=True)


def power(told: Sequence[Mapping[str, Any]], kinds: Mapping[str, str]) -> Markup:
    """How well each kind of mismatch is told from matches (AUROC), by this scorer and by the plain cosine."""
    with _Drawing(4.6, 0.9 + 0.36 * len(kinds)) as drawing:
        axes, names = drawing.axes, list(kinds)
        marks = (("o", OWN), ("D", OTHER))
        for place, name in enumerate(names):
            axes.plot([0.5, 1], [place, place], color=FAINT, linewidth=0.8, zorder=0)
            for (mark, colour), one in zip(marks, told, strict=False):
                if one["auroc"].get(name) is not None:
                    axes.plot(one["auroc"][name], place, mark, color=colour, ms=6, mew=0)
        for (mark, colour), one in zip(marks, told, strict=False):
            label = _COSINE if one["scorer"] == "clip-score" else one["scorer"]
            axes.plot([], [], mark, color=colour, ms=6, mew=0, label=label)
        axes.set(xlim=(0.48, 1.01), ylim=(len(names) - 0.5, -0.6), xticks=[0.5, 0.75, 1])
        axes.set_yticks(range(len(names)), [kinds[name] for name in names])
        axes.set_xlabel("AUROC: 0.5 is guessing, 1 is perfect")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.legend(loc="upper center", bbox_to_anchor=(0.4, 1.22), ncols=2, fontsize=8)
        return drawing.svg("How well each kind of mismatch is told from matching pairs")


class _Drawing:
    """One chart: axes to draw on, and then its SVG."""

    def __init__(self, width: float, height: float) -> None:
        import matplotlib

        self._context = matplotlib.rc_context(_STYLE)
        self._size = (width, height)

    def __enter__(self) -> "_Drawing":
        from matplotlib.figure import Figure

        self._context.__enter__()
        self._figure = Figure(figsize=self._size, layout="constrained")
        self.axes: Any = self._figure.add_subplot()
        return self

    def __exit__(self, *error: Any) -> None:
        self._context.__exit__(*error)

    def svg(self, title: str, *, narrow: bool = False) -> Markup:
        """The drawing, with a name for people who cannot see it. narrow: it takes half the width of the others."""
        file = io.StringIO()
        self._figure.savefig(file, format="svg", metadata=_METADATA, transparent=True)
        return Markup(_for_page(file.getvalue(), title, "chart narrow" if narrow else "chart"))


def _for_page(svg: str, title: str, kind: str) -> str:
    """What stands in HTML: without an XML head, ids that no other chart has, sizes and colours left to the style."""
    body = svg[svg.index("<svg") :]
    for colour, name in _NAMED.items():
        body = body.replace(colour, name)
    prefix = re.sub(r"[^a-z]+", "-", title.lower())[:24]
    body = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', body)
    body = re.sub(r'(xlink:href="|url\()#', rf"\1#{prefix}-", body)
    for part in ("metadata", "style"):
        body = re.sub(rf"<{part}\b.*?</{part}>\s*", "", body, flags=re.DOTALL)
    head = re.match(r'<svg[^>]*viewBox="([^"]+)"[^>]*>', body)
    assert head is not None
    opened = (
        f'<svg class="{kind}" role="img" aria-label="{title}" viewBox="{head[1]}" '
        'xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return opened + re.sub(r"\n\s*", "\n", body[head.end() :]).strip()
