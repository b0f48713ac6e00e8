"""AVIF by Pillow, HEIC by the extra `heic`: both live in the same container."""

from __future__ import annotations

import io

from PIL import Image

from kenspeckle._extras import need
from kenspeckle._threads import INTRA_OP
from kenspeckle.image.header import Header, UnreadableError, orientation

_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})


def is_avif(data: bytes) -> bool:
    """Whether the file type box names AVIF rather than HEIC."""
    length = min(int.from_bytes(data[:4]), 4096)
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, length - 3, 4))}
    return bool(brands & {b"avif", b"avis"}) and data[8:12] not in _HEIC_BRANDS


def is_heif(data: bytes) -> bool:
    """Whether the file type box names a still picture that the extra can read."""
    return data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS | {b"mif1", b"msf1", b"heif"}


def avif(data: bytes) -> Header:
    """An AVIF. Pillow's own reader would start a thread a core and parse all of the EXIF."""
    from PIL import _avif

    try:
        decoder = _avif.AvifDecoder(data, "auto", INTRA_OP)
        size, frames, mode, profile, exif, turned, _ = decoder.get_info()
    except Exception as error:
        raise UnreadableError(f"a broken AVIF ({error})") from error

    def load() -> Image.Image:
        return Image.frombytes(mode, size, decoder.get_frame(0)[0])

    turn = turned if turned != 1 else orientation(exif or b"")
    return Header("AVIF", size, load, frames, turn, profile or b"")


def heic(data: bytes) -> Header:
    """A HEIC. Raises MissingExtra without the extra `heic`. Rotation is applied by its reader."""
    library = need("pillow_heif", "HEIC pictures")
    try:
        image = library.HeifImageFile(io.BytesIO(data))
    except Exception as error:
        raise UnreadableError(f"a broken HEIC ({error})") from error
    profile = image.info.get("icc_profile") or b""
    return Header("HEIF", image.size, lambda: image, image.n_frames, 1, profile)
