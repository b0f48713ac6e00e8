"""Do two pictures show one flat thing? Features matched, a homography fitted, its sanity judged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from kenspeckle._extras import need
from kenspeckle.engines.features import Features
from kenspeckle.errors import InputError, SettingError
from kenspeckle.types import Float32

Estimator = Literal["magsac", "ransac"]
ESTIMATORS: tuple[Estimator, ...] = get_args(Estimator)

ALIKE: Mapping[str, float] = MappingProxyType({"sift": 0.8, "orb": 0.5})
"""The cosine from which on two descriptors may be of one spot, by kind."""
NEAR = 0.0125
"""A match fits a homography within this share of the query's longest side (4 of 320 pixels)."""
BENT = 0.25
"""How far a match may lie from where another one puts it, as a share of their distance: slant."""
RESIZED = math.log(1.9)
"""Most difference of two matches' scales, as a logarithm."""
TURNED = math.cos(math.radians(30))
"""Cosine of the most difference of two matches' turns."""
LEAST = 4
"""Matches that a homography takes."""
AREA = (0.005, 50.0)
"""Area of the reference as seen in the query, as a share of the query: outside of this it is not
a sighting."""
SLANT = 6.0
"""How much longer one of two opposite sides may be than the other, or length to width change."""

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a reference lies in a query.

    matches, votes, inliers
        Features that found a partner; those of them that agree on place, size and angle; and those
        that the homography explains, at spots that lie apart.
    homography
        `(3, 3)` float64 from pixels of the reference to pixels of the query, None if there is none.
    scale, rotation
        Of the reference in the query: length factor, and degrees clockwise as seen, −180 … 180.
    cover
        Share of the reference's area inside the hull of the inliers.
    sane
        The reference is seen whole, not mirrored, not folded, not of an impossible shape.
    """

    matches: int
    votes: int
    inliers: int = 0
    homography: Points | None = None
    scale: float = 0.0
    rotation: float = 0.0
    cover: float = 0.0
    sane: bool = False


NOTHING = Geometry(0, 0)


def compare(
    query: Features, reference: Features, estimator: str = "magsac", seed: int = 0
) -> Geometry:
    """The geometry of one pair, the same for the same pair and seed.

    Raises InputError for features of two kinds, SettingError, MissingExtra.
    """
    if query.kind != reference.kind:
        raise InputError("features", f"{query.kind} and {reference.kind}", expected="one kind")
    if estimator not in ESTIMATORS:
        raise SettingError("estimator", repr(estimator), expected=" or ".join(ESTIMATORS))
    ours, theirs = mutual(query.descriptors, reference.descriptors, ALIKE[query.kind])
    near = NEAR * max(query.size)
    agree = voted(query, reference, ours, theirs, near)
    if len(agree) < LEAST:
        return Geometry(len(ours), len(agree))
    cv2 = need("cv2", "a second look")
    to, start = query.points[ours], reference.points[theirs]
    matrix = _estimated(cv2, start[agree], to[agree], near, estimator, seed)
    width, height = reference.size
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], float)
    seen = None if matrix is None else projected(matrix, corners)
    if matrix is None or seen is None:
        return Geometry(len(ours), len(agree))
    there = projected(matrix, start.astype(float))
    away = np.inf if there is None else np.hypot(*(there - to).T)
    inside = np.broadcast_to(away <= near, len(ours))
    scale, rotation = _pose(matrix, width, height)
    return Geometry(
        matches=len(ours),
        votes=len(agree),
        inliers=distinct(start[inside], to[inside], near),
        homography=matrix,
        scale=scale,
        rotation=rotation,
        cover=_cover(cv2, start[inside], reference.size),
        sane=sane(corners, seen, query.size),
    )


def voted(
    query: Features,
    reference: Features,
    ours: NDArray[np.intp],
    theirs: NDArray[np.intp],
    near: float,
) -> NDArray[np.intp]:
    """The matches that agree with the one that most matches agree with.

    A feature has a place, a size and an angle, so one match alone says how the reference lies in
    the query: moved, scaled and turned. Another match agrees when it lies where that says, give or
    take `near` and `BENT` of its distance (the thing may be seen at a slant), at about that size
    and angle. Votes of single matches find things that drown in the chance of four.
    """
    if not len(ours):
        return np.empty(0, np.intp)
    (x, y), (u, v) = query.points[ours].T, reference.points[theirs].T
    size = np.log(query.poses[ours, 0] / reference.poses[theirs, 0])
    turn = query.poses[ours, 1] - reference.poses[theirs, 1]
    to, start = x + 1j * y, u + 1j * v
    arm = start[None, :] - start[:, None]
    missed = np.abs(to[:, None] + np.exp(size + 1j * turn)[:, None] * arm - to[None, :])
    agrees = missed <= near + BENT * np.abs(arm) * np.exp(size)[:, None]
    agrees &= np.abs(size[None, :] - size[:, None]) <= RESIZED
    agrees &= np.cos(turn[None, :] - turn[:, None]) >= TURNED
    return np.flatnonzero(agrees[agrees.sum(axis=1).argmax()])


def mutual(ours: Float32, theirs: Float32, least: float) -> tuple[NDArray[np.intp], ...]:
    """Places of rows that are each other's nearest, with a cosine of at least `least`.

    >>> one, other = np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)[[2, 0]]
    >>> [places.tolist() for places in mutual(one, other, 0.5)]
    [[0, 2], [1, 0]]
    """
    if not len(ours) or not len(theirs):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    product = ours @ theirs.T
    best, back = product.argmax(axis=1), product.argmax(axis=0)
    rows = np.arange(len(ours))
    stays = (back[best] == rows) & (product[rows, best] >= least)
    return rows[stays], best[stays]


def distinct(start: Float32, to: Float32, near: float) -> int:
    """Inliers that lie apart in both pictures: several features on one spot are one piece of
    evidence."""
    cells = {(int(x // near), int(y // near)) for x, y in to.tolist()}
    others = {(int(x), int(y)) for x, y in start.tolist()}
    return min(len(cells), len(others))


def projected(matrix: Points, points: Points) -> Points | None:
    """Points `(n, 2)` through a homography; None if one of them lies at or beyond its horizon."""
    raised = np.column_stack((points, np.ones(len(points)))) @ matrix.T
    depth = raised[:, 2]
    if not np.isfinite(raised).all() or (depth * depth[0] <= 1e-9 * depth[0] ** 2).any():
        return None
    return raised[:, :2] / depth[:, None]


def sane(corners: Points, seen: Points, size: tuple[int, int]) -> bool:
    """Whether four corners `(4, 2)` may be seen as `seen` in a picture of that size."""
    edge = np.roll(seen, -1, axis=0) - seen
    after = np.roll(edge, -1, axis=0)
    if not (edge[:, 0] * after[:, 1] - edge[:, 1] * after[:, 0] > 0).all():
        return False  # mirrored, folded, or not convex
    x, y = seen.T
    area = float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)
    share = area / (size[0] * size[1])
    own = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    factor = np.linalg.norm(edge, axis=1) / own
    return AREA[0] <= share <= AREA[1] and bool(factor.max() <= SLANT * factor.min())


def _pose(matrix: Points, width: int, height: int) -> tuple[float, float]:
    """Length factor and turn at the middle of the reference, from the homography's derivative."""
    x, y = width / 2, height / 2
    u, v, depth = matrix @ np.array([x, y, 1.0])
    if abs(depth) < 1e-12:
        return 0.0, 0.0
    u, v = u / depth, v / depth
    part = (matrix[:2, :2] - np.outer((u, v), matrix[2, :2])) / depth
    scale = math.sqrt(abs(float(np.linalg.det(part))))
    turn = math.degrees(math.atan2(part[1, 0] - part[0, 1], part[0, 0] + part[1, 1]))
    return scale, turn


