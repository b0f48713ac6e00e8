"""Seeded camera views: a picture as a hand-held phone might photograph the thing in it.

The picture is taken for a flat thing that lies on a surface. A view tilts and turns it, frames it
loosely or cuts into it, lays a finger or a glare over it, lights it unevenly, and passes it
through lens, sensor and JPEG. What is drawn depends on seed and index alone, never on the picture,
so that one view of two pictures differs in nothing but the pictures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kenspeckle.image.camera import View, reduced, surface_colours

if TYPE_CHECKING:
    from PIL import Image


def draw_view(seed: int, index: int, strength: float = 1.0) -> View:
    """The parameters of view number `index` of a seed.

    `strength` scales how far a view strays: 0 changes nothing but the frame, 1 is a phone held
    in haste.
    """
    rng = np.random.default_rng((seed, index))

    def spread(sigma: float, most: float) -> float:
        return float(np.clip(rng.normal(0, sigma), -most, most)) * strength

    def some(chance: float, low: float, high: float) -> float:
        chosen, value = rng.random() < chance, float(rng.uniform(low, high))
        return value * strength if chosen else 0.0

    turn, pitch, yaw = spread(8, 20), spread(13, 32), spread(13, 32)
    close = rng.random() < 0.2
    scale = float(rng.uniform(1.0, 1.15) if close else rng.uniform(0.6, 1.0))
    room = 0.35 * (1 - scale) + 0.03
    warm, green = spread(0.06, 0.14), spread(0.025, 0.06)
    colours = surface_colours(rng)
    cover = str(rng.choice(("finger", "glare"))) if rng.random() < 0.3 * strength else ""
    side = rng.integers(4)
    along, across = float(rng.uniform(-0.35, 0.35)), float(rng.uniform(0.38, 0.5))
    edge = ((along, across), (along, -across), (across, along), (-across, along))[side]
    return View(
        turn=turn,
        pitch=pitch,
        yaw=yaw,
        scale=1 + (scale - 1) * min(strength, 1.2),
        shift=(
            float(rng.uniform(-1, 1)) * room * strength,
            float(rng.uniform(-1, 1)) * room * strength,
        ),
        aspect=float(rng.choice((0.0, 0.0, 0.75, 4 / 3))) if strength > 0 else 0.0,
        gain=float(np.exp(spread(0.15, 0.35))),
        contrast=float(np.exp(spread(0.1, 0.28))),
        cast=(1 + warm, 1 + green, 1 - warm),
        shade=some(0.7, 0.05, 0.45),
        shade_angle=float(rng.uniform(0, 360)),
        blur=some(0.65, 0.2, 1.5),
        noise=some(0.75, 1.0, 9.0),
        quality=int(rng.integers(45, 93)) if strength > 0 else 0,
        cover=cover,
        cover_at=edge if cover == "finger" else (along, float(rng.uniform(-0.35, 0.35))),
        cover_size=float(rng.uniform(0.07, 0.15)),
        surface=str(rng.choice(("flat", "gradient", "grain", "grain"))),
        surface_colours=colours,
        seed=int(rng.integers(1 << 31)),
    )


def camera_views(
    image: Image.Image, count: int, seed: int, strength: float = 1.0
) -> list[Image.Image]:
    """`count` camera views of `image` (mode RGB), always the same for a seed and strength.

    >>> from PIL import Image
    >>> [view.mode for view in camera_views(Image.new("RGB", (60, 40)), 2, seed=7)]
    ['RGB', 'RGB']
    """
    small = reduced(image)
    return [draw_view(seed, index, strength).draw(small) for index in range(count)]
