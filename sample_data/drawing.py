"""Draws a scene as 64×64 pixels, with numpy alone. Knows nothing of captions or files.

All randomness comes from `RandomState`, whose stream numpy froze (NEP 19): the same seed stays the same picture.
"""

import io
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scenes import ARRANGEMENTS, BACKGROUNDS, COLOURS, POSITIONS, RELATIONS, SHAPES, TEXTURES, Scene, Thing

SIDE = 64
Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

RGB = dict(zip(COLOURS, [
    (214, 39, 40), (245, 140, 25), (242, 214, 41), (52, 160, 60), (42, 92, 212), (130, 60, 180),
    (244, 130, 190), (120, 72, 32), (28, 28, 30), (244, 244, 240), (134, 136, 140),
], strict=True))  # fmt: skip
RADII = {"one": (8, 12, 17), "some": (6, 8, 11), "two": (7, 10, 14)}  # pixels, small to large; several must fit
NEAR, MID, FAR = 17, 32, 47
CENTRES = dict(zip(POSITIONS, [(x, y) for y in (NEAR, MID, FAR) for x in (NEAR, MID, FAR)], strict=True))
POLYGONS = {  # corners in [-1, 1], y downwards; written out, because sine and cosine differ between machines
    "triangle": [(0, -0.95), (0.95, 0.8), (-0.95, 0.8)],
    "pentagon": [(0, -1), (0.951, -0.309), (0.588, 0.809), (-0.588, 0.809), (-0.951, -0.309)],
    "hexagon": [(-0.5, -0.866), (0.5, -0.866), (1, 0), (0.5, 0.866), (-0.5, 0.866), (-1, 0)],
    "star": [(0, -1), (0.235, -0.324), (0.951, -0.309), (0.38, 0.124), (0.588, 0.809),
             (0, 0.4), (-0.588, 0.809), (-0.38, 0.124), (-0.951, -0.309), (-0.235, -0.324)],
    "arrow": [(-1, -0.32), (0.1, -0.32), (0.1, -0.85), (1, 0), (0.1, 0.85), (0.1, 0.32), (-1, 0.32)],
}  # fmt: skip


def render(scene: Scene, seed: int) -> Pixels:
    """The scene as (64, 64, 3) uint8; the seed moves objects a little and changes the light, never a fact."""
    rng = np.random.RandomState(seed)
    image = np.roll(backdrop(BACKGROUNDS[scene.background]), rng.randint(SIDE), axis=1)
    for thing, centre in zip(_things(scene), _centres(scene), strict=True):
        _paint(image, thing, scene.kind, centre + rng.randint(-2, 3, size=2), rng.randint(-12, 13, size=3))
    light = 0.85 + 0.3 * rng.random_sample()
    return np.clip(image * light, 0, 255).astype(np.uint8)


