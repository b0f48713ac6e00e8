"""Whether a vector belongs to a collection: a linear classifier, and its file of plain numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from kenspeckle._foreign.machine import MAX_BYTES, MAX_NUMBERS
from kenspeckle.errors import ModelError, SpaceMismatch
from kenspeckle.types import Float32

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = "kenspeckle-classifier"
VERSION = 1

REQUIRED = ("coefficients", "intercept", "classes")
"""Keys that the file of a classifier has to have."""

_KEYS = "the keys coefficients, intercept and classes"
_MALFORMED = (ValueError, TypeError, AttributeError, ArithmeticError)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """One classifier: sigmoid(weights · vector + bias) is the probability of belonging.

    weights
        `(D,)` float64.
    region, vectors
        What it was trained on: the part of the picture (`whole_image`, …) and the kind of vector
        (the name of an operation, or several joined by `+`). Empty where nobody wrote it down.
    """

    weights: NDArray[np.float64]
    bias: float
    region: str = ""
    vectors: str = ""

    def score(self, vector: Float32, thing: str = "classifier") -> float:
        """weights · vector + bias for a vector `(D,)`; above 0 belongs.

        Raises SpaceMismatch that names both widths.
        """
        if vector.shape != self.weights.shape:
            raise SpaceMismatch(
                thing,
                f"a vector of {vector.size} columns",
                expected=f"{self.weights.size}, which it was trained on",
                do="Train it anew on vectors of the model in use",
            )
        return float(vector.astype(np.float64) @ self.weights) + self.bias


def sigmoid(score: float) -> float:
    """1 / (1 + e^−score), without overflow at either end.

    >>> sigmoid(0.0), sigmoid(-1000.0), sigmoid(1000.0)
    (0.5, 0.0, 1.0)
    """
    if score >= 0:
        return 1.0 / (1.0 + math.exp(-score))
    grown = math.exp(score)
    return grown / (1.0 + grown)


def to_json(classifier: Linear, scores: Mapping[str, float] | None = None) -> str:
    """The file of a classifier: coefficients, intercept, classes, metadata, scores."""
    data = {
        "format": FORMAT,
        "version": VERSION,
        "coefficients": classifier.weights.tolist(),
        "intercept": classifier.bias,
        "classes": [False, True],
        "metadata": {
            "derivative_type": classifier.region,
            "embedding_type": classifier.vectors,
            "dimensionality": classifier.weights.size,
        },
        "scores": dict(scores or {}),
    }
    return json.dumps(data, allow_nan=False)


def from_json(data: bytes, thing: str) -> Linear:
    """Read a classifier of plain numbers, as `to_json` or anybody else writes it.

    `coefficients` (a list of D numbers), `intercept` (a number) and `classes` (false and true; the
    second is the one that a score above 0 means) have to be there. `metadata` may be missing,
    `scores` and other keys are passed over. `format` and `version` are checked where they stand.
    Both numbers may be in one list more, as scikit-learn has them. Raises ModelError, which names
    the key that is missing or cannot be used.
    """
    if len(data) > MAX_BYTES:
        raise ModelError(thing, f"{len(data)} bytes", expected=f"at most {MAX_BYTES}")
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ModelError(thing, "not a JSON file", expected=_KEYS) from error
    if not isinstance(told, dict):
        raise ModelError(thing, f"a {type(told).__name__}", expected=_KEYS)
    found = told.get("format", FORMAT), told.get("version", VERSION)
    if found != (FORMAT, VERSION):
        expected = f"a {FORMAT} of version {VERSION}, or neither key"
        raise ModelError(thing, "another format or version", expected=expected)
    missing = [name for name in REQUIRED if name not in told]
    if missing:
        raise ModelError(thing, f"without {' and '.join(missing)}", expected=_KEYS)
    return _linear(told, thing)


def _linear(told: Mapping[str, Any], thing: str) -> Linear:
    """The classifier of a file that has all its keys. Raises ModelError that names a bad one."""
    weights = _part(thing, "coefficients", "a list of finite numbers", _row, told["coefficients"])
    bias = _part(thing, "intercept", "a finite number", _number, told["intercept"])
    classes = _part(thing, "classes", "false and true", _classes, told["classes"])
    metadata = told.get("metadata")
    region, vectors = (
        _part(thing, f"metadata.{name}", "text", _text, (metadata, name))
        for name in ("derivative_type", "embedding_type")
    )
    if not classes[1]:
        weights, bias = -weights, -bias
    return Linear(weights, bias, region, vectors)


def _part(thing: str, name: str, expected: str, read: Callable[[Any], T], value: Any) -> T:
    try:
        return read(value)
    except _MALFORMED as error:
        raise ModelError(thing, f"{name} that cannot be used", expected=expected) from error


def _row(values: Any) -> NDArray[np.float64]:
    """`(D,)` of a list of numbers, or of a list that holds one."""
    if isinstance(values, list) and len(values) == 1 and isinstance(values[0], list):
        values = values[0]
    if not isinstance(values, list) or not 0 < len(values) <= MAX_NUMBERS:
        raise ValueError("no list of numbers")
    if not all(type(one) in (int, float) for one in values):
        raise ValueError("something that is not a number")
    row = np.array(values, np.float64)
    if not np.isfinite(row).all():
        raise ValueError("numbers that are not finite")
    return row


def _number(value: Any) -> float:
    row = _row(value if isinstance(value, list) else [value])
    if row.size != 1:
        raise ValueError("more than one number")
    return float(row[0])


def _classes(values: Any) -> list[bool]:
    if not isinstance(values, list) or values not in ([False, True], [True, False]):
        raise ValueError("not the two classes")  # 0 and 1 are equal to them
    return [bool(one) for one in values]


def _text(told: tuple[Any, str]) -> str:
    metadata, name = told
    value = ({} if metadata is None else metadata).get(name) or ""
    if not isinstance(value, str):
        raise ValueError("not text")
    return value
