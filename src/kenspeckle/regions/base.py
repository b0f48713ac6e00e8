"""Region rules: into which parts a photo is split, and how a part is cut out.

A rule belongs to queries. References are embedded whole, so a photo of a small thing on a large
ground matches only where a region comes close to the thing: the best region counts, and every
region costs one run of the model.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from kenspeckle._extras import has
from kenspeckle.errors import SettingError
from kenspeckle.regions.quad import find_quads
from kenspeckle.regions.whole import center, whole
from kenspeckle.regions.windows import find_windows
from kenspeckle.types import Picture, Region

RULES = ("whole", "center", "windows", "quad", "auto")
"""`whole` and `center`: that region alone. `windows`, `quad`: beside the whole picture. `auto`:
whole, centre and windows, and quads where OpenCV is installed."""

WINDOWS = 5
QUADS = 2
MOST = 2 + WINDOWS + QUADS
"""Most regions of one photo. With 9, the 2,723 pictures of the default cohort still make 302
trials of unrelated strangers, enough for a promise of 1 % (299)."""


def effective(rule: str) -> str:
    """The rule by its parts, as a calibration stores it: `whole+center+windows`.

    Two machines with the same setting but different extras have different rules. What comes out
    may go in again. Raises SettingError for an unknown rule.
    """
    if rule == "auto":
        return "whole+center+windows" + ("+quad" if has("cv2") else "")
    if rule in ("windows", "quad"):
        return f"whole+{rule}"
    if not set(rule.split("+")) <= set(RULES) - {"auto"}:
        raise SettingError("identify.regions", repr(rule), expected=", ".join(RULES))
    return rule


def most(rule: str) -> int:
    """The most regions that a photo can have under a rule.

    >>> most("whole"), most("windows")
    (1, 6)
    """
    parts = {"whole": 1, "center": 1, "windows": WINDOWS, "quad": QUADS}
    return sum(parts[part] for part in effective(rule).split("+"))


def split(picture: Picture, rule: str) -> tuple[Region, ...]:
    """The regions of a photo under a rule, the whole picture first (rule `center` has it not).

    Between 1 and `MOST` regions; how many windows and quads there are depends on the picture.
    Raises SettingError for an unknown rule, MissingExtra for `quad` without OpenCV.
    """
    parts = effective(rule).split("+")
    regions: list[Region] = []
    if "whole" in parts:
        regions.append(whole(picture.size))
    if "center" in parts:
        regions.append(center(picture.size))
    if "windows" in parts:
        regions += find_windows(picture.image, WINDOWS)
    if "quad" in parts:
        regions += find_quads(picture.image, QUADS)
    return tuple(regions)


def cut(image: Image.Image, region: Region) -> Image.Image:
    """The pixels of a region: its box, or, where it has corners, the flattened quadrangle.

    The whole picture comes back as it is, without a copy.
    """
    if region.corners is not None:
        return _flatten(image, region.corners)
    if region.box == (0, 0, *image.size):
        return image
    return image.crop(region.box)


def _flatten(image: Image.Image, corners: tuple[tuple[float, float], ...]) -> Image.Image:
    """The quadrangle as a rectangle whose sides are the means of its opposite sides."""
    top, right, bottom, left = (
        math.dist(a, b) for a, b in zip(corners, (*corners[1:], corners[0]), strict=True)
    )
    limit = max(image.size)
    width = min(max(round((top + bottom) / 2), 1), limit)
    height = min(max(round((left + right) / 2), 1), limit)
    return image.transform(
        (width, height),
        Image.Transform.PERSPECTIVE,
        perspective(corners, width, height),
        Image.Resampling.BICUBIC,
    )


def perspective(
    corners: tuple[tuple[float, float], ...], width: int, height: int
) -> tuple[float, ...]:
    """Pillow's eight numbers (a … h) that send a `width` × `height` rectangle to `corners`.

    (x, y) of the rectangle comes from ((ax + by + c) / (gx + hy + 1), (dx + ey + f) / (…)): the
    plane homography through four pairs of points (Hartley and Zisserman, Multiple View Geometry,
    2nd ed., 4.1), solved with h₃₃ = 1.
    """
    system, right = [], []
    rectangle = ((0, 0), (width, 0), (width, height), (0, height))
    for (x, y), (u, v) in zip(rectangle, corners, strict=True):
        system += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    return tuple(np.linalg.solve(np.array(system, float), np.array(right, float)).tolist())