def jpeg(pixels: Pixels, quality: int = 88) -> bytes:
    """Encode as JPEG. The bytes depend on the installed libjpeg; the pixels before it do not."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def placeholder() -> Pixels:
    """The picture a shop shows when it has none: a pale card, a frame and a broken-image sign."""
    y, x = np.mgrid[:SIDE, :SIDE]
    card = np.full((SIDE, SIDE, 3), 226, np.uint8)
    card[(np.maximum(abs(x - 31.5), abs(y - 31.5)) > 22) & (np.maximum(abs(x - 31.5), abs(y - 31.5)) < 24)] = 168
    card[(abs(x - y) < 2) & (abs(x - 31.5) < 14)] = 190
    card[(abs(x + y - 63) < 2) & (abs(x - 31.5) < 14)] = 190
    return card


@cache
def backdrop(name: str) -> Floats:
    """The background (64, 64, 3) of a name, before light and noise; it may be rolled sideways."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    grain = np.random.RandomState(BACKGROUNDS.index(name)).random_sample((32, 32)).repeat(2, 0).repeat(2, 1)
    brick_edge = (y % 8 < 1) | ((x + 8 * (y // 8 % 2)) % 16 < 1)
    waves = np.abs((x + 4 * (y // 8 % 2)) % 16 - 8) / 2 + 2
    mix, dark, pale = {
        "sky": (y / SIDE, (110, 170, 235), (205, 230, 250)),
        "grass": (grain, (70, 125, 45), (125, 180, 85)),
        "sand": (grain, (205, 180, 125), (228, 208, 160)),
        "snow": ((x + 2 * y) % 32 / 32, (205, 215, 232), (240, 244, 250)),
        "night": (grain > 0.97, (22, 24, 58), (235, 235, 200)),
        "brick": (brick_edge, (150, 75, 58), (205, 195, 185)),
        "wood": (np.minimum(y % 12 / 6, 1), (118, 80, 45), (178, 132, 84)),
        "water": (np.abs(y % 8 - waves) < 1.5, (45, 120, 160), (150, 205, 220)),
        "paper": (y % 7 >= 1, (120, 150, 210), (247, 245, 236)),
        "sunset": (y / SIDE, (105, 60, 130), (255, 165, 90)),
        "tiles": ((x // 16 + y // 16) % 2, (150, 155, 158), (205, 208, 208)),
        "concrete": (grain, (150, 148, 142), (166, 164, 158)),
    }[name]
    share = np.asarray(mix, np.float32)[:, :, None]
    return np.float32(dark) * (1 - share) + np.float32(pale) * share


def _things(scene: Scene) -> tuple[Thing, ...]:
    return scene.things * scene.count if scene.kind == "some" else scene.things


def _centres(scene: Scene) -> list[tuple[int, int]]:
    """Where each object goes, as (x, y) pixels."""
    if scene.kind == "one":
        return [CENTRES[POSITIONS[scene.place]]]
    if scene.kind == "two":
        return [(NEAR, MID), (FAR, MID)] if RELATIONS[scene.place] == "left of" else [(MID, NEAR), (MID, FAR)]
    along = (NEAR, FAR) if scene.count == 2 else (12, MID, 52)
    arrangement = ARRANGEMENTS[scene.place]
    return [(MID if arrangement == "column" else a, MID if arrangement == "row" else a) for a in along]


def _paint(image: Floats, thing: Thing, kind: str, centre: Floats, tint: Floats) -> None:
    """Draw one object onto the image, with an outline, so that white on snow can still be seen."""
    radius = RADII[kind][thing.size]
    left, top = (int(c) - radius - 1 for c in centre)
    box = slice(max(top, 0), top + 2 * radius + 2), slice(max(left, 0), left + 2 * radius + 2)
    target = image[box]
    offset_y, offset_x = max(-top, 0), max(-left, 0)
    cut = slice(offset_y, offset_y + target.shape[0]), slice(offset_x, offset_x + target.shape[1])
    outline, body = (stencil(SHAPES[thing.shape], radius, inset)[cut] for inset in (0.0, 1.0))
    colour = np.float32(RGB[COLOURS[thing.colour]]) + tint
    edge = np.float32(40) if colour.mean() > 70 else np.float32(190)
    second = colour * 0.55 if colour.mean() > 115 else colour * 0.6 + 102
    pattern = texture_mask(TEXTURES[thing.texture])[box]
    target += outline * (edge - target)
    target += body * (np.where(pattern, second, colour) - target)


@cache
def texture_mask(name: str) -> NDArray[np.bool_]:
    """Where the second tone of a texture goes, (64, 64, 1)."""
    y, x = np.mgrid[:SIDE, :SIDE]
    mask = {
        "plain": np.zeros((SIDE, SIDE), bool),
        "striped": (x + y) // 3 % 2 == 1,
        "dotted": (x % 5 - 2) ** 2 + (y % 5 - 2) ** 2 <= 2,
        "checked": (x // 4 + y // 4) % 2 == 1,
    }[name]
    return mask[:, :, None]


@cache
def stencil(shape: str, radius: int, inset: float) -> Floats:
    """How much of each pixel the shape covers, (2·radius+2, 2·radius+2, 1), from 4×4 points a pixel."""
    side = 2 * radius + 2
    steps = ((np.arange(side * 4) + 0.5) / 4 - side / 2) / (radius - inset)
    x, y = np.meshgrid(steps, steps)
    return _inside(shape, x, y).reshape(side, 4, side, 4).mean(axis=(1, 3), dtype=np.float32)[:, :, None]


def _inside(shape: str, x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Whether points lie in a shape of radius 1 around the origin."""
    if shape in POLYGONS:
        return _inside_polygon(POLYGONS[shape], x, y)
    far, near, wide, up = x * x + y * y, np.minimum(abs(x), abs(y)), np.maximum(abs(x), abs(y)), 0.2 - 1.2 * y
    return {
        "circle": far <= 1,
        "square": wide <= 0.85,
        "diamond": abs(x) * 1.4 + abs(y) <= 1,
        "cross": (near <= 0.32) & (wide <= 1),
        "ring": (far <= 1) & (far >= 0.28),
        "heart": ((1.2 * x) ** 2 + up**2 - 1) ** 3 <= (1.2 * x) ** 2 * up**3,
        "crescent": (far <= 1) & ((x - 0.5) ** 2 + y * y >= 0.6),
    }[shape]


def _inside_polygon(corners: list[tuple[float, float]], x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Even-odd rule: a point is inside when a ray to the right crosses the border an odd number of times."""
    inside = np.zeros(x.shape, bool)
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return inside
