"""One camera view and how it is drawn: placed on a surface, covered, lit, and taken.

Pillow does the pixels, outside of the interpreter's lock; numpy only makes small tables.
"""

from __future__ import annotations

import functools
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

if TYPE_CHECKING:
    from numpy.typing import NDArray

Colour = tuple[int, int, int]

SIDE = 384
"""Longest side of the picture a view is made from; larger ones are reduced first."""

_DISTANCE = 2.2
"""Of the camera, in longest sides of the thing: an arm's length from a sheet of paper."""
_GRAIN_SIGMA, _GRAIN_SIDE = 20.0, 512
_SKIN = ((224, 182, 158), (186, 138, 108), (122, 84, 62), (84, 56, 44))


@dataclass(frozen=True, slots=True)
class View:
    """The parameters of one camera view. The defaults change nothing.

    turn, pitch, yaw
        Degrees: in the plane of the picture, about its horizontal and its vertical axis.
    scale
        Size of the thing, 1 when it just fits the frame.
    shift
        Its centre, in frame widths and heights from the middle.
    aspect
        Width ÷ height of the frame; 0 for that of the picture.
    gain, contrast, cast
        Brightness and contrast, 1 for unchanged; red, green and blue factors.
    shade, shade_angle
        How much darker (0 … 1) the far end of the frame is, and its direction in degrees.
    blur, noise
        Radius of the lens's blur in pixels of a frame of `SIDE`; sigma in levels of 255.
    quality
        Of the JPEG; 0 for none.
    cover
        `finger` or `glare` over the thing, or empty; `cover_at` its centre, `cover_size` its
        radius, in frame sizes.
    surface
        `flat`, `gradient` or `grain` behind the thing, `surface_colours` its two colours.
    seed
        For the grain of noise and surface.
    """

    turn: float = 0.0
    pitch: float = 0.0
    yaw: float = 0.0
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    aspect: float = 0.0
    gain: float = 1.0
    contrast: float = 1.0
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shade: float = 0.0
    shade_angle: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    quality: int = 0
    cover: str = ""
    cover_at: tuple[float, float] = (0.0, 0.0)
    cover_size: float = 0.0
    surface: str = "flat"
    surface_colours: tuple[tuple[int, int, int], tuple[int, int, int]] = ((0, 0, 0), (0, 0, 0))
    seed: int = 0

    @property
    def kinds(self) -> tuple[str, ...]:
        """What this view changes, to tell which change a model stumbles over."""
        x, y = abs(self.shift[0]), abs(self.shift[1])
        moved = {
            "perspective": bool(self.pitch or self.yaw),
            "rotation": bool(self.turn),
            "crop": self.scale / 2 + max(x, y) > 0.5,
            "light": bool(self.shade) or self.gain != 1 or self.contrast != 1,
            "colour": self.cast != (1, 1, 1),
            "blur": self.blur > 0,
            "noise": self.noise > 0,
            "jpeg": self.quality > 0,
            "occlusion": bool(self.cover),
            "background": self.scale < 1 or bool(self.turn or self.pitch or self.yaw),
        }
        return tuple(kind for kind, is_moved in moved.items() if is_moved)

    def draw(self, image: Image.Image) -> Image.Image:
        """This view of `image` (mode RGB): a new picture, its longest side at most `SIDE`."""
        small = reduced(image)
        scene = _placed(small, self)
        if self.cover:
            _covered(scene, self)
        scene = _lit(scene, self)
        return _taken(scene, self)


def reduced(image: Image.Image) -> Image.Image:
    """`image` with its longest side at most `SIDE`; itself when it is small enough."""
    longest = max(image.size)
    if longest <= SIDE:
        return image
    size = [max(1, round(edge * SIDE / longest)) for edge in image.size]
    return image.resize((size[0], size[1]), Image.Resampling.BILINEAR, reducing_gap=1.5)


def _placed(image: Image.Image, view: View) -> Image.Image:
    """`image` tilted, turned and laid on its surface, with a soft shadow."""
    width, height = image.size
    frame = _frame(width, height, view.aspect)
    if not (view.turn or view.pitch or view.yaw or view.aspect or view.shift != (0, 0)) and (
        view.scale == 1
    ):
        return image.copy()
    corners = _corners(width, height, frame, view)
    # Only the part of the frame that holds the thing is drawn.
    low = np.clip(np.floor(corners.min(axis=0)), 0, frame).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)), low + 1, np.maximum(low + 1, frame)).astype(int)
    x, y, size = int(low[0]), int(low[1]), (int(high[0] - low[0]), int(high[1] - low[1]))
    corners = corners - low
    cover = image.transform(
        size,
        Image.Transform.PERSPECTIVE,
        _homography(corners, width, height),
        Image.Resampling.BILINEAR,
    )
    mask = _mask(corners, size)
    scene = _surface(frame, view)
    _cast_shadow(scene, mask, (x, y))
    scene.paste(cover, (x, y), mask)
    return scene


