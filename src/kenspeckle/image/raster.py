"""Readers of the formats that Pillow decodes by itself: JPEG, PNG, GIF, WebP, BMP."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
)

from kenspeckle.image.header import MAX_PROFILE, TRUNCATED, Header, UnreadableError, orientation

_MARKER = re.compile(rb"\xff([\x01-\xfe])")
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_PROGRESSIVE, _ARITHMETIC = frozenset({0xC2, 0xCA}), frozenset({0xC9, 0xCA})
_JPEG_KEPT = frozenset({0xC4, 0xCC, 0xDB, 0xDD, 0xE0, 0xEE}) | _FRAMES
_JPEG_SEGMENTS = 4096
_SCANS, _SCANNED = 32, 500_000_000
# Huffman codes spend a bit a block at least, and a block stands for 16 × 16 pixels at most.
_AREA_OF_A_BYTE = 8 * 16 * 16
_PNG_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT"})
_CHUNKS = 100_000
_GIF_BLOCKS = 500_000
_SLOW_BMP = 4 * 1024 * 1024


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment of a JPEG; the last one is the start of the pixels."""
    at = 2
    for _ in range(_JPEG_SEGMENTS):
        # Stray bytes between segments are passed over, as every decoder does.
        found = _MARKER.search(data, at)
        if found is None or found[1] == b"\xd9":
            raise UnreadableError(TRUNCATED.format("JPEG"))
        marker, at = found[1][0], found.end()
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            continue
        length = int.from_bytes(data[at : at + 2])
        if length < 2 or at + length > len(data):
            raise UnreadableError(TRUNCATED.format("JPEG"))
        at += length
        yield marker, found.start(), at
        if marker == 0xDA:
            return
    raise UnreadableError(f"a JPEG of more than {_JPEG_SEGMENTS} segments")


def jpeg(data: bytes) -> Header:
    """A JPEG, also the first picture of an MPO."""
    kept, exif, profile, size, adobe = [b"\xff\xd8"], b"", [], None, False
    kind = 0
    for marker, start, end in _segments(data):
        if marker in _FRAMES:
            if size is not None or end - start < 10:
                raise UnreadableError("a JPEG with a broken frame header")
            height, width = struct.unpack_from(">HH", data, start + 5)
            size, kind = (width, height), marker
        elif marker == 0xE1 and not exif and data.startswith(b"Exif\0\0", start + 4):
            exif = data[start + 4 : end]
        elif marker == 0xE2 and data.startswith(b"ICC_PROFILE\0", start + 4):
            profile.append(data[start + 16 : end])
        elif marker == 0xEE:
            adobe = adobe or data.startswith(b"Adobe", start + 4)
        if marker in _JPEG_KEPT:
            kept.append(data[start:end])
    if size is None:
        raise UnreadableError("a JPEG without a frame header")
    _check_scans(data, start, kind, size)
    kept.append(data[start:])
    body = b"".join(kept)

    # Each part of a profile begins with its number and the count of parts.
    joined = b"".join(part[2:] for part in sorted(profile, key=lambda part: part[:1]))
    return Header(
        "JPEG",
        size,
        lambda: JpegImagePlugin.JpegImageFile(io.BytesIO(body)),
        orientation=orientation(exif),
        profile=joined,
        ink=not adobe,  # Adobe stores ink inverted and says so by its marker
    )


def _check_scans(data: bytes, start: int, kind: int, size: tuple[int, int]) -> None:
    """Refuse a JPEG that would take long to decode, or that has no bytes for its pixels."""
    area = size[0] * size[1]
    if kind in _PROGRESSIVE:
        scans = data.count(b"\xff\xda", start)
        if scans > _SCANS and scans * area > _SCANNED:
            raise UnreadableError(f"a progressive JPEG of {scans} scans", f"at most {_SCANS}")
    if kind not in _ARITHMETIC and (len(data) - start) * _AREA_OF_A_BYTE < area:
        raise UnreadableError(f"a JPEG of {size[0]} × {size[1]} pixels in {len(data)} bytes")


def png(data: bytes) -> Header:
    """A PNG; of an animated one the picture that everyone shows."""
    kept, profile, exif, frames, at = [data[:8]], b"", b"", 1, 8
    size, standard, pixels = None, False, False
    for _ in range(_CHUNKS):
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        end = at + 12 + length
        if kind == b"IEND" or (pixels and kind != b"IDAT"):
            break
        if len(kind) < 4 or end > len(data):
            raise UnreadableError(TRUNCATED.format("PNG"))
        if size is None:
            if kind != b"IHDR" or length != 13:
                raise UnreadableError("a PNG that does not begin with its header")
            size = struct.unpack_from(">LL", data, at + 8)
        if kind in _PNG_KEPT:
            kept.append(data[at:end])
            pixels = pixels or kind == b"IDAT"
        elif kind == b"iCCP":
            profile = _inflated(data[at + 8 : end - 4])
        elif kind == b"eXIf":
            exif = data[at + 8 : end - 4]
        elif kind == b"acTL" and length == 8:
            frames = int.from_bytes(data[at + 8 : at + 12])
        standard = standard or kind == b"sRGB"
        at = end
    else:
        raise UnreadableError(f"a PNG of more than {_CHUNKS} chunks")
    if size is None or not pixels:
        raise UnreadableError("a PNG without pixels")
    kept.append(b"\0\0\0\0IEND\xaeB`\x82")
    body = b"".join(kept)
    return Header(
        "PNG",
        (size[0], size[1]),
        lambda: PngImagePlugin.PngImageFile(io.BytesIO(body)),
        frames=max(frames, 1),
        orientation=orientation(exif),
        profile=b"" if standard else profile,
    )


