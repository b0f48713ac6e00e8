"""Whether a vector belongs to a collection: a linear classifier, and its file of plain numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kenspeckle._foreign.machine import MAX_BYTES, MAX_NUMBERS
from kenspeckle.errors import ModelError, SpaceMismatch
from kenspeckle.types import Float32

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = "kenspeckle-classifier"
VERSION = 1

_MALFORMED = (ValueError, TypeError, AttributeError, RecursionError)


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
    """Read back what `to_json` wrote. Raises ModelError."""
    expected = f"a {FORMAT} of version {VERSION}"
    if len(data) > MAX_BYTES:
        raise ModelError(thing, f"{len(data)} bytes", expected=f"at most {MAX_BYTES}")
    try:
        told = json.loads(data)
        if told["format"] != FORMAT or told["version"] != VERSION:
            raise ModelError(thing, "another format or version", expected=expected)
        weights, bias = _numbers(told["coefficients"]), float(_numbers([told["intercept"]])[0])
        metadata = told.get("metadata", {})
        region, vectors = _text(metadata, "derivative_type"), _text(metadata, "embedding_type")
        classes = [bool(one) for one in told["classes"]]
    except (LookupError, ArithmeticError, *_MALFORMED) as error:
        found = f"not readable ({type(error).__name__})"
        raise ModelError(thing, found, expected=expected) from error
    if classes not in ([False, True], [True, False]):
        raise ModelError(thing, f"{len(classes)} classes", expected="false and true")
    if not classes[1]:
        weights, bias = -weights, -bias
    return Linear(weights, bias, region, vectors)


def _numbers(values: Any) -> NDArray[np.float64]:
    if not isinstance(values, list) or not 0 < len(values) <= MAX_NUMBERS:
        raise ValueError("no list of numbers")
    if not all(type(one) in (int, float) for one in values):
        raise ValueError("something that is not a number")
    row = np.array(values, np.float64)
    if not np.isfinite(row).all():
        raise ValueError("numbers that are not finite")
    return row


def _text(metadata: Mapping[str, Any], name: str) -> str:
    value = metadata.get(name) or ""
    if not isinstance(value, str):
        raise ValueError(f"{name} is not text")
    return value
