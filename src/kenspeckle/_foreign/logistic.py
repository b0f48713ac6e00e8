"""A logistic regression out of a scikit-learn pickle, written by pickle or by joblib."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kenspeckle._foreign.machine import MAX_BYTES, Described, Machine, numbers
from kenspeckle.errors import ModelError, UnsafeFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MODULES = ("sklearn.linear_model._logistic", "sklearn.linear_model.logistic")
_ESTIMATORS = frozenset((module, "LogisticRegression") for module in _MODULES)
_EXPECTED = "a fitted LogisticRegression and nothing else"


@dataclass(frozen=True, slots=True)
class Logistic:
    """A fitted binary classifier: probability = sigmoid(weights · vector + bias).

    `weights` are `(D,)` float64; the probability is that of the positive class.
    """

    weights: NDArray[np.float64]
    bias: float


def read_logistic(data: bytes, thing: str) -> Logistic:
    """The classifier in a `.pkl` of scikit-learn, written by pickle or by joblib.

    `thing` names the file in errors. Raises UnsafeFile for a file that names or does anything
    else (nothing of it was executed), ModelError for a classifier that is not binary and linear.
    """
    try:
        found = Machine(_unpacked(data), _ESTIMATORS, thing, _EXPECTED).run()
        if not isinstance(found, Described) or found.of not in _ESTIMATORS:
            raise ValueError("no LogisticRegression")
        state = found.state
        weights, bias = numbers(state["coef_"]), numbers(state["intercept_"])
        classes = [bool(one) for one in numbers(state["classes_"])]
        rule = state.get("multi_class")
    except UnsafeFile:
        raise
    except Exception as error:  # a hostile stream can ask for anything that does not fit
        why = next((text for text in error.args if type(text) is str), type(error).__name__)
        raise UnsafeFile(
            thing,
            f"not a readable classifier ({why[:120]})",
            expected="a fitted LogisticRegression",
            do="Nothing in it was executed",
        ) from error
    return _binary(weights, bias, classes, rule, thing)


def _binary(
    weights: NDArray[Any], bias: NDArray[Any], classes: list[bool], rule: Any, thing: str
) -> Logistic:
    fits = weights.ndim == 2 and len(weights) == 1 and bias.shape == (1,)
    if not fits or sorted(classes) != [False, True] or rule == "multinomial":
        raise ModelError(
            thing,
            f"weights {weights.shape}, {len(classes)} classes",
            expected="one row of weights for the classes false and true",
            do="Train it for two classes, one against the rest",
        )
    row, constant = weights[0].astype(np.float64), float(bias[0])
    if not (np.isfinite(row).all() and math.isfinite(constant)):
        raise ModelError(thing, "weights that are not finite", expected="numbers")
    return Logistic(row, constant) if classes[1] else Logistic(-row, -constant)


def _unpacked(data: bytes) -> bytes:
    """The stream itself, where the file is packed by zlib or gzip."""
    if data[:1] == b"\x78" or data[:2] == b"\x1f\x8b":
        packed = zlib.decompressobj(wbits=47)
        data = packed.decompress(data, MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    return data
