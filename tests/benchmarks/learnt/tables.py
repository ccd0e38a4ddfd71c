"""The tables for docs/: every row beside plain training and beside the oracle, photo by photo and seed by seed.

Knows lines of the state file; nothing of how they came about.
"""

from collections.abc import Iterator, Sequence
from statistics import mean

import numpy as np

from learnt.cells import NONE, PHOTOS, RENDERED, SHOWN, Form, noises
from learnt.methods import AUTO, CONFIRMED, FULL, METHODS, ORACLE, PLAIN, SOFT, START
from learnt.paired import Difference, difference
from learnt.winner import Lines, by_seed, winner

EPOCHS = ("last", "chosen")
TITLES = {
    RENDERED: "Rendered world, towers: recall at 1 on clean held-out pairs, both directions, in %",
    PHOTOS: "Photos, heads: mean of recall at 1, 5 and 10 in both directions, in %",
}
NOTHING = "nothing was measured of it yet"
WITHIN = 1.0  # of the best fixed row, in points: what auto is asked for


def tables(lines: Lines, form: Form, worlds: Sequence[str]) -> list[str]:
    """Markdown."""
    told = _machines(lines)
    for world in worlds:
        if any(draw.world == world for draw, _ in lines):
            told += ["", f"## {TITLES[world]}", *_world(lines, form, world)]
    return told


def _world(lines: Lines, form: Form, world: str) -> Iterator[str]:
    best = winner(lines, world, form)
    quoted, first = tuple(form.confirming), tuple(form.choosing)
    noise = f"{SHOWN[1]:.0%} {SHOWN[0]} mismatches"
    yield f"\n**{noise}, fresh seeds {_few(quoted)}** (best of the others: {best or 'not known'})\n"
    rows = [name if name != "best" else best for name in CONFIRMED]
    rows += [name for name in METHODS if set(quoted) <= _seen(lines, world, name, "last", quoted).keys()]
    yield from _rows(lines, world, list(dict.fromkeys(name for name in rows if name)), quoted)
    yield f"\n**All rows, seeds {_few(first)}**, on which the best was chosen: not to be quoted\n"
    yield from _rows(lines, world, list(METHODS), first)
    yield f"\n**Every kind and rate**, last epoch, seeds {_few(tuple(form.grid) or quoted)}\n"
    yield from _grid(lines, form, world, best)
    yield ""
    yield from _asked(lines, form, world, best)
    left_out = {line.method: line.why for (draw, _), line in lines.items() if draw.world == world and line.why}
    yield from (f"- not measured: {name}: {why}" for name, why in left_out.items())


def _rows(lines: Lines, world: str, names: Sequence[str], seeds: Sequence[int]) -> Iterator[str]:
    titles = ("row", "last epoch", "against plain", "against the oracle", "chosen epoch", "against the oracle", "seeds")
    if not any(_seen(lines, world, name, "last", seeds) for name in names):
        yield NOTHING
        return
    yield f"| {' | '.join(titles)} |"
    yield f"|{'---|' * len(titles)}"
    for name in names:
        found = {epoch: _seen(lines, world, name, epoch, seeds) for epoch in EPOCHS}
        if found["last"]:
            last, chosen = found["last"], found["chosen"]
            against = {
                (epoch, other): _told(difference(found[epoch], _seen(lines, world, other, epoch, seeds)))
                for epoch in EPOCHS for other in (PLAIN, ORACLE) if other != name
            }  # fmt: skip
            beside = [against.get(key, "") for key in (("last", PLAIN), ("last", ORACLE), ("chosen", ORACLE))]
            cells = [name, _value(last), *beside[:2], _value(chosen), beside[2], str(len(last))]
            yield f"| {' | '.join(cells)} |"


def _grid(lines: Lines, form: Form, world: str, best: str | None) -> Iterator[str]:
    names = [name for name in dict.fromkeys((START, PLAIN, SOFT, best, AUTO, ORACLE)) if name]
    titles = ("noise", "mismatched", *names, "best - oracle", "best - plain")
    if not any(_of_noise(lines, form, world, noise, name) for noise in noises(form) for name in names):
        yield NOTHING
        return
    yield f"| {' | '.join(titles)} |"
    yield f"|{'---|' * len(titles)}"
    for noise in noises(form):
        found = {name: _of_noise(lines, form, world, noise, name) for name in names}
        if any(found.values()):
            top = best if best and found.get(best) else SOFT
            apart = [_told(difference(found[top], found[other])) for other in (ORACLE, PLAIN)]
            values = [_value(found[name]) for name in names]
            cells = [f"{noise[0]} {noise[1]:.0%}", _mismatched(lines, world, noise), *values, *apart]
            yield f"| {' | '.join(cells)} |"


