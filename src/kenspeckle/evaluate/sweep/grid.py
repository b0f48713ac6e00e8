"""What a sweep tries: one cell for each combination of settings, and the grids that have a name."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from kenspeckle.errors import SettingError
from kenspeckle.match.methods import METHODS, Method, Rule


@dataclass(frozen=True, slots=True)
class Cell:
    """One way to name regions; the defaults are those of the logo test bench's sweeps.

    `model`, `head` and `mode` are as people write them, empty for those in force; a head can be
    `none`. `least` is n, the
    references that have to match; `refs` is R, the references of each item.
    """

    model: str = ""
    head: str = ""
    mode: str = ""
    refs: int = 10
    method: Method = "multi-ref"
    pool: Literal["mean", "max"] = "max"
    least: int = 3
    legacy: bool = False
    threshold: float = 0.70
    margin: float = 0.05

    def rule(self) -> Rule:
        """The rule with its numbers. Raises InputError."""
        return Rule(
            method=self.method,
            threshold=self.threshold,
            margin=self.margin,
            least=self.least,
            pool=self.pool,
            legacy=self.legacy,
        )

    @property
    def called(self) -> str:
        """The method by one word: multi-ref says its pool."""
        return f"{self.method}-{self.pool}" if self.method == "multi-ref" else self.method


@dataclass(frozen=True, slots=True)
class Sampling:
    """How many items, and how many pictures of each, are drawn, and from which seed."""

    logos: int = 20
    positives: int = 20
    negatives: int = 100
    seed: int = 42

    def __post_init__(self) -> None:
        for name, least in (("logos", 1), ("positives", 1), ("negatives", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise SettingError(name, f"{getattr(self, name)}", expected=f"at least {least}")


Axis = tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]]
"""Fields of a cell that change together, and the values they take."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A grid of the logo test bench by name. `details` asks for the spread of similarities."""

    about: str
    axes: tuple[Axis, ...]
    base: Cell = field(default_factory=Cell)
    sampling: Sampling = field(default_factory=Sampling)
    details: bool = False


def methods(*names: str, pool: str = "max") -> Axis:
    """The axis of methods by their words: `simple`, `multi-ref-mean`, …; `multi-ref` alone takes
    `pool`. Raises SettingError.

    >>> methods("simple", "multi-ref-max")[1]
    (('simple', 'max'), ('multi-ref', 'max'))
    """
    values = []
    for name in names:
        method, _, how = name.rpartition("-")
        if method != "multi-ref" or how not in ("mean", "max"):
            method, how = name, pool
        if method not in METHODS:
            words = [word for word in METHODS if word != "multi-ref"]
            expected = ", ".join([*words, "multi-ref-mean", "multi-ref-max"])
            raise SettingError("methods", repr(name), expected=expected)
        values.append((method, how))
    return ("method", "pool"), tuple(values)


def axis(name: str, values: Sequence[Any]) -> Axis:
    """The axis of one field."""
    return (name,), tuple((value,) for value in values)


def _pairs(*pairs: tuple[float, float]) -> Axis:
    return ("threshold", "margin"), pairs


_SMALL = Sampling(logos=50, positives=5, negatives=20)
_MEAN = Cell(pool="mean", least=1, refs=3)
NO_HEAD = "none"
BASELINE, TUNED = "baseline", "tuned"
"""Stand for the model in force, and for the one that is given as tuned."""

PRESETS: dict[str, Preset] = {
    "comparison": Preset(
        "simple, margin, multi-ref mean, multi-ref max",
        (methods("simple", "margin", "multi-ref-mean", "multi-ref-max"),),
    ),
    "thresholds": Preset(
        "six pairs of threshold and margin",
        (_pairs((0.7, 0.05), (0.8, 0.05), (0.8, 0.1), (0.85, 0.1), (0.85, 0.15), (0.9, 0.15)),),
    ),
    "thresholds-image-split": Preset(
        "seven pairs of threshold and margin for a model tuned on other pictures of the same items",
        (
            axis("model", (TUNED,)),
            _pairs(
                *((0.65, 0.05), (0.7, 0.05), (0.75, 0.05), (0.8, 0.05)),
                *((0.8, 0.1), (0.85, 0.1), (0.9, 0.1)),
            ),
        ),
    ),
    "models": Preset(
        "CLIP L/14, DINOv2 small, DINOv2 large",
        (axis("model", ("clip-vit-l-14", "dinov2-small", "dinov2-large")),),
    ),
    "refs-per-logo": Preset(
        "1, 2, 3, 5, 7, 10, 15, 20 references of each item",
        (axis("refs", (1, 2, 3, 5, 7, 10, 15, 20)),),
        Cell(least=1),
    ),
    "preprocessing": Preset(
        "default, letterbox, stretch",
        (axis("mode", ("default", "letterbox", "stretch")),),
        Cell(least=1),
    ),
    "best-threshold": Preset(
        "thresholds .70 to .86, 50 items with 3 references",
        (axis("threshold", (0.70, 0.72, 0.74, 0.76, 0.78, 0.80, 0.82, 0.84, 0.86)),),
        _MEAN,
        _SMALL,
    ),
    "tuned-against-baseline": Preset(
        "the tuned model beside the baseline, 50 items with 3 references",
        (axis("model", (BASELINE, TUNED)),),
        _MEAN,
        _SMALL,
    ),
    "similarity-distribution": Preset(
        "how right and wrong similarities lie, baseline and tuned, at a threshold of .75",
        (axis("model", (BASELINE, TUNED)),),
        replace(_MEAN, threshold=0.75),
        _SMALL,
        details=True,
    ),
}


def cells(base: Cell, axes: Sequence[Axis]) -> list[Cell]:
    """Every combination, the cells that share vectors side by side; no cell twice.

    >>> [c.refs for c in cells(Cell(), (axis("threshold", (0.7, 0.8)), axis("refs", (1, 2))))]
    [1, 1, 2, 2]
    """
    order = [one.name for one in fields(Cell)]
    ranked = sorted(axes, key=lambda one: min(order.index(name) for name in one[0]))
    made = []
    for values in itertools.product(*(one[1] for one in ranked)):
        changes: dict[str, Any] = {}
        for (names, _), chosen in zip(ranked, values, strict=True):
            changes |= zip(names, chosen, strict=True)
        made.append(replace(base, **changes))
    return list(dict.fromkeys(made))


def with_axes(axes: Sequence[Axis], given: Mapping[str, Axis]) -> tuple[Axis, ...]:
    """The axes of a preset with those that were given in the place of what they vary."""
    varied = {name for one in given.values() for name in one[0]}
    return (*(one for one in axes if not varied & set(one[0])), *given.values())
