"""What can be in a picture, and what can be said about it. Knows nothing of pixels, words or noise.

Every draw goes through `random.Random.random()`, the one method whose sequence Python promises never to change.
"""

from itertools import permutations
from random import Random
from typing import NamedTuple, TypeVar

SHAPES = ("circle", "square", "triangle", "diamond", "pentagon", "hexagon",
          "star", "cross", "ring", "heart", "crescent", "arrow")  # fmt: skip
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey")
TEXTURES = ("plain", "striped", "dotted", "checked")
SIZES = ("small", "medium", "large")
BACKGROUNDS = ("sky", "grass", "sand", "snow", "night", "brick",
               "wood", "water", "paper", "sunset", "tiles", "concrete")  # fmt: skip
POSITIONS = ("top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right")
ARRANGEMENTS = ("row", "column", "diagonal")
RELATIONS = ("left of", "above", "right of", "below")  # a scene holds one of the first two, a caption any of the four
INVERSE = (2, 3, 0, 1)
KINDS = ("one", "some", "two")

T = TypeVar("T")


class Thing(NamedTuple):
    """One object; every field is an index into its list above."""

    shape: int
    colour: int
    texture: int
    size: int


class Scene(NamedTuple):
    """`kind` one: an object at position `place`; some: `count` equal ones in arrangement `place`; two: a relation."""

    kind: str
    things: tuple[Thing, ...]
    count: int
    place: int
    background: int


class Fact(NamedTuple):
    """One thing a caption states: `slot` is the object it speaks of, or -1 for the whole picture."""

    slot: int
    name: str
    value: int


def pick(rng: Random, options: tuple[T, ...]) -> T:
    """One of `options`; always one draw, so that two captions of equal seed keep the same structure."""
    return options[int(rng.random() * len(options))]


def below(rng: Random, n: int) -> int:
    """A whole number in [0, n), from one draw."""
    return int(rng.random() * n)


def random_thing(rng: Random) -> Thing:
    """Any object."""
    return Thing(below(rng, len(SHAPES)), below(rng, len(COLOURS)), below(rng, len(TEXTURES)), below(rng, len(SIZES)))


def random_scene(rng: Random) -> Scene:
    """Any scene: 35 % one object, 25 % equal objects, 40 % two different ones."""
    draw, first, background = rng.random(), random_thing(rng), below(rng, len(BACKGROUNDS))
    if draw < 0.35:
        return Scene("one", (first,), 1, below(rng, len(POSITIONS)), background)
    if draw < 0.60:
        return Scene("some", (first,), 2 + below(rng, 2), below(rng, len(ARRANGEMENTS)), background)
    second = random_thing(rng)
    while second.shape == first.shape or second.colour == first.colour:  # a caption must be able to tell them apart
        second = random_thing(rng)
    return Scene("two", (first, second), 2, below(rng, 2), background)


def distinct_scenes(rng: Random, n: int, taken: set[Scene]) -> list[Scene]:
    """`n` scenes, none equal to another or to one in `taken`, which they join."""
    scenes: list[Scene] = []
    while len(scenes) < n:
        scene = random_scene(rng)
        if scene not in taken:
            taken.add(scene)
            scenes.append(scene)
    return scenes


def split_scenes(seed: int, **sizes: int) -> dict[str, list[Scene]]:
    """Scenes of each split, disjoint. A split depends only on the seed and on the splits named before it.

    >>> parts = split_scenes(0, a=3, b=2)
    >>> [len(part) for part in parts.values()], len(set(parts["a"]) & set(parts["b"]))
    ([3, 2], 0)
    """
    taken: set[Scene] = set()
    return {name: distinct_scenes(Random(f"{seed} {name}"), n, taken) for name, n in sizes.items()}


def all_facts(scene: Scene, order: tuple[int, ...]) -> set[Fact]:
    """Everything that may be said of a scene when the objects are named in this order."""
    facts = {Fact(-1, "background", scene.background)}
    for slot, index in enumerate(order):
        facts |= {Fact(slot, name, value) for name, value in scene.things[index]._asdict().items()}
    if scene.kind == "one":
        facts.add(Fact(-1, "position", scene.place))
    elif scene.kind == "some":
        facts |= {Fact(-1, "count", scene.count), Fact(-1, "arrangement", scene.place)}
    else:
        facts.add(Fact(-1, "relation", scene.place if order == (0, 1) else INVERSE[scene.place]))
    return facts


def false_facts(stated: tuple[Fact, ...], scene: Scene) -> int:
    """How many of the stated facts do not hold, under the kindest reading of which object is meant."""
    orders = permutations(range(len(scene.things)))
    return min(sum(fact not in known for fact in stated) for known in (all_facts(scene, order) for order in orders))


def truth(stated: tuple[Fact, ...], scene: Scene) -> float:
    """Share of the stated facts that hold of the scene, in [0, 1]; 0 for a caption that states nothing.

    >>> scene = Scene("one", (Thing(0, 0, 0, 0),), 1, 4, 2)
    >>> truth((Fact(0, "shape", 0), Fact(0, "colour", 5)), scene), truth((), scene)
    (0.5, 0.0)
    """
    return 1 - false_facts(stated, scene) / len(stated) if stated else 0.0