def _of_noise(lines: Lines, form: Form, world: str, noise: tuple[str, float], name: str) -> dict[int, np.ndarray]:
    seeds = form.grid or form.confirming
    return {seed: rows for seed, rows in by_seed(lines, world, noise, name, "last").items() if seed in seeds}


def _asked(lines: Lines, form: Form, world: str, best: str | None) -> Iterator[str]:
    """Targets beside what was measured."""
    at = {name: _seen(lines, world, name, "last", form.confirming) for name in (PLAIN, ORACLE, FULL, SOFT, best or "")}
    apart = difference(at[best or ""], at[ORACLE]) if best else None
    target = "+1.0 and two standard errors" if world == RENDERED else "0 or more"
    yield f"- best - oracle at 40 %: {_told(apart) or 'not known'}; asked {target}"
    alike = _told(_above_its_oracle(lines, form, world, best))
    yield f"- best - an oracle that learns by the same loss: {alike or 'not known'}"
    within = [_near_the_best(lines, form, world, noise, best) for noise in noises(form) if noise != NONE]
    known = [each for each in within if each is not None]
    yield f"- auto within {WITHIN:g} point of the best fixed row: {sum(known)} of {len(known)} cells; asked 10 of 12"


def _above_its_oracle(lines: Lines, form: Form, world: str, best: str | None) -> Difference | None:
    """What the best row has of labels and recipe alone: this oracle has the same loss. None: it was not measured."""
    by_truth = f"oracle, {METHODS[best].options.get('objective')}" if best else ""
    return difference(*(_seen(lines, world, name, "last", form.confirming) for name in (best or "", by_truth)))


def _near_the_best(lines: Lines, form: Form, world: str, noise: tuple[str, float], best: str | None) -> bool | None:
    """None where it was not measured."""
    auto = _of_noise(lines, form, world, noise, AUTO)
    fixed = [_of_noise(lines, form, world, noise, name) for name in (PLAIN, SOFT, best or SOFT)]
    gaps = [difference(other, auto) for other in fixed]
    if not auto or any(gap is None for gap in gaps):
        return None
    return max(gap.mean for gap in gaps if gap is not None) <= WITHIN


def _seen(lines: Lines, world: str, name: str, epoch: str, seeds: Sequence[int]) -> dict[int, np.ndarray]:
    return {seed: rows for seed, rows in by_seed(lines, world, SHOWN, name, epoch).items() if seed in seeds}


def _mismatched(lines: Lines, world: str, noise: tuple[str, float]) -> str:
    """The share that truly is: the nearest captions are often true, too."""
    shares = [
        line.facts["mismatched"] for (draw, _), line in lines.items()
        if (draw.world, draw.kind, draw.rate) == (world, *noise) and "mismatched" in line.facts
    ]  # fmt: skip
    return f"{mean(shares):.0%}" if shares else ""


def _value(by: dict[int, np.ndarray]) -> str:
    return f"{mean(float(rows.mean()) for rows in by.values()):.2f}" if by else ""


def _told(apart: Difference | None) -> str:
    """Bold where it is two standard errors from nothing."""
    if apart is None:
        return ""
    words = f"{apart.mean:+.2f} ± {apart.error:.2f}"
    return f"**{words}**" if apart.is_beyond_chance and apart.mean else words


def _few(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def _machines(lines: Lines) -> list[str]:
    seen = {
        f"{line.machine['cpu']}, {line.machine['cores']} cores, torch {line.machine['torch']}"
        for line in lines.values()
    }
    codes = sorted({line.code for line in lines.values() if line.code})
    hours = sum(line.cpu_s for line in lines.values()) / 3600
    error = (
        "Differences are paired, over the same seeds and test photos; ± is their standard error over both, and bold is "
        "two of them from nothing."
    )
    return [f"{'; '.join(sorted(seen))}; code {', '.join(codes)}; {hours:.1f} core-hours.", error]
