"""What is measured: one way to train, on one draw of noise, told on the test photos of one part of the world.

Knows names and numbers; nothing of data or training.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from learnt.methods import BEST, CONFIRMED, GRID, METHODS
from learnt.noise import KINDS, RATES

RENDERED, PHOTOS = "rendered", "photos"
WORLDS = (RENDERED, PHOTOS)
FIRST, CONFIRM, REST = "first", "confirm", "grid"
PHASES = (FIRST, CONFIRM, REST)
SHOWN = ("random", 0.4)  # where all rows are compared
NONE = ("random", 0.0)  # what a method costs where there is no noise


@dataclass(frozen=True)
class Draw:
    """One draw of noise. part: which of the world's test photos, where they take turns to be tested."""

    world: str
    kind: str
    rate: float
    seed: int
    part: int = 0

    def told(self) -> str:
        """For people."""
        part = f", part {self.part}" if self.world == PHOTOS else ""
        return f"{self.world}, {self.kind} {self.rate:.0%}, seed {self.seed}{part}"


@dataclass(frozen=True)
class Sizes:
    """How much of everything. A change of any of them makes other figures."""

    train_pairs: int = 4_000  # of the rendered world
    test_pairs: int = 4_000
    val_pairs: int = 500
    epochs: int = 6
    batch_pairs: int = 128
    learning_rate: float = 2e-3
    parts: int = 3  # of the photos: each is tested once for every seed
    captions: int = 3  # per photo that is learnt from; tests have all of them
    head: str = "mlp"
    head_epochs: int = 10
    head_batch_pairs: int = 1_024
    head_learning_rate: float = 1e-3

    def of(self, world: str) -> dict[str, float | str]:
        """Those that a world's figures depend on, as a line of the state file tells them."""
        every = asdict(self)
        apart = list(every).index("parts")
        names = list(every)[apart:] if world == PHOTOS else list(every)[:apart]
        return {name: every[name] for name in names}


@dataclass(frozen=True)
class Form:
    """Which draws: all within three hours on two cores, or a few within ten minutes."""

    sizes: Sizes
    choosing: Sequence[int]  # seeds on which the best is found
    confirming: Sequence[int]  # seeds that are quoted
    grid: Sequence[int]  # those of them for every kind and rate; else two thirds of the time would go there
    kinds: Sequence[str] = KINDS
    rates: Sequence[float] = RATES
    methods: Sequence[str] = tuple(METHODS)


LONG = Form(Sizes(), choosing=(0, 1), confirming=(10, 11, 12, 13, 14), grid=(10,))
SHORT = Form(
    Sizes(
        train_pairs=1_000, test_pairs=1_000, val_pairs=200, epochs=4, captions=1, head_epochs=5, head_batch_pairs=256,
    ),
    choosing=(0,), confirming=(10,), grid=(), methods=tuple(METHODS)[:8],
)  # fmt: skip


def draws(form: Form, world: str, phase: str) -> Iterator[tuple[Draw, tuple[str, ...]]]:
    """Every draw of noise of a phase, with the rows to measure on it; `BEST` stands for what the first phase found."""
    kind, rate = SHOWN
    if phase == FIRST:
        yield from _draws(form, world, [(kind, rate)], form.choosing, tuple(form.methods))
    elif phase == CONFIRM:
        yield from _draws(form, world, [(kind, rate)], form.confirming, CONFIRMED)
    else:
        yield from _draws(form, world, [each for each in noises(form) if each != SHOWN], form.grid, GRID)


def noises(form: Form) -> list[tuple[str, float]]:
    """Every kind and rate, and none."""
    return [NONE, *((kind, rate) for kind in form.kinds for rate in form.rates)]


def _draws(
    form: Form, world: str, noise: Sequence[tuple[str, float]], seeds: Sequence[int], names: tuple[str, ...]
) -> Iterator[tuple[Draw, tuple[str, ...]]]:
    for seed in seeds:
        for kind, rate in noise:
            for part in range(form.sizes.parts if world == PHOTOS else 1):
                yield Draw(world, kind, rate, seed, part), names


def meant(names: Sequence[str], best: str | None) -> list[str]:
    """The rows by their own names: `BEST` is the one that won, and left out where it is another row already."""
    found = [best if name == BEST else name for name in names]
    return list(dict.fromkeys(name for name in found if name is not None))
