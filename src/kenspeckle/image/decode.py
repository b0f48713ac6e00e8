"""From bytes to pixels, safely: a picture comes out whole and as people see it, or an error does.

The bytes are counted before and while they are read, the header is checked before anything is
decoded, and only the formats listed here are ever opened. Nothing global in Pillow is changed.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from typing import BinaryIO

from PIL import Image

from kenspeckle.config import ImageSettings
from kenspeckle.errors import MissingExtra, PictureError, PictureTooLarge
from kenspeckle.image import heif, raster
from kenspeckle.image.colour import to_rgb
from kenspeckle.image.header import Header, UnreadableError
from kenspeckle.image.tiff import tiff
from kenspeckle.types import Intake, Picture

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".heif")
)
"""Suffixes of files that are looked at in a folder. What is in a file is told by its content."""

OUR_INTAKE = Intake()
DEFAULT_LIMITS = ImageSettings()

_EXPECTED = "a JPEG, PNG, WebP, AVIF, GIF, TIFF, BMP or HEIC picture"
_REPLACE = "Replace or remove it."
_CHUNK = 1024 * 1024
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FOREIGN = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"PK\x03\x04", "a zip archive"),
    (b"8BPS", "a Photoshop document"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"\0\0\1\0", "a Windows icon"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML or SVG text"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"\x1aE\xdf\xa3", "a video"),
)


def decode(
    source: Source,
    *,
    name: str = "",
    intake: Intake = OUR_INTAKE,
    limits: ImageSettings = DEFAULT_LIMITS,
    hashed: bool = True,
) -> Picture:
    """The picture in a file, in bytes or in a file object, as RGB.

    name
        What errors call it; the path by default.
    intake
        Ours applies the EXIF rotation, puts alpha on white and converts to sRGB.
    limits
        Bytes, pixels and frames. Pillow's own limit `Image.MAX_IMAGE_PIXELS` holds too.
    hashed
        Whether it gets its `sha256`, which takes a hundredth of the time of an answer.

    Of an animated picture the first frame counts. Thread-safe. Raises PictureError; for a HEIC
    without the extra `heic` it says how to install it.

    >>> import io
    >>> file = io.BytesIO()
    >>> Image.new("L", (4, 3)).save(file, "PNG")
    >>> decode(file.getvalue()).size
    (4, 3)
    """
    data, name = _bytes(source, name, limits)
    del source
    result = _decoded(data, name, intake, limits, hashed=hashed)
    del data
    if isinstance(result, PictureError):
        # Raised here, away from its cause: an error that is kept in a report of a large folder
        # must not keep the bytes of its picture alive through the frames of a traceback.
        raise result
    return result


def _decoded(
    data: bytes, name: str, intake: Intake, limits: ImageSettings, *, hashed: bool
) -> Picture | PictureError:
    """The picture, or what is wrong with it."""
    shown = _printable(name)
    try:
        header = _reader(data)(data)
        _check(header, shown, limits)
        image = _pixels(header, intake)
        digest = hashlib.sha256(data).hexdigest() if hashed else ""
        return Picture(image, name, header.format, digest)
    except PictureError as error:
        return error.with_traceback(None)
    except UnreadableError as error:
        return PictureError(shown, error.found, expected=error.expected, do=_REPLACE)
    except MissingExtra as error:
        return PictureError(shown, f"a HEIC picture, and {error.found}", do=error.do)
    except MemoryError:
        return PictureError(shown, "no memory to decode it", do="Lower image.max_pixels.")
    except Exception as error:  # whatever a decoder makes of hostile bytes
        detail = " ".join(str(error).split())[:120] or type(error).__name__
        return PictureError(
            shown, f"it cannot be decoded ({detail})", expected="a whole picture", do=_REPLACE
        )


def measure(source: Source, *, name: str = "") -> tuple[int, int]:
    """Width and height of the picture that `decode` would give, from its header alone.

    Raises PictureError for what has no such header.

    >>> import io
    >>> file = io.BytesIO()
    >>> Image.new("L", (4, 3)).save(file, "PNG")
    >>> measure(file.getvalue())
    (4, 3)
    """
    data, name = _bytes(source, name, DEFAULT_LIMITS)
    shown = _printable(name)
    try:
        header = _reader(data)(data)
        _check(header, shown, DEFAULT_LIMITS)
    except UnreadableError as error:
        raise PictureError(shown, error.found, expected=error.expected, do=_REPLACE) from error
    except (MissingExtra, ValueError, OSError) as error:
        raise PictureError(shown, f"its size cannot be told ({error})") from error
    width, height = header.size
    return (height, width) if header.orientation >= 5 else (width, height)


def read(path: str | os.PathLike[str], limits: ImageSettings = DEFAULT_LIMITS) -> bytes:
    """The bytes of a regular file, at most `limits.max_bytes` of them. Raises PictureError."""
    shown = _printable(os.fspath(path))
    try:
        # Opening a pipe would wait for a writer; O_NONBLOCK does not.
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _BINARY)
        with open(number, "rb", buffering=0) as file:  # noqa: PTH123
            state = os.fstat(number)
            if not stat.S_ISREG(state.st_mode):
                raise PictureError(shown, "a pipe or a device", expected="a file")
            if state.st_size > limits.max_bytes:
                raise _too_many_bytes(shown, f"{state.st_size} bytes", limits)
            return _drained(file, shown, limits)
    except FileNotFoundError as error:
        raise PictureError(shown, "no such file", do="Check the name.") from error
    except IsADirectoryError as error:
        raise PictureError(shown, "a folder", expected="a file") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PictureError(shown, f"it cannot be read ({reason})") from error


_BINARY: int = getattr(os, "O_BINARY", 0)


def _bytes(source: Source, name: str, limits: ImageSettings) -> tuple[bytes, str]:
    """All bytes of a source, and what to call it."""
    if isinstance(source, str | os.PathLike):
        return read(source, limits), name or os.fspath(source)
    if isinstance(source, bytes | bytearray | memoryview):
        name = name or "picture"
        if len(source) > limits.max_bytes:
            raise _too_many_bytes(name, f"{len(source)} bytes", limits)
        return bytes(source), name
    name = name or _printable(str(getattr(source, "name", "") or "picture"))
    try:
        return _drained(source, name, limits), name
    except (OSError, ValueError) as error:
        raise PictureError(name, f"it cannot be read ({error})") from error


def _drained(file: BinaryIO, name: str, limits: ImageSettings) -> bytes:
    """What is left in a file object, which may be a pipe that never ends."""
    parts, left = [], limits.max_bytes + 1
    while left > 0:
        part = file.read(min(left, _CHUNK))
        if isinstance(part, str):
            raise PictureError(name, "a file opened as text", expected="one opened as bytes")
        if not part:
            break
        parts.append(part)
        left -= len(part)
    if left <= 0:
        raise _too_many_bytes(name, f"more than {limits.max_bytes} bytes", limits)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_many_bytes(name: str, found: str, limits: ImageSettings) -> PictureError:
    return PictureTooLarge(
        name,
        found,
        expected=f"at most {limits.max_bytes}",
        do="Save it smaller, or raise image.max_bytes.",
    )


def _reader(data: bytes) -> Callable[[bytes], Header]:
    """The reader of a format, told by the first bytes. Raises UnreadableError for all others."""
    if data.startswith(b"\xff\xd8\xff"):
        return raster.jpeg
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return raster.png
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return raster.webp
    if data.startswith((b"GIF87a", b"GIF89a")):
        return raster.gif
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return tiff
    if heif.is_heif(data) or data[4:12] in (b"ftypavif", b"ftypavis"):
        return heif.avif if heif.is_avif(data) else heif.heic
    if data.startswith(b"BM"):
        return raster.bmp
    raise UnreadableError(_described(data), _EXPECTED)


def _described(data: bytes) -> str:
    """What bytes that are no picture of ours seem to be."""
    count = "1 byte" if len(data) == 1 else f"{len(data)} bytes"
    if not data.strip(b"\0"):
        return f"{count} of nothing" if data else count
    start = data[:64].lstrip().lower()
    for magic, words in _FOREIGN:
        if data.startswith(magic) or start.startswith(magic):
            return words
    if data[4:8] == b"ftyp":
        return "a video"
    return f"{count} unlike the beginning of any picture"


def _check(header: Header, name: str, limits: ImageSettings) -> None:
    """Refuse what is too large, before it is decoded."""
    width, height = header.size
    if width < 1 or height < 1:
        raise UnreadableError(f"a {header.format} of {width} × {height} pixels")
    most = min(limits.max_pixels, Image.MAX_IMAGE_PIXELS or limits.max_pixels)
    if width * height > most:
        raise PictureTooLarge(
            name,
            f"{width} × {height} pixels",
            expected=f"at most {most}",
            do="Save it smaller, or raise image.max_pixels.",
        )
    if header.frames > limits.max_frames:
        raise PictureTooLarge(
            name,
            f"{header.frames} frames",
            expected=f"at most {limits.max_frames}",
            do="Save its first frame as a picture, or raise image.max_frames.",
        )


def _pixels(header: Header, intake: Intake) -> Image.Image:
    """The first frame in RGB, after the intake."""
    image = header.load()
    image.load()
    if image.size != header.size:
        raise UnreadableError(
            f"a {header.format} of {image.width} × {image.height} pixels",
            f"{header.size[0]} × {header.size[1]} as its header says",
        )
    inverted = header.ink and image.mode == "CMYK" and intake.colour == "srgb"
    image = to_rgb(image, header.profile, intake, inverted=inverted)
    turn = _TURNS.get(header.orientation) if intake.rotate else None
    return image if turn is None else image.transpose(turn)


def _printable(name: str) -> str:
    """`name` as text that every stream can write; file names may hold bytes that are none."""
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return ascii(name)
