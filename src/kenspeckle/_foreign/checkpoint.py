"""Tensors out of a torch checkpoint (`.pt`) without torch, and without executing anything in it.

The file is a zip: `<name>/data.pkl` describes the objects, `<name>/data/<key>` hold the numbers.
The description may name ordered dictionaries, tensors and the types of their storage, no more.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kenspeckle._foreign.unpickle import Sealed, restricted_load
from kenspeckle.errors import ModelError, UnsafeFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_BYTES = 64 * 1024 * 1024
"""Most bytes that the storages of one file may have together, and the tensors made of them."""

_MAX_DESCRIPTION = 4 * 1024 * 1024
_MAX_MEMBERS = 10_000

_STORAGES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "u2",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
}


class _StorageType(Sealed):
    """Stands for a class of torch."""

    __slots__ = ()


_TYPES = {name: type(name, (_StorageType,), {"__slots__": ()})() for name in _STORAGES}
_NAME_OF = {id(marker): name for name, marker in _TYPES.items()}


class _Dictionary(dict[Any, Any]):
    """An ordered dictionary; what torch notes in its attributes is passed over."""

    __slots__ = ()

    def __setstate__(self, _: object) -> None:
        """No attribute of the file's may stand before a method."""


class _DictionaryClass(Sealed):
    """Stands for the class `OrderedDict`."""

    __slots__ = ()

    def __call__(self, pairs: Any = ()) -> _Dictionary:
        return _Dictionary(pairs)


class _Rebuild(Sealed):
    """Stands for torch's function that makes a tensor of a part of a storage."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MAX_BYTES

    def __call__(
        self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any
    ) -> NDArray[np.generic]:
        if not isinstance(storage, np.ndarray) or not type(size) is type(stride) is tuple:
            raise ValueError("a tensor that is not made of a storage")
        numbers = (offset, *size, *stride)
        if len(size) != len(stride) or not all(type(n) is int and n >= 0 for n in numbers):
            raise ValueError("a tensor whose offset, size and stride are no counts")
        count = math.prod(size)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if count > storage.size or (count and last >= storage.size):
            raise ValueError(f"a tensor of {count} beyond its storage of {storage.size}")
        self._left -= count * storage.itemsize  # strides of 0 make much of little
        if self._left < 0:
            raise ValueError(f"tensors of more than {MAX_BYTES} bytes together")
        if not count:
            return np.empty(size, storage.dtype)
        strides = [step * storage.itemsize for step in stride]
        view = np.lib.stride_tricks.as_strided(storage[offset:], size, strides, writeable=False)
        return np.ascontiguousarray(view)


def _allowed() -> dict[tuple[str, str], Any]:
    """What one file may name."""
    return {
        ("collections", "OrderedDict"): _DictionaryClass(),
        ("torch._utils", "_rebuild_tensor_v2"): _Rebuild(),
        **{("torch", name): marker for name, marker in _TYPES.items()},
    }


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """The dictionary that was saved, its tensors as numpy arrays (bfloat16 as float32).

    Raises UnsafeFile for a file that asks for anything else, ModelError for one that is damaged,
    too large, or in the format of torch before 1.6.
    """
    thing = str(path)
    try:
        with zipfile.ZipFile(path) as archive:
            loaded = _read(archive, thing)
    except zipfile.BadZipFile as error:
        raise ModelError(
            thing,
            "not a checkpoint of torch 1.6 or later",
            expected="a zip written by torch.save, or safetensors",
            do="Open it in torch where you trust it and save it again",
        ) from error
    except (OSError, NotImplementedError, RuntimeError) as error:
        raise ModelError(thing, f"unreadable ({error})", expected="a checkpoint") from error
    if not isinstance(loaded, Mapping):
        raise ModelError(thing, f"holds a {type(loaded).__name__}", expected="a dictionary")
    return loaded


def _read(archive: zipfile.ZipFile, thing: str) -> Any:
    members = {info.filename: info for info in archive.infolist()}
    if len(members) > _MAX_MEMBERS:
        raise ModelError(thing, f"{len(members)} members", expected=f"at most {_MAX_MEMBERS}")
    found = [name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(found) != 1:
        raise ModelError(thing, f"{len(found)} members data.pkl", expected="one")
    root = found[0].removesuffix("data.pkl")
    left = MAX_BYTES

    def member(name: str, limit: int) -> bytes:
        info = members.get(name)
        if info is None or info.file_size > limit:
            found = "missing" if info is None else f"{info.file_size} bytes"
            raise ModelError(thing, f"{name}: {found}", expected=f"at most {limit} bytes")
        with archive.open(info) as stream:
            data = stream.read(limit + 1)
        if len(data) != info.file_size:
            raise ModelError(thing, f"{name}: {len(data)} bytes", expected=str(info.file_size))
        return data

    order = (
        ">" if f"{root}byteorder" in members and member(f"{root}byteorder", 16) == b"big" else "<"
    )
    read: dict[str, NDArray[np.generic]] = {}

    def storage(pid: Any) -> NDArray[np.generic]:
        nonlocal left
        kind, marker, key, _, count = pid
        name = _NAME_OF.get(id(marker), "")
        if kind != "storage" or not name or not isinstance(key, str) or type(count) is not int:
            raise UnsafeFile(thing, "it refers to something else than a storage")
        if key not in read:
            data = member(f"{root}data/{key}", left)
            left -= len(data)
            numbers = np.frombuffer(data, np.dtype(order + _STORAGES[name]))
            if numbers.size != count:
                raise ModelError(thing, f"a storage of {numbers.size}", expected=str(count))
            if name == "BFloat16Storage":
                numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
            read[key] = numbers.astype(numbers.dtype.newbyteorder("="))
        return read[key]

    description = member(found[0], _MAX_DESCRIPTION)
    return restricted_load(description, _allowed(), thing, storage)
