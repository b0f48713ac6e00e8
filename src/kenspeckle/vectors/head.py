"""Projection heads: a small trained network behind a frozen model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kenspeckle._foreign.checkpoint import read_checkpoint
from kenspeckle.errors import ModelError
from kenspeckle.types import Float32
from kenspeckle.vectors.base import unit_rows

LAYOUT = "linear-gelu-linear-l2"
"""What the metadata of our safetensors files says under `layout`."""

KEYS = ("net.0.weight", "net.0.bias", "net.2.weight", "net.2.bias")
MAX_BYTES = 64 * 1024 * 1024
_MAX_HEADER = 1024 * 1024


@dataclass(frozen=True, eq=False, slots=True)
class Head:
    """Linear → GELU → Linear → length 1.

    `first` is `(hidden, in)`, `second` `(out, hidden)`, both float32. `model` names the model that
    it was trained behind, empty where the file does not say.
    """

    first: Float32
    first_bias: Float32
    second: Float32
    second_bias: Float32
    sha256: str
    model: str = ""

    @property
    def in_width(self) -> int:
        """Columns of the rows that go in."""
        return int(self.first.shape[1])

    @property
    def out_width(self) -> int:
        """Columns of the rows that come out."""
        return int(self.second.shape[0])

    def apply(self, rows: Float32) -> Float32:
        """Unit rows `(N, out)` of unit rows `(N, in)`."""
        hidden = gelu(rows @ self.first.T + self.first_bias)
        return unit_rows(hidden @ self.second.T + self.second_bias, "head")


def gelu(x: Float32) -> Float32:
    """x · Φ(x), with Φ the normal distribution function (Hendrycks and Gimpel 2016), exact form.

    The error function by Abramowitz and Stegun 7.1.26, within 1.5e-7 everywhere.

    >>> [round(float(y), 6) for y in gelu(np.array([-1.0, 0.0, 1.0, 5.0], np.float32))]
    [-0.158655, 0.0, 0.841345, 4.999999]
    """
    z = np.abs(x.astype(np.float64)) / np.sqrt(2)
    t = 1 / (1 + 0.3275911 * z)
    series = 1.061405429
    for factor in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = series * t + factor
    erf = np.copysign(1 - series * t * np.exp(-z * z), x)
    result: Float32 = (0.5 * x * (1 + erf)).astype(np.float32)
    return result


def read_head(path: str | Path) -> Head:
    """A head from our safetensors file or from the original's checkpoint (`.pt`).

    A bare state dictionary will do. Nothing in the file is executed. Raises ModelError for a file
    that is not such a head, UnsafeFile for one that would have to be executed.
    """
    path = Path(path).expanduser()
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ModelError(path, f"{size} bytes", expected=f"at most {MAX_BYTES}")
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(path, f"unreadable ({error.strerror})", expected="a head") from error
    arrays, about = _zip(path) if data[:2] == b"PK" else _safetensors(data, str(path))
    layers = [_layer(arrays, key, str(path)) for key in KEYS]
    first, first_bias, second, second_bias = layers
    if (
        first.shape[0] != len(first_bias)
        or second.shape != (len(second_bias), len(first_bias))
        or len(arrays) != len(KEYS)
    ):
        shapes = ", ".join(str(layer.shape) for layer in layers)
        found = f"layers {shapes} among {len(arrays)}"
        raise ModelError(path, found, expected=f"{', '.join(KEYS)} that fit, alone")
    model = about.get("model", "")
    sha256 = hashlib.sha256(data).hexdigest()
    return Head(
        first, first_bias, second, second_bias, sha256, model if isinstance(model, str) else ""
    )


def _zip(path: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    loaded = read_checkpoint(path)
    state = loaded.get("state_dict")
    return (state, loaded) if isinstance(state, Mapping) else (loaded, {})


def _safetensors(data: bytes, thing: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    length = int.from_bytes(data[:8], "little")
    try:
        if length > _MAX_HEADER:
            raise ValueError(f"a header of {length} bytes")
        arrays = load(data)
        about = json.loads(data[8 : 8 + length]).get("__metadata__") or {}
    except (SafetensorError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(
            thing,
            f"neither safetensors nor a checkpoint of torch 1.6 or later ({error})",
            expected="a head",
            do="Open it in torch where you trust it and save it again",
        ) from error
    layout = about.get("layout", LAYOUT)
    if layout != LAYOUT:
        raise ModelError(thing, f"layout {layout}", expected=LAYOUT)
    return arrays, about


def _layer(arrays: Mapping[str, Any], key: str, thing: str) -> Float32:
    array = arrays.get(key)
    dimensions = 1 if key.endswith("bias") else 2
    if not isinstance(array, np.ndarray) or array.ndim != dimensions or array.dtype.kind != "f":
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else "not there"
        raise ModelError(thing, f"{key}: {found}", expected=f"{dimensions} dimensions of floats")
    if not np.isfinite(array).all():
        raise ModelError(thing, f"{key}: numbers that are not finite", expected="a trained head")
    return array.astype(np.float32)
