"""How similarities of right and wrong answers lie: spread, overlap, and the best threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kenspeckle.errors import InputError

Floats = NDArray[np.float64]
PERCENTILES = (10, 25, 75, 90)


def similarity_details(
    right: ArrayLike,
    wrong: ArrayLike,
    missed: ArrayLike = (),
    *,
    threshold: float,
    pairs_right: ArrayLike = (),
    pairs_wrong: ArrayLike = (),
) -> dict[str, Any]:
    """The similarity report of the logo test bench as plain data.

    `right` and `wrong` are the scores of accepted answers, `missed` the best score of each name
    that was missed; `pairs_right` and `pairs_wrong` the cosines of all pairs of a region and a
    reference of a right and of a wrong item. `threshold` is the T in force.

    For each of them `spread`; `overlap` of right and wrong; `best_f1` as the bench found it, and
    `best_f1_all`, in which what was missed stays missed, as it does in use. Both are read off the
    answers that they describe: a threshold to use is fitted on other items. Raises InputError for
    a score that is no number.
    """
    values = {
        "right": _floats("right", right),
        "wrong": _floats("wrong", wrong),
        "missed": _floats("missed", missed),
        "pairs_right": _floats("pairs_right", pairs_right),
        "pairs_wrong": _floats("pairs_wrong", pairs_wrong),
    }
    return {
        "threshold": threshold,
        **{name: spread(one, threshold) for name, one in values.items()},
        "overlap": overlap(values["right"], values["wrong"]),
        "pairs_overlap": overlap(values["pairs_right"], values["pairs_wrong"]),
        "best_f1": best_f1(values["right"], values["wrong"], 0),
        "best_f1_all": best_f1(values["right"], values["wrong"], len(values["missed"])),
    }


def spread(values: ArrayLike, threshold: float) -> dict[str, float | int | None]:
    """n, min, max, mean, sd (of the values themselves, not of a sample), median, P10 P25 P75 P90
    (linear between values) and the share at the threshold or above; null without values.

    >>> found = spread([0.2, 0.4, 0.6], 0.4)
    >>> found["n"], found["median"], round(found["share"], 3)
    (3, 0.4, 0.667)
    """
    of = np.asarray(values, np.float64)
    names = ("min", "max", "mean", "sd", "median", *(f"p{q}" for q in PERCENTILES), "share")
    if not len(of):
        return {"n": 0, **dict.fromkeys(names)}
    figures = (
        of.min(),
        of.max(),
        of.mean(),
        of.std(),
        np.median(of),
        *np.percentile(of, PERCENTILES),
        (of >= threshold).mean(),
    )
    return {"n": len(of), **{name: float(v) for name, v in zip(names, figures, strict=True)}}


def overlap(right: ArrayLike, wrong: ArrayLike) -> dict[str, float] | None:
    """The interval [larger minimum, smaller maximum] and the share of each that lies in it.

    None where one side has no values or the two do not overlap.

    >>> found = overlap([0.5, 0.7, 0.9], [0.1, 0.6])
    >>> (found["low"], found["high"], found["right"], found["wrong"])
    (0.5, 0.6, 0.3333333333333333, 0.5)
    """
    a, b = np.asarray(right, np.float64), np.asarray(wrong, np.float64)
    if not len(a) or not len(b):
        return None
    low, high = max(a.min(), b.min()), min(a.max(), b.max())
    if low > high:
        return None
    inside = [float(((v >= low) & (v <= high)).mean()) for v in (a, b)]
    return {"low": float(low), "high": float(high), "right": inside[0], "wrong": inside[1]}


def best_f1(right: ArrayLike, wrong: ArrayLike, missed: int) -> dict[str, float] | None:
    """The T of the largest F1 among the scores, the largest of equal ones; None without right ones.

    At T the right scores ≥ T are hits, the wrong ones ≥ T false; what is right below T, and
    `missed` more, are misses: F1 = 2 TP / (TP + FP + all there was to find).

    >>> best_f1([0.9, 0.8, 0.3], [0.5, 0.4], 0)
    {'threshold': 0.8, 'f1': 0.8}
    """
    a, b = np.sort(np.asarray(right, np.float64)), np.sort(np.asarray(wrong, np.float64))
    if not len(a):
        return None
    at = np.unique(a)[::-1]
    hits = len(a) - np.searchsorted(a, at, "left")
    false = len(b) - np.searchsorted(b, at, "left")
    f1 = 2 * hits / (hits + false + len(a) + missed)
    best = int(f1.argmax())
    return {"threshold": float(at[best]), "f1": float(f1[best])}


def _floats(name: str, values: ArrayLike) -> Floats:
    found = np.asarray(values, np.float64).ravel()
    wrong = int((~np.isfinite(found)).sum())
    if wrong:
        raise InputError(name, f"{wrong} scores that are no finite number")
    return found
