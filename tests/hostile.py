"""A folder of hostile pictures: broken, lying, huge, turned, animated, misnamed, and sound ones.

`write(folder, count)` makes any number of them within seconds and says of each whether it has to
decode. Nothing is random but by the seed.
"""

from __future__ import annotations

import functools
import io
import os
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

Build = Callable[[random.Random], bytes]


@dataclass(frozen=True)
class Hostile:
    """One file. `decodes` is None where either outcome is right, as for damaged pixels."""

    path: Path
    kind: str
    decodes: bool | None


@functools.cache
def picture(number: int = 0, size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A soft, coloured picture that differs by number."""
    coarse = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


@functools.cache
def saved(kind: str, number: int = 0, mode: str = "RGB", **options: object) -> bytes:
    """The bytes of `picture(number)` in a format of Pillow."""
    file = io.BytesIO()
    picture(number).convert(mode).save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int) -> bytes:
    """A block of EXIF with nothing but the orientation."""
    return b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + struct.pack(
        "<HHL", orientation, 0, 0
    )


def jpeg_with(segment: bytes, marker: int = 0xE1, number: int = 0) -> bytes:
    """A JPEG with one more segment in front."""
    plain = saved("JPEG", number)
    return plain[:2] + struct.pack(">BBH", 0xFF, marker, len(segment) + 2) + segment + plain[2:]


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG."""
    crc = struct.pack(">L", zlib.crc32(kind + body))
    return struct.pack(">L", len(body)) + kind + body + crc


def png_with(*chunks: bytes, number: int = 0) -> bytes:
    """A PNG with more chunks behind its header."""
    plain = saved("PNG", number)
    return plain[:33] + b"".join(chunks) + plain[33:]


def png_of(width: int, height: int) -> bytes:
    """A black PNG of any size; as a bomb it weighs a thousandth of its pixels."""
    header = struct.pack(">LLBBBBB", width, height, 8, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = b"\0" * (width + 1)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def png_lie(width: int, height: int) -> bytes:
    """A PNG whose header claims another size than its pixels have."""
    plain = saved("PNG")
    return plain[:8] + chunk(b"IHDR", struct.pack(">LL", width, height) + plain[24:29]) + plain[33:]


def jpeg_lie(width: int, height: int) -> bytes:
    """A JPEG whose frame header claims another size."""
    plain = bytearray(saved("JPEG"))
    struct.pack_into(">HH", plain, plain.index(b"\xff\xc0") + 5, height, width)
    return bytes(plain)


def gif_frames(frames: int) -> bytes:
    """A GIF of 1 × 1 with any number of frames, 22 bytes each."""
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    return b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff" + frame * frames + b";"


def gif_lie(width: int, height: int) -> bytes:
    """A GIF whose first frame reaches far beyond its screen."""
    plain = bytearray(gif_frames(1))
    struct.pack_into("<HH", plain, plain.index(b"\x2c", 19) + 5, width, height)
    return bytes(plain)


def tiff_tags(tags: dict[int, tuple[int, int, int]], body: bytes = b"\x80" * 64) -> bytes:
    """A little-endian TIFF of one page from (type, count, value) by tag, pixels at offset 8."""
    rows = b"".join(struct.pack("<HHLL", tag, *tags[tag]) for tag in sorted(tags))
    offset = 8 + len(body)
    return (
        struct.pack("<2sHL", b"II", 42, offset)
        + body
        + struct.pack("<H", len(tags))
        + rows
        + b"\0\0\0\0"
    )


GREY_TIFF = {
    256: (4, 1, 8),
    257: (4, 1, 8),
    258: (3, 1, 8),
    259: (3, 1, 1),
    262: (3, 1, 1),
    273: (4, 1, 8),
    277: (3, 1, 1),
    278: (4, 1, 8),
    279: (4, 1, 64),
}


def webp_lie(width: int, height: int) -> bytes:
    """A WebP whose canvas is far larger than its picture."""
    plain = saved("WEBP")
    canvas = struct.pack("<L", 0) + struct.pack("<LL", width - 1, height - 1)[:3]
    canvas += struct.pack("<L", height - 1)[:3]
    body = b"WEBPVP8X" + struct.pack("<L", 10) + canvas + plain[12:]
    return b"RIFF" + struct.pack("<L", len(body)) + body


def bmp_lie(width: int, height: int) -> bytes:
    """A bitmap whose header claims another size."""
    plain = bytearray(saved("BMP"))
    struct.pack_into("<ll", plain, 18, width, height)
    return bytes(plain)


def _cut(kind: str) -> Build:
    def build(rng: random.Random) -> bytes:
        whole = saved(kind, rng.randrange(8))
        return whole[: rng.randrange(len(whole) // 8, len(whole) * 3 // 4)]

    return build


def _mutated(kind: str) -> Build:
    def build(rng: random.Random) -> bytes:
        data = bytearray(saved(kind, rng.randrange(8)))
        for _ in range(rng.randrange(1, 12)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(data)

    return build


def _plain(kind: str, mode: str = "RGB", **options: object) -> Build:
    return lambda rng: saved(kind, rng.randrange(8), mode, **options)


def _always(data: bytes) -> Build:
    return lambda _: data


@functools.cache
def _icc_junk() -> bytes:
    return b"ICC_PROFILE\0\x01\x01" + bytes(range(256)) * 4


@functools.cache
def _text_bomb() -> bytes:
    packed = zlib.compress(b"\0" * (64 << 20), 9)
    return png_with(
        chunk(b"zTXt", b"comment\0\0" + packed),
        chunk(b"iTXt", b"more\0\1\0\0\0" + packed),
        chunk(b"iCCP", b"icc\0\0" + packed),
    )


Kinds = dict[str, tuple[str, Build, bool | None]]


@functools.cache
def kinds() -> Kinds:
    """Name → (suffix, how to make one, whether it decodes)."""
    suffix = {"JPEG": "jpg", "PNG": "png", "GIF": "gif", "WEBP": "webp", "BMP": "bmp"}
    suffix |= {"TIFF": "tif", "AVIF": "avif"}
    table: Kinds = {}
    for kind, end in suffix.items():
        table[f"sound {kind}"] = (end, _plain(kind), True)
        table[f"truncated {kind}"] = (end, _cut(kind), False)
        table[f"damaged {kind}"] = (end, _mutated(kind), None)
    for turn in range(1, 9):
        build = functools.partial(lambda turn, rng: jpeg_with(exif(turn), 0xE1, 1), turn)
        table[f"turned {turn}"] = ("jpg", build, True)
    table |= _sound()
    table |= _refused()
    return table


def _sound() -> Kinds:
    table: Kinds = {
        "CMYK": ("jpg", _plain("JPEG", "CMYK"), True),
        "progressive": ("jpg", _plain("JPEG", progressive=True), True),
        "grey": ("jpg", _plain("JPEG", "L"), True),
        "alpha": ("png", _plain("PNG", "RGBA"), True),
        "palette": ("png", _plain("PNG", "P", transparency=b"\0\x40\xff"), True),
        "one bit": ("png", _plain("PNG", "1"), True),
        "16 bits": ("png", _plain("PNG", "I;16"), True),
        "32 bits": ("tif", _plain("TIFF", "I"), True),
        "floats": ("tif", _plain("TIFF", "F"), True),
        "animated GIF": ("gif", _always(gif_frames(200)), True),
        "one pixel": ("png", _always(png_of(1, 1)), True),
        "a line": ("png", _always(png_of(1, 20000)), True),
        "wrong suffix": ("jpg", _plain("PNG"), True),
        "no suffix of ours": ("jpeg", _plain("WEBP"), True),
        "trailing junk": ("jpg", lambda rng: saved("JPEG") + rng.randbytes(3000), True),
        "broken EXIF": ("jpg", lambda rng: jpeg_with(b"Exif\0\0II*\0" + rng.randbytes(90)), True),
        "broken profile": ("jpg", _always(jpeg_with(_icc_junk(), 0xE2)), True),
        "text bombs": ("png", _always(_text_bomb()), True),
        "bad APNG": ("png", _always(png_with(chunk(b"acTL", b"\0" * 8))), True),
        "page that bites its tail": (
            "tif",
            _always(tiff_tags(GREY_TIFF)[:-4] + struct.pack("<L", 72)),
            True,
        ),
        "odd tags": (
            "tif",
            _always(tiff_tags({**GREY_TIFF, 270: (2, 1 << 30, 9), 37510: (9, 3, 1 << 31)})),
            True,
        ),
    }
    return table


def _refused() -> Kinds:
    huge = 7800, 7800
    table: Kinds = {
        "empty": ("jpg", _always(b""), False),
        "zeros": ("png", _always(b"\0" * 4096), False),
        "text": ("jpg", _always(b"this is not a picture\n" * 20), False),
        "web page": ("jpg", _always(b"<!DOCTYPE html><html>404</html>"), False),
        "SVG": ("png", _always(b'<svg xmlns="http://www.w3.org/2000/svg"/>'), False),
        "PDF": ("jpg", _always(b"%PDF-1.7\n%" + b"x" * 300), False),
        "EPS": ("jpg", _always(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), False),
        "PPM": ("jpg", _always(b"P6 2 2 255\n" + b"\0" * 12), False),
        "noise": ("jpg", lambda rng: rng.randbytes(2000), False),
        "only a start": ("jpg", lambda rng: b"\xff\xd8\xff\xe0" + rng.randbytes(2), False),
        "bomb": ("png", _always(png_of(*huge)), False),
        "PNG that lies": ("png", _always(png_lie(640, 480)), False),
        "huge PNG header": ("png", _always(png_lie(2**31 - 1, 2**31 - 1)), False),
        "JPEG that lies": ("jpg", _always(jpeg_lie(7000, 7000)), False),
        "JPEG that lies a little": ("jpg", _always(jpeg_lie(80, 64)), None),
        "huge JPEG header": ("jpg", _always(jpeg_lie(65500, 65500)), False),
        "GIF that lies": ("gif", _always(gif_lie(60000, 60000)), False),
        "WebP that lies": ("webp", _always(webp_lie(16000, 16000)), False),
        "BMP that lies": ("bmp", _always(bmp_lie(640, 480)), False),
        "huge BMP header": ("bmp", _always(bmp_lie(100_000, 100_000)), False),
        "TIFF that lies": ("tif", _always(tiff_tags({**GREY_TIFF, 257: (4, 1, 4000)})), False),
        "huge TIFF header": (
            "tif",
            _always(tiff_tags({**GREY_TIFF, 256: (4, 1, 1 << 31), 257: (4, 1, 1 << 31)})),
            False,
        ),
        "TIFF of no pixels": ("tif", _always(tiff_tags({256: (4, 1, 8), 257: (4, 1, 8)})), False),
        "too many frames": ("gif", _always(gif_frames(1001)), False),
        "bad checksum": ("png", _always(saved("PNG")[:-20] + b"\x55" * 20), False),
    }
    return table


ODD_NAMES = ("-rf", " leading space", "new\nline", "bell\a", "käse 🧀", "a" * 200, "50%s{0}$(x)")


def write(folder: Path, count: int, seed: int = 0) -> list[Hostile]:
    """Write `count` files of all kinds in turn into four folders under `folder`."""
    rng = random.Random(seed)
    parts = [folder / f"part {number}" for number in range(4)]
    for part in parts:
        part.mkdir(parents=True, exist_ok=True)
    return list(_write(parts, count, rng))


def _write(parts: list[Path], count: int, rng: random.Random) -> Iterator[Hostile]:
    names = list(kinds())
    for number in range(count):
        kind = names[number % len(names)]
        suffix, build, decodes = kinds()[kind]
        stem = f"{number // 2:06d}"  # two files of each name, in different folders
        if number % 40 == 39:
            stem += ODD_NAMES[number // 40 % len(ODD_NAMES)]
        name = os.fsencode(f"{stem}.{suffix}")
        if os.name == "posix" and number % 200 == 7:
            name = b"\xff\xfe" + name
        path = parts[number % len(parts)] / os.fsdecode(name)
        path.write_bytes(build(rng))
        yield Hostile(path, kind, decodes)