def _cast_shadow(scene: Image.Image, mask: Image.Image, at: tuple[int, int]) -> None:
    """Darken the surface beside the thing, softly; worked out at an eighth of the size."""
    reach = 32
    small = mask.reduce(8)
    wide = Image.new("L", (small.width + 2 * reach // 8, small.height + 2 * reach // 8))
    wide.paste(small, (reach // 8, reach // 8))
    soft = wide.filter(ImageFilter.GaussianBlur(1.5)).point(_SHADOW)
    shadow = soft.resize((wide.width * 8, wide.height * 8), Image.Resampling.BILINEAR)
    away = max(scene.size) // 64 - reach
    scene.paste((0, 0, 0), (at[0] + away, at[1] + away), shadow)


_SHADOW = [round(level * 0.45) for level in range(256)]


def _frame(width: int, height: int, aspect: float) -> tuple[int, int]:
    """Width and height of the frame: as long as the picture, in its own or the asked aspect."""
    if not aspect:
        return width, height
    longest = max(width, height)
    if aspect > 1:
        return longest, max(1, round(longest / aspect))
    return max(1, round(longest * aspect)), longest


def _corners(width: int, height: int, frame: tuple[int, int], view: View) -> NDArray[np.float64]:
    """Where the four corners of the thing lie in the frame: `(4, 2)`, clockwise, by a pinhole."""
    pitch, yaw, turn = (math.radians(angle) for angle in (view.pitch, view.yaw, view.turn))
    x = np.array([-1, 1, 1, -1]) * width / 2
    y = np.array([-1, -1, 1, 1]) * height / 2
    depth = x * math.sin(yaw) + y * math.sin(pitch)
    near = 1 + depth / (_DISTANCE * max(width, height))
    x, y = x * math.cos(yaw) / near, y * math.cos(pitch) / near
    x, y = x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)
    fit = view.scale * min(frame[0] / width, frame[1] / height)
    return np.stack(
        (
            x * fit + frame[0] * (0.5 + view.shift[0]),
            y * fit + frame[1] * (0.5 + view.shift[1]),
        ),
        axis=1,
    )


def _homography(corners: NDArray[np.float64], width: int, height: int) -> list[float]:
    """Pillow's eight coefficients that lead from the frame back to the picture."""
    source = np.array([(0, 0), (width, 0), (width, height), (0, height)], float)
    rows, right = [], []
    for (x, y), (u, v) in zip(corners, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    return [float(value) for value in np.linalg.solve(np.array(rows), np.array(right))]


def _mask(corners: NDArray[np.float64], frame: tuple[int, int]) -> Image.Image:
    """Where the thing is, with smooth edges; a pixel less, as the outermost ones hold nothing."""
    middle = corners.mean(axis=0)
    away = corners - middle
    inner = middle + away * np.maximum(1 - 1.5 / np.maximum(np.abs(away), 1.5), 0.1)
    double = Image.new("L", (2 * frame[0], 2 * frame[1]))
    ImageDraw.Draw(double).polygon([(2 * x, 2 * y) for x, y in inner.tolist()], fill=255)
    return double.reduce(2)


def surface_colours(rng: np.random.Generator) -> tuple[Colour, Colour]:
    """Two shades of one table, cloth or wall: mostly dull, from nearly black to nearly white."""
    level = rng.uniform(30, 235)
    tint = rng.normal(0, 0.09, 3) + rng.choice((0.0, 0.08)) * np.array([1.0, 0.2, -1.0])
    first = np.clip(level * (1 + tint), 4, 251)
    second = np.clip(first * rng.uniform(0.7, 1.3) + rng.normal(0, 6, 3), 4, 251)
    return _colour(first), _colour(second)


def _colour(values: NDArray[np.float64]) -> Colour:
    red, green, blue = (int(value) for value in values.round())
    return red, green, blue


def _surface(frame: tuple[int, int], view: View) -> Image.Image:
    """What the thing lies on, in the size of the frame."""
    first, second = view.surface_colours
    if view.surface == "flat" or first == second:
        return Image.new("RGB", frame, first)
    if view.surface == "gradient":
        blend = _ramp(view.shade_angle + 90)
    else:
        rng = np.random.default_rng(view.seed)
        coarse, fine = rng.random((5, 5)), rng.random((48, int(rng.choice((6, 24, 48)))))
        blend = 0.7 * _stretched(coarse, 48) + 0.3 * _stretched(fine, 48)
    colours = np.array(first) + blend[..., None] * (np.array(second) - np.array(first))
    small = Image.fromarray(colours.clip(0, 255).astype(np.uint8))
    return small.resize(frame, Image.Resampling.BILINEAR)


def _stretched(values: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    image = Image.fromarray((values * 255).astype(np.uint8))
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC)) / 255.0


def _ramp(angle: float) -> NDArray[np.float64]:
    """`(16, 16)`: 0 at one end of the frame, 1 at the other."""
    along = np.linspace(-1, 1, 16)
    direction = math.radians(angle)
    slope = along[None, :] * math.cos(direction) + along[:, None] * math.sin(direction)
    return np.asarray((slope - slope.min()) / max(float(np.ptp(slope)), 1e-9), np.float64)


def _covered(scene: Image.Image, view: View) -> None:
    """Lay a finger or a glare over part of the scene."""
    width, height = scene.size
    x, y = (0.5 + view.cover_at[0]) * width, (0.5 + view.cover_at[1]) * height
    radius = view.cover_size * min(width, height)
    small = Image.new("L", (max(1, width // 4), max(1, height // 4)))
    pen = ImageDraw.Draw(small)
    if view.cover == "finger":
        away = 1.5 * max(width, height)
        length = math.hypot(*view.cover_at) or 1.0
        end = x + away * view.cover_at[0] / length, y + away * view.cover_at[1] / length
        pen.line((x / 4, y / 4, end[0] / 4, end[1] / 4), fill=255, width=max(1, round(radius / 2)))
        colour, soft = _SKIN[view.seed % len(_SKIN)], 0.8
    else:
        colour, soft = (255, 255, 250), radius / 8
    box = (x - radius, y - radius, x + radius, y + radius)
    pen.ellipse([edge / 4 for edge in box], fill=255 if view.cover == "finger" else 215)
    mask = small.filter(ImageFilter.GaussianBlur(soft))
    scene.paste(colour, mask=mask.resize(scene.size, Image.Resampling.BILINEAR))


def _lit(scene: Image.Image, view: View) -> Image.Image:
    """Brightness, contrast, colour cast and a shade across the frame."""
    if view.gain != 1 or view.contrast != 1 or view.cast != (1, 1, 1):
        levels = np.arange(256.0)
        tables = [
            ((levels - 128) * view.contrast + 128) * view.gain * channel for channel in view.cast
        ]
        scene = scene.point(np.concatenate(tables).round().clip(0, 255).astype(int).tolist())
    if view.shade:
        ramp = Image.fromarray((255 * view.shade * _ramp(view.shade_angle)).astype(np.uint8))
        scene.paste((0, 0, 0), mask=ramp.resize(scene.size, Image.Resampling.BILINEAR))
    return scene


def _taken(scene: Image.Image, view: View) -> Image.Image:
    """Lens, sensor and JPEG."""
    if view.blur:
        radius = view.blur * max(scene.size) / SIDE
        scene = scene.filter(ImageFilter.BoxBlur(radius))
    if view.noise:
        scene = ImageChops.add(scene, _noise(scene.size, view), offset=-128)
    if view.quality:
        file = io.BytesIO()
        scene.save(file, "JPEG", quality=view.quality)
        scene = Image.open(file, formats=("JPEG",))
        scene.load()
    return scene


def _noise(size: tuple[int, int], view: View) -> Image.Image:
    """Normal noise about 128: a window of one large picture of noise, scaled to its sigma."""
    x, y = view.seed % (_GRAIN_SIDE - SIDE + 1), view.seed // 1000 % (_GRAIN_SIDE - SIDE + 1)
    window = _grain().crop((x, y, x + size[0], y + size[1]))
    factor = view.noise / _GRAIN_SIGMA
    return window.point([round(128 + (level - 128) * factor) for level in range(256)] * 3)


@functools.cache
def _grain() -> Image.Image:
    """Noise of a sensor, drawn once: making it anew would be the dearest step of a view."""
    rng = np.random.default_rng(20)
    shape = (_GRAIN_SIDE, _GRAIN_SIDE)
    grey = rng.standard_normal((*shape, 1), np.float32)
    noise = 0.8 * grey + 0.6 * rng.standard_normal((*shape, 3), np.float32)
    return Image.fromarray((128 + _GRAIN_SIGMA * noise).clip(0, 255).astype(np.uint8))
