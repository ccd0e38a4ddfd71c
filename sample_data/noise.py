"""Six kinds of noise, planted in rows whose truth is known. Knows captions and facts; nothing of files or models."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random

from drawing import jpeg, placeholder, render
from grammar import Caption, Piece, describe, stated_facts, text
from scenes import (
    ARRANGEMENTS,
    BACKGROUNDS,
    COLOURS,
    POSITIONS,
    SHAPES,
    SIZES,
    TEXTURES,
    Scene,
    below,
    false_facts,
    pick,
    truth,
)

COUNTS = {"shuffled": 240, "near_miss": 120, "boilerplate": 72, "placeholder": 60, "garbage": 60, "truncated": 48}
BOILERPLATE = (
    "image coming soon", "click to enlarge", "no image available", "all rights reserved", "product photo",
    "share on social media", "read more ...", "untitled", "featured image", "thumbnail", "my favourite picture",
    "this image has been removed",
)  # fmt: skip
FOREIGN = (
    "Guten Morgen aus Hamburg", "Hinweise zur Nutzung dieser Seite", "Chào mừng bạn đến với cửa hàng",
    "Xem thêm bài viết liên quan", "今日の天気はとても良いです", "送料無料で発送します", "Сегодня хорошая погода",
    "Подписывайтесь на наш канал", "Recette facile pour le dimanche", "Livraison gratuite en France",
    "صباح الخير يا أصدقاء", "Ofertas de la semana en la tienda",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One row. `scene` is None when the picture shows no scene; `jpg` is set when it is not the scene's own."""

    scene: Scene | None
    seed: int
    caption: Caption
    noise_type: str = "none"
    jpg: bytes = b""

    @property
    def truth(self) -> float:
        """Share of the stated facts that hold of the picture."""
        return truth(stated_facts(self.caption), self.scene) if self.scene else 0.0

    @property
    def is_match(self) -> bool:
        """Whether the caption states something, and nothing but the truth; a cut-off caption often still does."""
        return self.truth == 1.0

    def image(self) -> bytes:
        """The picture as JPEG."""
        return self.jpg or jpeg(render(self.scene, self.seed))


def clean_pairs(scenes: list[Scene], split: str) -> list[Pair]:
    """Each scene with one picture and one true caption."""
    return [
        Pair(scene=scene, seed=Random(f"{split} picture {i}").getrandbits(32), caption=caption_of(scene, split, i))
        for i, scene in enumerate(scenes)
    ]


def caption_of(scene: Scene, split: str, row: int, nth: int = 0) -> Caption:
    """The nth caption of a row; near-miss asks again for the same row with a scene changed in one place."""
    return describe(scene, Random(f"{split} caption {row} {nth}"))


def add_noise(pairs: list[Pair], split: str) -> list[Pair]:
    """Plant COUNTS rows of every kind in rows drawn at random; the rest stay as they are."""
    rng, noisy = Random(f"{split} noise"), list(pairs)
    rows = iter(shuffled_rows(len(pairs), rng))
    for kind, count in COUNTS.items():
        chosen = [next(rows) for _ in range(count)]
        for row, pair in zip(chosen, PLANTERS[kind](pairs, chosen, split, rng), strict=True):
            noisy[row] = replace(pair, noise_type=kind)
    return noisy


def shuffled_rows(n: int, rng: Random) -> list[int]:
    """The numbers below n in random order (`Random.shuffle` may change between Python versions)."""
    return sorted(range(n), key=[rng.random() for _ in range(n)].__getitem__)


def _shuffled(pairs: list[Pair], rows: list[int], split: str, rng: Random) -> list[Pair]:
    """Captions change places among the chosen rows, until none is wholly true of its new picture."""
    while True:
        captions = [pairs[rows[other]].caption for other in shuffled_rows(len(rows), rng)]
        mixed = [replace(pairs[row], caption=caption) for row, caption in zip(rows, captions, strict=True)]
        if not any(pair.is_match for pair in mixed):
            return mixed


def _near_miss(pairs: list[Pair], rows: list[int], split: str, rng: Random) -> Iterator[Pair]:
    """The same caption with exactly one of its facts changed."""
    for row in rows:
        wrong = pairs[row].caption
        while false_facts(stated_facts(wrong), pairs[row].scene) != 1:
            wrong = caption_of(change_one_thing(pairs[row].scene, rng), split, row)
        yield replace(pairs[row], caption=wrong)


