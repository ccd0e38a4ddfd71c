"""A small grammar: a scene becomes a caption, in pieces that know which fact they state. Knows no pixels or noise."""

from random import Random
from typing import NamedTuple

from scenes import INVERSE, Fact, Scene, Thing, pick

SHAPE_WORDS = (
    ("circle", "disc", "round"), ("square", "box"), ("triangle", "wedge"), ("diamond", "rhombus"),
    ("pentagon", "five sided figure"), ("hexagon", "six sided figure"), ("star", "starlet"), ("cross", "plus sign"),
    ("ring", "hoop", "donut"), ("heart", "love heart"), ("crescent", "half moon"), ("arrow", "pointer"),
)  # fmt: skip
COLOUR_WORDS = (
    ("red", "scarlet", "crimson"), ("orange", "tangerine"), ("yellow", "lemon"), ("green", "emerald"),
    ("blue", "azure", "navy"), ("purple", "violet"), ("pink", "rose"), ("brown", "chocolate"),
    ("black", "jet black"), ("white", "ivory"), ("grey", "gray", "silver"),
)  # fmt: skip
TEXTURE_WORDS = (
    ("plain", "solid"), ("striped", "stripy"), ("dotted", "spotted", "polka dot"), ("checked", "checkered"),
)  # fmt: skip
SIZE_WORDS = (("small", "tiny", "little"), ("medium", "mid sized"), ("large", "big", "huge"))
BACKGROUND_WORDS = (
    ("in the sky", "against a blue sky"), ("on grass", "on a green lawn", "in a meadow"),
    ("on sand", "on the beach"), ("in the snow", "on snow"), ("at night", "under the stars"),
    ("on a brick wall", "against bricks"), ("on wood", "on a wooden table"), ("on water", "over the sea"),
    ("on lined paper", "in a notebook"), ("at sunset", "in the evening glow"), ("on tiles", "on a tiled floor"),
    ("on concrete", "against a bare wall"),
)  # fmt: skip
POSITION_WORDS = (
    ("in the top left", "in the upper left corner"), ("at the top", "near the upper edge"),
    ("in the top right", "in the upper right corner"), ("on the left", "at the left side"),
    ("in the middle", "in the centre"), ("on the right", "at the right side"),
    ("in the bottom left", "in the lower left corner"), ("at the bottom", "near the lower edge"),
    ("in the bottom right", "in the lower right corner"),
)  # fmt: skip
ARRANGEMENT_WORDS = (
    ("in a row", "side by side"), ("in a column", "stacked", "one above the other"), ("diagonally", "along a diagonal"),
)  # fmt: skip
RELATION_WORDS = (
    ("left of", "to the left of"), ("above", "over", "on top of"), ("right of", "to the right of"),
    ("below", "under", "beneath"),
)  # fmt: skip
COUNT_WORDS = {2: ("two", "a pair of", "2"), 3: ("three", "a trio of", "3")}
PREFIXES = (
    "photo of", "stock photo:", "image:", "free clipart,", "HD wallpaper", "vector illustration of", "NEW!",
    "best of 2021 -", "poster with", "sticker,", "art print:", "gallery 12 -", "download", "a picture showing",
)  # fmt: skip
SUFFIXES = (
    "| stock image", "- buy online", "(high resolution)", "#design", "royalty free", "by anna", "- free shipping",
    "| clipart library", "on sale", "1080p", "for kids", "... read more", "- page 3", "isolated icon",
)  # fmt: skip


class Piece(NamedTuple):
    """A few words, and the fact they state (None for words that state nothing)."""

    words: str
    fact: Fact | None = None


Caption = tuple[Piece, ...]


def stated_facts(caption: Caption) -> tuple[Fact, ...]:
    """The facts a caption states."""
    return tuple(piece.fact for piece in caption if piece.fact)


def text(caption: Caption) -> str:
    """The caption as written."""
    return " ".join(piece.words for piece in caption)


def describe(scene: Scene, rng: Random) -> Caption:
    """A true caption of the scene, with web junk 35 % of the time. Equal seeds give equal structure."""
    core = {"one": _one, "some": _some, "two": _two}[scene.kind](scene, rng)
    background = _said(rng, 0.7, Fact(-1, "background", scene.background), BACKGROUND_WORDS)
    leads = rng.random() < 0.2
    return _with_junk(background + core if leads else core + background, rng)


def _said(rng: Random, share: float, fact: Fact, words: tuple[tuple[str, ...], ...]) -> Caption:
    """The fact as one piece with probability `share`, else nothing; two draws either way."""
    said, phrase = rng.random() < share, pick(rng, words[fact.value])
    return (Piece(phrase, fact),) if said else ()


def _adjectives_and_noun(thing: Thing, slot: int, rng: Random, plural: bool = False) -> Caption:
    size = _said(rng, 0.5, Fact(slot, "size", thing.size), SIZE_WORDS)
    texture_share = 0.15 if thing.texture == 0 else 0.6  # nobody writes "plain" as often as "striped"
    texture = _said(rng, texture_share, Fact(slot, "texture", thing.texture), TEXTURE_WORDS)
    colour = _said(rng, 0.9, Fact(slot, "colour", thing.colour), COLOUR_WORDS)
    noun = pick(rng, SHAPE_WORDS[thing.shape])
    noun = _plural(noun) if plural else noun
    return (*size, *texture, *colour, Piece(noun, Fact(slot, "shape", thing.shape)))


def _plural(noun: str) -> str:
    return noun + ("es" if noun.endswith(("s", "x")) else "s")


def _with_article(phrase: Caption) -> Caption:
    article = "an" if phrase[0].words[0] in "aeiou" else "a"
    return (Piece(article), *phrase)


def _one(scene: Scene, rng: Random) -> Caption:
    thing = _with_article(_adjectives_and_noun(scene.things[0], 0, rng))
    return thing + _said(rng, 0.7, Fact(-1, "position", scene.place), POSITION_WORDS)


def _some(scene: Scene, rng: Random) -> Caption:
    count = Piece(pick(rng, COUNT_WORDS[scene.count]), Fact(-1, "count", scene.count))
    things = _adjectives_and_noun(scene.things[0], 0, rng, plural=True)
    return (count, *things, *_said(rng, 0.7, Fact(-1, "arrangement", scene.place), ARRANGEMENT_WORDS))


def _two(scene: Scene, rng: Random) -> Caption:
    """Either object may come first; the relation is turned round with it, or left out."""
    swapped = rng.random() < 0.5
    first, second = scene.things[::-1] if swapped else scene.things
    place = INVERSE[scene.place] if swapped else scene.place
    relation = _said(rng, 0.75, Fact(-1, "relation", place), RELATION_WORDS) or (Piece("and"),)
    named = (_with_article(_adjectives_and_noun(thing, slot, rng)) for slot, thing in enumerate((first, second)))
    return (*next(named), *relation, *next(named))


def _with_junk(caption: Caption, rng: Random) -> Caption:
    """Prefix, suffix or both on 35 % of captions, true or not, so that junk gives nothing away."""
    draw, prefix, suffix = rng.random(), Piece(pick(rng, PREFIXES)), Piece(pick(rng, SUFFIXES))
    if draw < 0.15:
        return (prefix, *caption)
    if draw < 0.30:
        return (*caption, suffix)
    return (prefix, *caption, suffix) if draw < 0.35 else caption
