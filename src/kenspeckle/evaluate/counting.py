"""Hits and misses of named boxes: one-to-one, by photo, and as the former logo test bench did.

`one_to_one` is the count that adds up: each true box is found once or missed, so TP + FN is the
number of boxes. `by_photo` compares the names said of a photo with the names true of it. `legacy`
counts hits by detection and misses by photo, wherever the box lies; its recall can exceed 100 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kenspeckle.errors import InputError

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Detection:
    """One name said: of which picture, where (None: of the picture as a whole), and how surely.

    Boxes are pixels `(x0, y0, x1, y1)`. A region that got no name is no detection.
    """

    picture: str
    box: Box | None
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Truth:
    """One name that is true of a picture, at a box, or somewhere in it (None)."""

    picture: str
    box: Box | None
    label: str


@dataclass(frozen=True, slots=True)
class Counts:
    """What a count came to.

    expected
        What there was to find: boxes, or pairs of photo and name.
    false, missed
        The wrong detections, and what was missed, `(picture, label)` each, in order.
    matched
        For each detection the place of the true box it found, -1 for none; empty for counts that
        pair nothing.
    """

    tp: int
    fp: int
    fn: int
    expected: int
    false: tuple[tuple[str, str], ...] = ()
    missed: tuple[tuple[str, str], ...] = ()
    matched: tuple[int, ...] = ()

    @property
    def precision(self) -> float:
        """TP / (TP + FP); nan when nothing was said."""
        return _share(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """TP / expected; nan when there was nothing to find."""
        return _share(self.tp, self.expected)

    @property
    def f1(self) -> float:
        """2PR / (P + R): the harmonic mean; 0 where one of the two is 0 or nothing was said."""
        if not self.tp:
            return 0.0 if self.expected or self.fp else math.nan
        return 2 * self.precision * self.recall / (self.precision + self.recall)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; a number that does not exist is null."""
        rates = {name: getattr(self, name) for name in ("precision", "recall", "f1")}
        return {
            "tp": self.tp,
            "fp": self.fp,
            "fn": self.fn,
            "expected": self.expected,
            **{name: None if math.isnan(value) else value for name, value in rates.items()},
            "false": [list(one) for one in self.false],
            "missed": [list(one) for one in self.missed],
        }


def one_to_one(detections: Sequence[Detection], truth: Sequence[Truth], iou: float = 0.5) -> Counts:
    """Pair detections with true boxes of their picture and name, best score first.

    Each takes the free true box that it overlaps most, at least `iou` (intersection ÷ union); what
    finds none is false. Where one of the two has no box, the name alone decides, after boxes that
    overlap. TP + FN is the number of true boxes, always. Raises InputError for a score that is no
    number, an empty box, and an `iou` outside 0 … 1.

    >>> truth = [Truth("a.jpg", (0, 0, 10, 10), "cup")]
    >>> said = [Detection("a.jpg", (0, 0, 10, 9), "cup", 0.9), Detection("a.jpg", None, "hat", 1.0)]
    >>> count = one_to_one(said, truth)
    >>> (count.tp, count.fp, count.fn)
    (1, 1, 0)
    """
    if not 0 < iou <= 1:
        raise InputError("iou", f"{iou}", expected="above 0, at most 1")
    _check(detections, truth)
    free: dict[tuple[str, str], list[int]] = {}
    for place, true in enumerate(truth):
        free.setdefault((true.picture, true.label), []).append(place)
    matched = [-1] * len(detections)
    for number in sorted(range(len(detections)), key=lambda n: -detections[n].score):
        said = detections[number]
        open_ones = free.get((said.picture, said.label), [])
        fits = [(_overlap(said.box, truth[place].box, iou), -place) for place in open_ones]
        overlap, place = max(fits, default=(NOWHERE, 0))
        if overlap > NOWHERE:
            matched[number] = -place
            open_ones.remove(-place)
    found = {place for place in matched if place >= 0}
    missed = [one for place, one in enumerate(truth) if place not in found]
    wrong = [said for said, place in zip(detections, matched, strict=True) if place < 0]
    return Counts(
        tp=len(found),
        fp=len(wrong),
        fn=len(missed),
        expected=len(truth),
        false=_pairs(wrong),
        missed=_pairs(missed),
        matched=tuple(matched),
    )


def by_photo(detections: Iterable[Detection], truth: Iterable[Truth]) -> Counts:
    """Names said of each photo against names true of it, as sets: micro-averaged over photos.

    >>> said = [Detection("a.jpg", None, "cup", 0.9), Detection("a.jpg", None, "cup", 0.8)]
    >>> by_photo(said, [Truth("a.jpg", None, "cup"), Truth("a.jpg", None, "hat")]).f1
    0.6666666666666666
    """
    said = dict.fromkeys(_pairs(detections))
    true = dict.fromkeys(_pairs(truth))
    false = tuple(pair for pair in said if pair not in true)
    missed = tuple(pair for pair in true if pair not in said)
    return Counts(len(said) - len(false), len(false), len(missed), len(true), false, missed)


def legacy(detections: Iterable[Detection], truth: Iterable[Truth]) -> Counts:
    """The count of the former test bench.

    A detection whose name is true of its picture is a hit, however many hit the same name and
    wherever they lie; misses are names of a picture that no detection says. So hits and misses do
    not add up to what was expected.

    >>> said = [Detection("a.jpg", None, "cup", 0.9)] * 2
    >>> legacy(said, [Truth("a.jpg", None, "cup")]).recall
    2.0
    """
    said = _pairs(detections)
    true = dict.fromkeys(_pairs(truth))
    false = tuple(pair for pair in said if pair not in true)
    heard = set(said)
    missed = tuple(pair for pair in true if pair not in heard)
    return Counts(len(said) - len(false), len(false), len(missed), len(true), false, missed)


SOMEWHERE, NOWHERE = 0.0, -1.0
"""The overlap where one side has no box, and where two boxes overlap too little."""


def _overlap(a: Box | None, b: Box | None, least: float) -> float:
    """Intersection ÷ union where it is at least `least`, else as above."""
    if a is None or b is None:
        return SOMEWHERE
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return NOWHERE
    inside = wide * high
    share = inside / (_area(a) + _area(b) - inside)
    return share if share >= least else NOWHERE


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _pairs(ones: Iterable[Detection | Truth]) -> tuple[tuple[str, str], ...]:
    return tuple((one.picture, one.label) for one in ones)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _check(detections: Sequence[Detection], truth: Sequence[Truth]) -> None:
    for said in detections:
        if math.isnan(said.score):
            raise InputError(
                said.picture, f"{said.label} with a score that is no number", expected="a number"
            )
    places = [(one.picture, one.box) for one in detections]
    for picture, box in (*places, *((one.picture, one.box) for one in truth)):
        if box is not None and not (box[0] < box[2] and box[1] < box[3]):
            raise InputError(picture, f"an empty box {box}", expected="x0 < x1 and y0 < y1")