def _cover(cv2: Any, points: Float32, size: tuple[int, int]) -> float:
    """Share of a picture inside the hull of some of its points."""
    if len(points) < 3:
        return 0.0
    return float(cv2.contourArea(cv2.convexHull(points))) / (size[0] * size[1])


def _estimated(
    cv2: Any, start: Float32, to: Float32, near: float, estimator: str, seed: int
) -> Points | None:
    """OpenCV's homography, None where the points do not give one."""
    try:
        if estimator == "ransac":
            cv2.setRNGSeed(seed)
            matrix, _ = cv2.findHomography(
                start, to, cv2.RANSAC, near, maxIters=2000, confidence=0.999
            )
        else:
            matrix, _ = cv2.findHomography(start, to, _magsac(cv2, near, seed))
    except cv2.error:  # degenerate points
        return None
    if matrix is None or not np.isfinite(matrix).all():
        return None
    return np.asarray(matrix, np.float64)


def _magsac(cv2: Any, near: float, seed: int) -> Any:
    """MAGSAC++ (Baráth et al., CVPR 2020) as OpenCV's `USAC_MAGSAC` sets it, with a seed."""
    given = cv2.UsacParams()
    given.threshold, given.confidence, given.maxIterations = near, 0.999, 2000
    given.sampler, given.score = cv2.SAMPLING_UNIFORM, cv2.SCORE_METHOD_MAGSAC
    given.loMethod, given.loIterations, given.loSampleSize = cv2.LOCAL_OPTIM_SIGMA, 10, 50
    given.final_polisher, given.final_polisher_iterations = cv2.MAGSAC, 3
    given.isParallel, given.randomGeneratorState = False, seed
    return given
