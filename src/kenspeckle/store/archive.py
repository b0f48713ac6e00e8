"""Arrays in a zip, as numpy's `.npz` keeps them: read within limits, written at once.

numpy's own reader trusts the sizes that a file states, and needs pickle for objects; this one
compares them with what is there before it makes room.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from kenspeckle._aside import written
from kenspeckle._foreign.arrays import read_texts
from kenspeckle.errors import IndexCorrupt, IndexReadOnly
from kenspeckle.store.place import check_file, missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_MEMBERS = 64
MAX_MEMBER = 16 * 1024**3
"""Largest member, bytes as unpacked."""

MAX_RATIO = 200
"""Most bytes that one packed byte may become; arrays of floats reach 2, of names 100."""

_ROOM = 1024 * 1024  # unpacked bytes that no ratio is asked of
_MAX_HEADER = 65_536


class Archive:
    """An open `.npz`. Made by `opened`."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path, self._archive = path, archive
        self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if len(archive.infolist()) > MAX_MEMBERS:
            raise self.corrupt(f"{len(archive.infolist())} members")

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def corrupt(self, found: str) -> IndexCorrupt:
        """The error for a file that is not what it should be."""
        return IndexCorrupt(
            self.path, found, expected="an index as .npz", do="Index the references anew"
        )

    def shape(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape and type of an array, without reading it. Raises IndexCorrupt."""
        with self._member(name) as (_, shape, kind, size):
            self._check_size(name, shape, kind, size)
            return shape, kind

    def array(self, name: str) -> NDArray[Any]:
        """An array of plain numbers or text. Raises IndexCorrupt."""
        with self._member(name) as (stream, shape, kind, size):
            if kind.hasobject:
                raise self.corrupt(f"{name} holds {kind}")
            self._check_size(name, shape, kind, size)
            data = np.empty(size, np.uint8)
            view, filled = data.data, 0
            while filled < size:
                count = stream.readinto(view[filled : filled + 2**24])  # type: ignore[attr-defined]
                if not count:
                    raise self.corrupt(f"{name} ends early")
                filled += count
            return data.view(kind).reshape(shape) if size else np.empty(shape, kind)

    def _check_size(
        self, name: str, shape: tuple[int, ...], kind: np.dtype[Any], size: int
    ) -> None:
        """Compare what a header states with the bytes behind it. Objects are measured as read."""
        if kind.hasobject:
            return
        if not kind.itemsize:  # any number of them would need no bytes
            raise self.corrupt(f"{name} holds {kind}, of no size")
        expected = math.prod(shape) * kind.itemsize
        if size != expected:
            raise self.corrupt(f"{name}: {size} bytes where {shape} needs {expected}")

    def texts(self, name: str, count: int) -> list[str]:
        """`count` texts, of fixed width or pickled. Raises IndexCorrupt or UnsafeFile."""
        with self._member(name) as (stream, shape, kind, _):
            if shape != (count,):
                raise self.corrupt(f"{name} has shape {shape} where {count} are needed")
            if kind.hasobject:
                return read_texts(stream.read(), count, f"{self.path}: {name}")
        if kind.kind != "U":
            raise self.corrupt(f"{name} holds {kind} instead of text")
        array = self.array(name)
        if int(array.view(f"{kind.byteorder}u4").max(initial=0)) > 0x10FFFF:
            raise self.corrupt(f"{name} is not Unicode")
        return [str(text) for text in array]

    @contextmanager
    def _member(self, name: str) -> Iterator[tuple[IO[bytes], tuple[int, ...], np.dtype[Any], int]]:
        """The stream behind an array's header, its shape, type, and the bytes that follow."""
        info = self._members.get(name)
        if info is None:
            raise self.corrupt(f"it has no {name}")
        allowed = min(MAX_MEMBER, max(_ROOM, MAX_RATIO * info.compress_size))
        if info.file_size > allowed or info.flag_bits & 1:
            raise self.corrupt(f"{name} would unpack to {info.file_size} bytes")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise self.corrupt(f"{name} is packed by method {info.compress_type}")
        try:
            with self._archive.open(info) as stream:
                shape, kind = _header(stream)
                if any(size < 0 for size in shape):
                    raise ValueError(f"shape {shape}")
                yield stream, shape, kind, info.file_size - stream.tell()
        except (ValueError, EOFError, TypeError, zipfile.BadZipFile, OSError) as error:
            raise self.corrupt(f"{name} cannot be read ({error})") from error
        except (NotImplementedError, RuntimeError, MemoryError, zlib.error) as error:
            raise self.corrupt(f"{name} cannot be read ({error or 'no memory'})") from error


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        read = np.lib.format.read_array_header_1_0
    elif version == (2, 0):
        read = np.lib.format.read_array_header_2_0
    else:
        raise ValueError(f"array format {version}")
    shape, fortran, kind = read(stream, max_header_size=_MAX_HEADER)
    if fortran and len(shape) > 1:
        raise ValueError("columns first")
    return shape, kind


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Open an `.npz`. Raises IndexMissing, IndexReadOnly, IndexCorrupt."""
    check_file(path)
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise missing(path) from None
    except PermissionError:
        raise IndexReadOnly(path, "it may not be read", do="Change its permissions") from None
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        raise IndexCorrupt(path, f"not a whole .npz ({error})", do="Index anew") from error
    with archive:
        yield Archive(path, archive)


def write(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as an uncompressed `.npz`, in place of the old file at once or not at all.

    Raises IndexReadOnly when it cannot be written; the old file is then as it was.
    """
    old = "The old one is kept" if path.exists() else ""
    try:
        with written(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                    np.lib.format.write_array(stream, array, allow_pickle=False)
    except OSError as error:
        raise IndexReadOnly(
            path, f"it cannot be written ({error.strerror or error})", do=old
        ) from error
