r"""Cosines from bytes, each with a bound that is proven, so that few rows need exact scoring.

**What is stored.** A frame (centre `m`, spread `c > 0`, both `(D,)` float32) is fixed for a
matrix. A row `x` is stored as bytes `q` in −127 … 127 with a scale `s`: `x̂ = m + c ∘ (s q)`.
Beside it stand `e ≥ ‖x − x̂‖`, and for a block `R ≥ max ‖s q‖`. (Centring and spreading only make
`e` small where vectors share a direction or a few large columns, as those of real models do; the
bound holds for any frame.)

**What is computed.** For a query `y`, scaled by a power of two so that its length lies in ½ … 2,
let `w = c ∘ y`, stored as two bytes a column: `ŵ = t (127 h + l)` with `h`, `l` in −63 … 63 and
`|w − ŵ| ≤ t / 2` in every column. The approximation is `a = <y, m> + s t (127 <h, q> + <l, q>)`.

**Bound.** In exact arithmetic `a = <y, m> + <ŵ, s q>`, and

    <y, x> − a = <y, x − x̂> + <y, m + c ∘ (s q)> − <y, m> − <ŵ, s q>
               = <y, x − x̂> + <w − ŵ, s q>

so by Cauchy–Schwarz `|<y, x> − a| ≤ ‖y‖ e + ‖w − ŵ‖ R`, and `‖w − ŵ‖ ≤ ½ t √D`.

**Rounding.** The products `<h, q>`, `<l, q>` are exact in 32 bits: D · 63 · 127 < 2³¹ for D up to
268,000. The float32 steps from there (two conversions, the factor 127, the sum, the rounded
factor s t, its product, the sum with the rounded <y, m>) are at most nine roundings of 2⁻²⁴, each
relative to a quantity no larger than `(‖127 t h‖ + ‖t l‖) R + |<y, m>|`, where both norms together
are at most `√D (max |w| + 127 t)`, since `127 h = ŵ / t − l`; 2e-6 of that covers them more than
twice over. `e` is a float32 norm of float32 differences: each difference is off by at
most four roundings of quantities whose norms sum to `2 ‖x‖ + 2 ‖m‖ + 2 e`, and the norm of D
numbers by a relative (D + 2) 2⁻²⁴; `_MARGIN` and 1e-6 of those norms cover both. Norms of the
query are taken in float64 and multiplied by `_MARGIN`; `slack` covers float64 rounding of
<y, m> and of the exact score that is compared with the bound, and float32 underflow.
`_MARGIN` − 1 is above (D + 2) 2⁻²⁴ for every D up to 65,536.

A row can be among the k best only if its `a` plus bound reaches the k-th largest `a` minus bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from kenspeckle.store.int8_product import LIMIT, Int8Product
from kenspeckle.types import Float32

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float16] | NDArray[np.float32]

_MARGIN = 1.005
_STEP = 512  # rows quantised at once: they stay in the processor's cache
_BASE = 2 * LIMIT + 1
_RANGE = LIMIT * _BASE + LIMIT


@dataclass(frozen=True)
class Frame:
    """Centre and spread of the vectors of an index, `(D,)` float32 each."""

    centre: Float32
    spread: Float32

    @cached_property
    def wide_centre(self) -> NDArray[np.float64]:
        """The centre in float64."""
        return self.centre.astype(np.float64)

    @cached_property
    def wide_spread(self) -> NDArray[np.float64]:
        """The spread in float64."""
        return self.spread.astype(np.float64)

    @cached_property
    def distance(self) -> float:
        """The length of the centre."""
        return _norm(self.wide_centre)

    @classmethod
    def plain(cls, width: int) -> Frame:
        """The frame of rows that are not stored as bytes."""
        return cls(np.zeros(width, np.float32), np.ones(width, np.float32))

    @classmethod
    def of(cls, rows: Rows) -> Frame:
        """The frame that fits these rows: their mean, and the spread around it by column."""
        some = rows[:: max(1, len(rows) // 4096)].astype(np.float32)
        centre = some.mean(axis=0)
        spread = some.std(axis=0)
        return cls(centre, np.maximum(spread, np.float32(1e-2) * spread.max() + np.float32(1e-6)))


@dataclass(frozen=True, slots=True)
class Query:
    """One query: `row` is it divided by the power of two `unit`, `halves` the same as bytes.

    The others are what the bound needs: see above.
    """

    row: NDArray[np.float64]
    unit: float
    halves: NDArray[np.int8]
    scale: float
    length: float
    offset: float
    residual: float
    magnitude: float
    slack: float

    @classmethod
    def of(cls, row: NDArray[np.float64], frame: Frame) -> Query:
        """Quantise one query `(D,)`, scaled by a power of two, which changes no order."""
        length, unit = _norm(row), 1.0
        if not 0.5 <= length < 2:
            unit = 2.0 ** math.frexp(length)[1]
            row, length = row / unit, length / unit
        weighted = row * frame.wide_spread
        top = float(max(weighted.max(), -weighted.min()))
        scale = top / _RANGE if top > 0 else 1.0
        whole = np.rint(weighted / scale)
        halves = np.empty((2, len(row)))
        high, low = halves
        np.rint(whole / _BASE, out=high)
        np.subtract(whole, _BASE * high, out=low)
        length *= _MARGIN
        across = math.sqrt(len(row)) * _MARGIN
        return cls(
            row,
            unit,
            halves.astype(np.int8),
            scale,
            length,
            float(row @ frame.wide_centre),
            0.5 * scale * across + 1e-12 * top,
            (top + _BASE * scale) * across,
            1e-12 * length * (1 + frame.distance) + 1e-30,
        )


class Prefilter:
    """A block of rows as bytes: approximate products of queries with all of them, and bounds."""

    def __init__(self, rows: Rows, frame: Frame) -> None:
        count, width = rows.shape
        columns = np.empty((width, count), np.int8)
        self._scales = np.empty(count, np.float32)
        self.errors = np.empty(count, np.float32)
        reach = 0.0
        for start in range(0, count, _STEP):
            part = slice(start, start + _STEP)
            quantised, self._scales[part], self.errors[part], furthest = _quantise(
                rows[part].astype(np.float32), frame
            )
            columns[:, part] = quantised.T
            reach = max(reach, furthest)
        self._reach = reach
        self.largest = float(self.errors.max())
        self._product = Int8Product(columns)
        self.memory = columns.nbytes + self._scales.nbytes + self.errors.nbytes

    def scores(self, queries: list[Query]) -> tuple[Float32, list[tuple[float, float]]]:
        """Approximate products `(Q, N)`, and for each query the two numbers of its bounds.

        The bound of row n is `first * errors[n] + second`.
        """
        halves = [query.halves for query in queries]
        several = halves[0] if len(halves) == 1 else np.concatenate(halves)
        product = self._product(several).astype(np.float32)
        approximate, bounds = product[::2], []
        for query, line, low in zip(queries, approximate, product[1::2], strict=True):
            line *= np.float32(_BASE)
            line += low
            line *= self._scales * np.float32(query.scale)
            line += np.float32(query.offset)
            rounding = 2e-6 * (query.magnitude * self._reach + abs(query.offset))
            bounds.append((query.length, query.residual * self._reach + rounding + query.slack))
        return approximate, bounds


def _norm(row: NDArray[np.float64]) -> float:
    return math.sqrt(row @ row)


def _quantise(rows: Float32, frame: Frame) -> tuple[NDArray[np.int8], Float32, Float32, float]:
    """Bytes `(n, D)`, scales, error norms, and the largest norm of scale times bytes."""
    spread = (rows - frame.centre) / frame.spread
    top = np.maximum(spread.max(axis=1), -spread.min(axis=1))
    scales = np.where(top > 1e-30, top / np.float32(127), np.float32(1)).astype(np.float32)
    spread /= scales[:, None]
    np.rint(spread, out=spread)
    quantised = spread.astype(np.int8)
    reach = scales * np.sqrt(np.einsum("ij,ij->i", spread, spread))
    spread *= scales[:, None]
    spread *= frame.spread
    spread += frame.centre
    spread -= rows
    errors = np.sqrt(np.einsum("ij,ij->i", spread, spread))
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    allowance = np.float32(1e-6) * (2 * norms + 2 * float(np.linalg.norm(frame.centre)))
    errors = errors * np.float32(_MARGIN + 1e-6) + allowance
    return quantised, scales, errors, float(reach.max()) * _MARGIN
