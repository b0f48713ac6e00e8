"""Does an ONNX file keep to itself? A walk over its protobuf, without the onnx package.

Tensors of a model may lie in other files, named by a path inside it. Such a path could lead
anywhere on this machine, so only models that hold all their tensors are loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kenspeckle.errors import ModelError, UnsafeFile

_TENSOR, _SPARSE, _ATTRIBUTE, _NODE, _GRAPH, _FUNCTION, _TRAINING, _MODEL = range(8)

# Message → field number → message inside it (onnx.proto, IR version 10).
_INSIDE: dict[int, dict[int, int]] = {
    _MODEL: {7: _GRAPH, 20: _TRAINING, 25: _FUNCTION},
    _TRAINING: {1: _GRAPH, 2: _GRAPH},
    _GRAPH: {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    _FUNCTION: {7: _NODE, 11: _ATTRIBUTE},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE},
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
    _TENSOR: {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_DEPTH = 60


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a number without end")


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """(field number, content) of one protobuf message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + size > len(data):
            raise ValueError("it ends too early")
        yield number, data[at : at + size]
        at += size


def _walk(data: memoryview, kind: int, thing: Path, depth: int) -> None:
    if depth > _DEPTH:
        raise ValueError("nested too deeply")
    for number, content in _fields(data):
        if kind == _TENSOR and (
            number == _EXTERNAL_DATA or (number == _DATA_LOCATION and content != 0)
        ):
            raise UnsafeFile(
                thing,
                "it keeps tensors in other files",
                expected="one file that holds everything",
                do="Save it again with onnx.save(model, path, save_as_external_data=False)",
            )
        inner = _INSIDE[kind].get(number)
        if inner is not None and isinstance(content, memoryview):
            _walk(content, inner, thing, depth + 1)


def check_self_contained(data: bytes, thing: Path) -> None:
    """Raise UnsafeFile when a tensor lies outside the file, ModelError when it is not ONNX."""
    try:
        _walk(memoryview(data), _MODEL, thing, 0)
    except (ValueError, IndexError) as error:
        raise ModelError(thing, f"not an ONNX file ({error})", expected="a whole one") from error
