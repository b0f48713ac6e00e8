"""Reference pictures by name: what is indexed, and nothing else of the folder."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from kenspeckle.catalog.entry import base_of, on_disk
from kenspeckle.errors import PictureError
from kenspeckle.gallery import Gallery
from kenspeckle.image.decode import measure, read
from kenspeckle.serve.routes.falcon_names import Names, below

_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".gif": "image/gif",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".avif": "image/avif",
    ".heic": "image/heic",
    ".heif": "image/heif",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture to send: its bytes, their media type, and a tag that changes with them."""

    data: bytes
    media_type: str
    tag: str


def picture(gallery: Gallery, names: Names, name: str) -> Shown | None:
    """The picture of a reference, None where it is not to be had.

    The original, if it lies below the references folder, is a picture, and is reached without a
    link; the small copy of the index where there is no file of that name, and for a reference
    from elsewhere: an index that came from a stranger must not open other folders.
    """
    found = names.find(name)
    if found is None:
        return None
    number, reference = found
    root = Path(os.path.realpath(folder(gallery)))
    file = on_disk(root, reference.path) if below(reference.path) else None
    if file is None or not os.path.lexists(file):
        small = gallery.thumbnail(number)
        return Shown(small, "image/jpeg", f"{reference.sha256[:16]}-small") if small else None
    if not _direct(file):
        return None
    try:
        data = read(file, gallery.settings.image)
        measure(data)
    except PictureError:
        return None
    media_type = _TYPES.get(file.suffix.lower(), "application/octet-stream")
    return Shown(data, media_type, hashlib.sha256(data).hexdigest()[:16])


def folder(gallery: Gallery) -> Path:
    """Where references lie: the folder that is set, else the one that was indexed."""
    asked = gallery.settings.index.refs
    return base_of(asked) if asked else gallery.folder


def _direct(file: Path) -> bool:
    """Whether a file is reached without a link on the way."""
    return os.path.normcase(os.path.realpath(file)) == os.path.normcase(os.path.normpath(file))