def change_one_thing(scene: Scene, rng: Random) -> Scene:
    """The scene with one field drawn anew (it may come out the same)."""
    sizes = {"shape": len(SHAPES), "colour": len(COLOURS), "texture": len(TEXTURES), "size": len(SIZES)}
    field = pick(rng, (*sizes, *sizes, "background", "place", "count"))
    if field in sizes:
        which = below(rng, len(scene.things))
        things = list(scene.things)
        things[which] = things[which]._replace(**{field: below(rng, sizes[field])})
        return scene._replace(things=tuple(things))
    if field == "background":
        return scene._replace(background=below(rng, len(BACKGROUNDS)))
    if field == "count":
        return scene._replace(count=5 - scene.count) if scene.kind == "some" else scene
    places = {"one": len(POSITIONS), "some": len(ARRANGEMENTS), "two": 2}
    return scene._replace(place=below(rng, places[scene.kind]))


def _boilerplate(pairs: list[Pair], rows: list[int], split: str, rng: Random) -> Iterator[Pair]:
    """A phrase that would fit any picture, used many times over."""
    for row in rows:
        yield replace(pairs[row], caption=(Piece(pick(rng, BOILERPLATE)),))


def _placeholder(pairs: list[Pair], rows: list[int], split: str, rng: Random) -> Iterator[Pair]:
    """One picture for all: half with equal bytes, half encoded again, each at its own quality."""
    for nth, row in enumerate(rows):
        quality = 88 if nth % 2 == 0 else 55 + nth // 2
        yield replace(pairs[row], scene=None, jpg=jpeg(placeholder(), quality))


def _garbage(pairs: list[Pair], rows: list[int], split: str, rng: Random) -> Iterator[Pair]:
    """Half sentences in other languages about other things, half file names, letters and broken encodings."""
    for nth, row in enumerate(rows):
        words = f"{pick(rng, FOREIGN)} {1 + below(rng, 99)}" if nth % 2 == 0 else _debris(rng)
        yield replace(pairs[row], caption=(Piece(words),))


def _debris(rng: Random) -> str:
    """A file name, keys hit at random, a path, or text decoded with the wrong table."""
    number, letters = 10_000 + below(rng, 90_000), "".join(pick(rng, tuple("bcdfghjklmnpqrstvwxz")) for _ in range(9))
    accented = tuple(line for line in FOREIGN if not line.isascii())
    mojibake = pick(rng, accented).encode()[:24].decode("latin-1").translate({c: "?" for c in range(0x7F, 0xA1)})
    path = f"/static/img/{letters}.png?v={number}"
    return pick(rng, (f"IMG_{number}.JPG", f"{letters[:5]} {letters[5:]}", path, mojibake))


def _truncated(pairs: list[Pair], rows: list[int], split: str, rng: Random) -> Iterator[Pair]:
    """The first 20 to 60 % of the characters, even in mid-word; a fact counts as stated if all its words are left."""
    for row in rows:
        caption = pairs[row].caption
        yield replace(pairs[row], caption=cut(caption, int(len(text(caption)) * (0.2 + 0.4 * rng.random()))))


def cut(caption: Caption, length: int) -> Caption:
    """The first `length` characters of a caption.

    >>> text(cut((Piece("a"), Piece("red"), Piece("square")), 9))
    'a red squ'
    """
    kept: list[Piece] = []
    for piece in caption:
        room = length - len(text(tuple(kept))) - bool(kept)
        if room < len(piece.words):
            rest = piece.words[: max(room, 0)].rstrip()
            return (*kept, Piece(rest)) if rest else tuple(kept)
        kept.append(piece)
    return tuple(kept)


Planter = Callable[[list[Pair], list[int], str, Random], "list[Pair] | Iterator[Pair]"]
PLANTERS: dict[str, Planter] = {
    "shuffled": _shuffled, "near_miss": _near_miss, "boilerplate": _boilerplate,
    "placeholder": _placeholder, "garbage": _garbage, "truncated": _truncated,
}  # fmt: skip
