"""What a picture file says about itself, and how its first frame is decoded.

Each reader walks the container in a few steps, takes out what is wanted (size, frames,
orientation, colour profile) and hands the decoder only the parts that make pixels. Comments,
thumbnails, maker's notes and compressed texts never reach it, so they cannot cost anything, and
the size is known before a pixel is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

MAX_PROFILE = 4 * 1024 * 1024
"""Bytes of an ICC profile; larger ones are ignored. Those of printers have up to 2 MiB."""

# Bytes of one value of each TIFF type, by the type's number.
_TYPE_SIZES = dict(enumerate((0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)))
_ORIENTATION = 0x0112


class UnreadableError(Exception):
    """A file is not what it claims to be. `decode` adds the name and raises PictureError."""

    def __init__(self, found: str, expected: str = "a whole picture") -> None:
        super().__init__(found)
        self.found, self.expected = found, expected


TRUNCATED = "a {} that ends too early"


@dataclass(frozen=True, slots=True)
class Header:
    """A picture before it is decoded.

    `size` is width and height as stored (before the EXIF rotation), `orientation` the EXIF value
    1 … 8, `profile` an ICC profile or empty. `load` decodes the first frame; `ink` says that its
    CMYK is stored as it is, while Pillow takes it for inverted.
    """

    format: str
    size: tuple[int, int]
    load: Callable[[], Image.Image]
    frames: int = 1
    orientation: int = 1
    profile: bytes = b""
    ink: bool = False


@dataclass(frozen=True, slots=True)
class Directory:
    """One directory of a TIFF: its entries as stored, and where the next one is.

    `entries` maps a tag to (type, count, field, offset): the field holds a short value itself, a
    longer one lies at the offset. `order` is `<` or `>`; `big` tells BigTIFF.
    """

    order: str
    big: bool
    entries: dict[int, tuple[int, int, bytes, int]]
    next: int


def directory(data: bytes, at: int | None = None) -> Directory:
    """The directory of a TIFF at `at`, or the first one. Entries that point outside are left out.

    Raises UnreadableError when there is no directory.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2], "")
    try:
        if not order:
            raise UnreadableError("a TIFF without a byte order")
        big = struct.unpack_from(order + "H", data, 2)[0] == 43
        offset, count, entry = ("Q", "Q", "HHQ8s") if big else ("L", "H", "HHL4s")
        width = 8 if big else 4
        if at is None:
            (at,) = struct.unpack_from(order + offset, data, 8 if big else 4)
        (number,) = struct.unpack_from(order + count, data, at)
        at += struct.calcsize(order + count)
        step = struct.calcsize(order + entry)
        if number > 65535 or at + number * step > len(data):
            raise UnreadableError(TRUNCATED.format("TIFF"))
        entries = {}
        rows = struct.iter_unpack(order + entry, data[at : at + number * step])
        for tag, kind, values, raw in rows:
            size, where = values * _TYPE_SIZES.get(kind, 0), 0
            if size > width:
                (where,) = struct.unpack(order + offset, raw)
                if where + size > len(data):
                    continue
            if size and tag not in entries:
                entries[tag] = (kind, values, raw, where)
        end = at + number * step
        following = struct.unpack_from(order + offset, data, end)[0] if end < len(data) else 0
    except (struct.error, OverflowError) as error:
        raise UnreadableError(TRUNCATED.format("TIFF")) from error
    return Directory(order, big, entries, following)


def integers(data: bytes, table: Directory, tag: int) -> tuple[int, ...]:
    """The whole numbers of a tag; empty when it is absent or holds something else."""
    kind, count, raw, where = table.entries.get(tag, (0, 0, b"", 0))
    code = {1: "B", 3: "H", 4: "L", 13: "L", 16: "Q", 18: "Q"}.get(kind)
    if code is None:
        return ()
    form = f"{table.order}{count}{code}"
    inline = struct.calcsize(form) <= (8 if table.big else 4)
    return struct.unpack_from(form, raw) if inline else struct.unpack_from(form, data, where)


def orientation(exif: bytes) -> int:
    """The orientation 1 … 8 in a block of EXIF; 1 when there is none or it makes no sense."""
    if not exif:
        return 1
    block = exif.removeprefix(b"Exif\0\0")
    try:
        values = integers(block, directory(block), _ORIENTATION)
    except UnreadableError:
        return 1
    return values[0] if values and 1 <= values[0] <= 8 else 1