def _inflated(chunk: bytes) -> bytes:
    """The profile of an iCCP chunk; empty when it is broken or too large."""
    packed = chunk.partition(b"\0")[2][1:]
    try:
        inflater = zlib.decompressobj()
        profile = inflater.decompress(packed, MAX_PROFILE)
    except zlib.error:
        return b""
    return profile if inflater.eof else b""


def gif(data: bytes) -> Header:
    """A GIF: its first frame alone."""
    if len(data) < 13:
        raise UnreadableError(TRUNCATED.format("GIF"))
    width, height = struct.unpack_from("<HH", data, 6)
    at = 13 + _palette(data[10])
    kept, control, frames, blocks = [data[:at]], b"", 0, 0
    while at < len(data) and data[at] != 0x3B and blocks < _GIF_BLOCKS:
        start = at
        if data[at] == 0x2C and at + 10 < len(data):
            left, top, wide, high, flags = struct.unpack_from("<HHHHB", data, at + 1)
            at += 11 + _palette(flags)
            frames += 1
        elif data[at] == 0x21:
            at += 2
        else:
            raise UnreadableError("a GIF with a foreign block")
        while at < len(data) and data[at] and blocks < _GIF_BLOCKS:
            at += 1 + data[at]
            blocks += 1
        at += 1
        if at > len(data):
            raise UnreadableError(TRUNCATED.format("GIF"))
        blocks += 1
        if data[start] == 0x21 and data[start + 1] == 0xF9:
            control = data[start:at]
        elif data[start] == 0x2C and frames == 1:
            width, height = max(width, left + wide), max(height, top + high)
            kept += [control, data[start:at], b";"]
    if blocks >= _GIF_BLOCKS:
        raise UnreadableError(f"a GIF of more than {_GIF_BLOCKS} blocks")
    if not frames:
        raise UnreadableError("a GIF without a picture")
    body = b"".join(kept)
    return Header(
        "GIF", (width, height), lambda: GifImagePlugin.GifImageFile(io.BytesIO(body)), frames
    )


def _palette(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def webp(data: bytes) -> Header:
    """A WebP, lossy, lossless or animated."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise UnreadableError(TRUNCATED.format("WebP"))
    sizes, frames, exif, profile, at = [(0, 0)], 0, b"", b"", 12
    for _ in range(_CHUNKS):
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = at + 8
        if body + length > end:
            break
        if kind == b"VP8X":
            sizes.append((_u24(data, body + 4) + 1, _u24(data, body + 7) + 1))
        elif kind == b"VP8 ":
            wide, high = struct.unpack_from("<HH", data[body : body + 10].ljust(10, b"\0"), 6)
            sizes.append((wide & 0x3FFF, high & 0x3FFF))
        elif kind == b"VP8L":
            bits = int.from_bytes(data[body + 1 : body + 5], "little")
            sizes.append(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1))
        elif kind == b"ANMF":
            frames += 1
            sizes.append((_u24(data, body + 6) + 1, _u24(data, body + 9) + 1))
        elif kind == b"EXIF":
            exif = data[body : body + length]
        elif kind == b"ICCP" and length <= MAX_PROFILE:
            profile = data[body : body + length]
        at = body + length + (length & 1)
    else:
        raise UnreadableError(f"a WebP of more than {_CHUNKS} chunks")
    size = max(w for w, _ in sizes), max(h for _, h in sizes)
    return Header(
        "WEBP",
        size,
        lambda: _webp_pixels(data),
        max(frames, 1),
        orientation(exif),
        profile,
    )


def _webp_pixels(data: bytes) -> Image.Image:
    """The first frame. Pillow's own reader would keep its canvases, twice the size of the picture,
    and a copy of the pixels for as long as the picture lives."""
    from PIL import _webp

    decoder = _webp.WebPAnimDecoder(data)
    size, _, _, _, raw = decoder.get_info()
    found = decoder.get_next()
    del decoder
    if found is None:
        raise UnreadableError("a broken WebP")
    return Image.frombytes("RGB" if raw == "RGBX" else raw, size, found[0], "raw", raw)


def _u24(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 3], "little")


def bmp(data: bytes) -> Header:
    """A Windows bitmap."""
    if len(data) < 30:
        raise UnreadableError(TRUNCATED.format("BMP"))
    packed = 0
    if int.from_bytes(data[14:18], "little") == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<Ll", data, 18)
        packed = int.from_bytes(data[30:34], "little")
    size = width, abs(height)
    # Pillow unpacks run lengths in Python, a hundred times slower than any other format.
    if packed in (1, 2) and size[0] * size[1] > _SLOW_BMP:
        raise UnreadableError(
            f"a run-length BMP of {size[0]} × {size[1]}", f"at most {_SLOW_BMP} pixels"
        )
    return Header("BMP", size, lambda: BmpImagePlugin.BmpImageFile(io.BytesIO(data)))
