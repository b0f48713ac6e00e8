"""Reference pictures by name: what is indexed, and nothing else of the folder."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import quote

from kenspeckle.catalog.entry import base_of, on_disk
from kenspeckle.errors import PictureError
from kenspeckle.gallery import Gallery
from kenspeckle.image.decode import measure, read
from kenspeckle.types import Reference

ADDED = "added"
"""The folder of names for references that do not lie below the references folder."""

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


def name_of(reference: Reference) -> str:
    """What a reference is called in answers and addresses: its path below the folder.

    One that lies elsewhere is called by a hash, so that no folder of this machine is told.

    >>> name_of(Reference("a", "A", "LOCH-JP001_a.jpg"))
    'LOCH-JP001_a.jpg'
    >>> name_of(Reference("a", "A", "/home/me/a.jpg")).endswith("/a.jpg")
    True
    """
    if _below(reference.path):
        return reference.path
    digest = hashlib.sha256(reference.path.encode("utf-8", "backslashreplace")).hexdigest()
    return f"{ADDED}/{digest[:16]}/{PureWindowsPath(reference.filename).name or 'picture'}"


def address_of(reference: Reference, root: str = "") -> str:
    """The path of a reference's picture below `root`, encoded.

    >>> address_of(Reference("a", "A", "10 % #1.jpg"))
    '/refs/10%20%25%20%231.jpg'
    """
    return f"{root}/refs/{quote(name_of(reference))}"


def find(gallery: Gallery, name: str) -> tuple[int, Reference] | None:
    """The reference of that name, with its id; None where there is none."""
    store = gallery.store
    if name.startswith(f"{ADDED}/"):
        for number, reference in store.references():
            if not reference.view and name_of(reference) == name:
                return number, reference
        return None
    ids = store.select({"path": name, "view": ""})
    for number in ids.tolist():
        try:
            (reference,) = store.get([number])
        except KeyError:  # removed by another process at this moment
            continue
        if _below(reference.path):
            return number, reference
    return None


def picture(gallery: Gallery, name: str) -> Shown | None:
    """The picture of a reference, None where it is not to be had.

    The original, if it lies below the references folder, is a picture, and is reached without a
    link; the small copy of the index where there is no file of that name, and for a reference
    from elsewhere: an index that came from a stranger must not open other folders.
    """
    found = find(gallery, name)
    if found is None:
        return None
    number, reference = found
    root = Path(os.path.realpath(folder(gallery)))
    file = on_disk(root, reference.path) if _below(reference.path) else None
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


def _below(path: str) -> bool:
    """Whether a path is one below the folder: not absolute anywhere, no address, no way up."""
    if "://" in path or PureWindowsPath(path).is_absolute() or path.startswith(("/", "\\")):
        return False
    return bool(path) and ".." not in PurePosixPath(path).parts


def _direct(file: Path) -> bool:
    """Whether a file is reached without a link on the way."""
    return os.path.normcase(os.path.realpath(file)) == os.path.normcase(os.path.normpath(file))
