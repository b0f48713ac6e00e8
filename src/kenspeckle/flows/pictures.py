"""The pictures behind references: the very files that were enrolled, and nothing else.

An index may come from a stranger, and its paths with it. What is handed out lies below the folder
of references, or has the hash that was noted when it was enrolled; and it is a picture.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from kenspeckle.catalog.entry import on_disk
from kenspeckle.config import ImageSettings
from kenspeckle.errors import PictureError
from kenspeckle.image.decode import read
from kenspeckle.image.kind import media_type
from kenspeckle.types import Reference


def original(reference: Reference, folder: Path, limits: ImageSettings) -> bytes:
    """The file of a reference; empty where it is gone, was changed, or was never here.

    Of a reference whose hash is not known the file has to lie below `folder`, links followed.
    """
    place = _place(reference, folder)
    if place is None:
        return b""
    try:
        data = read(place, limits)
    except PictureError:
        return b""
    if reference.sha256 and hashlib.sha256(data).hexdigest() != reference.sha256:
        return b""
    return data if media_type(data) else b""


def _place(reference: Reference, folder: Path) -> Path | None:
    """Where the file would be; None where it cannot be one of ours."""
    path = reference.path
    if not path or "\0" in path or path.lower().startswith(("http://", "https://")):
        return None
    if reference.origin and Path(path).is_absolute():
        return Path(path) if reference.sha256 else None
    with contextlib.suppress(OSError, ValueError):
        place, home = on_disk(folder, path).resolve(), folder.resolve()
        if place.is_relative_to(home) and place.is_file():
            return place
    return None
