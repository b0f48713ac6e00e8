"""A model on the device asked for, or on the CPU with a sentence that says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from kenspeckle.errors import ModelError

T = TypeVar("T")


def on_device(load: Callable[[str], T], device: str) -> tuple[T, str]:
    """What `load` makes of a device name, and why it is not the one asked for (empty: it is).

    Devices have other names for ONNX Runtime than for torch, and one of them may be missing: then
    the CPU does the work. Raises what `load` raises for the CPU.
    """
    if device.strip().lower() in ("", "cpu"):
        return load("cpu"), ""
    try:
        return load(device), ""
    except ModelError as error:
        return load("cpu"), f"the CPU is used: {error}"
