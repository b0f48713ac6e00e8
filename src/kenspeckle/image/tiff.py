"""TIFF: a clean directory of the first page, written behind the file's own bytes."""

from __future__ import annotations

import io
import struct

from PIL import Image, TiffImagePlugin

from kenspeckle.image.header import (
    MAX_PROFILE,
    Directory,
    Header,
    UnreadableError,
    directory,
    integers,
)

_WIDTH, _HEIGHT, _COMPRESSION, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 259, 322, 323
_ORIENTATION, _PROFILE = 274, 34675
_STRIPS, _STRIP_ROWS, _TILES, _OLD_JPEG_CODE = 273, 278, 324, 6
_SINGLE = frozenset({256, 257, 259, 262, 266, 277, 278, 284, 317, 322, 323})
_MANY = frozenset({258, 273, 279, 292, 293, 320, 324, 325, 338, 339, 347, 530, 532})
_OLD_JPEG = frozenset({512, 513, 514, 519, 520, 521})
_COMPRESSIONS = {1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 50000}
_SAMPLES, _MAX_SAMPLES = 277, 6
_MAX_STRIPS = 1_000_000
_MAX_PAGES = 100_000


def tiff(data: bytes) -> Header:
    """A TIFF or BigTIFF: its first page."""
    page = directory(data)
    size = _one(data, page, _WIDTH), _one(data, page, _HEIGHT)
    tile = _one(data, page, _TILE_WIDTH, 1), _one(data, page, _TILE_HEIGHT, 1)
    compression = _one(data, page, _COMPRESSION, 1)
    if compression not in _COMPRESSIONS:
        raise UnreadableError(f"a TIFF of compression {compression}", "a usual compression")
    if _one(data, page, _SAMPLES, 1) > _MAX_SAMPLES:
        raise UnreadableError(f"a TIFF of {_one(data, page, _SAMPLES)} samples a pixel")
    if tile[0] * tile[1] > 4 * max(size[0] * size[1], 1 << 20):
        raise UnreadableError(f"a TIFF with tiles of {tile[0]} × {tile[1]}")
    _check_parts(data, page, size, tile)
    kind, count, _, where = page.entries.get(_PROFILE, (0, 0, b"", 0))
    profile = data[where : where + count] if kind in (1, 7) and count <= MAX_PROFILE else b""
    turned = (integers(data, page, _ORIENTATION) or (1,))[0]
    body = _cleaned(data, page)

    def load() -> Image.Image:
        return TiffImagePlugin.TiffImageFile(io.BytesIO(body))

    return Header("TIFF", size, load, _pages(data, page), turned, profile)


def _one(data: bytes, page: Directory, tag: int, default: int = 0) -> int:
    values = integers(data, page, tag)
    return values[0] if values else default


def _check_parts(
    data: bytes, page: Directory, size: tuple[int, int], tile: tuple[int, int]
) -> None:
    """Refuse a page with fewer strips or tiles than its size asks for."""
    if _TILES in page.entries:
        found = page.entries[_TILES][1]
        needed = -(-size[0] // max(tile[0], 1)) * -(-size[1] // max(tile[1], 1))
    else:
        found = page.entries.get(_STRIPS, (0, 0))[1]
        needed = -(-size[1] // max(_one(data, page, _STRIP_ROWS, size[1]), 1))
    if found < needed and _one(data, page, _COMPRESSION, 1) != _OLD_JPEG_CODE:
        raise UnreadableError(f"a TIFF with {found} of {needed} parts")


def _pages(data: bytes, page: Directory) -> int:
    """Pages in the chain; a chain that bites its tail or leads nowhere ends there."""
    seen: set[int] = set()
    while page.next and page.next not in seen and len(seen) < _MAX_PAGES:
        seen.add(page.next)
        try:
            page = directory(data, page.next)
        except UnreadableError:
            break
    return 1 + len(seen)


def _cleaned(data: bytes, page: Directory) -> bytes:
    """`data` with a directory of only those tags that say where the pixels are.

    Pillow and libtiff both warn about odd tags and follow every page; neither can happen here.
    """
    entries = []
    for tag in sorted(page.entries):
        kind, count, raw, _ = page.entries[tag]
        if tag in _SINGLE:
            value = _one(data, page, tag, -1)
            if not 0 <= value < 1 << 32:
                continue
            kind, count, raw = 4, 1, struct.pack(page.order + "L", value).ljust(len(raw), b"\0")
        elif tag not in _MANY and tag not in _OLD_JPEG:
            continue
        if count > _MAX_STRIPS:
            raise UnreadableError(f"a TIFF of {count} strips", f"at most {_MAX_STRIPS}")
        form = page.order + ("HHQ" if page.big else "HHL")
        entries.append(struct.pack(form, tag, kind, count) + raw)
    at = len(data) + len(data) % 2
    head = struct.pack(page.order + ("Q" if page.big else "L"), at)
    start = 8 if page.big else 4
    number = struct.pack(page.order + ("Q" if page.big else "H"), len(entries))
    padding = b"\0" * (at - len(data))
    rest = data[start + len(head) :]
    return b"".join((data[:start], head, rest, padding, number, *entries, b"\0" * len(head)))
