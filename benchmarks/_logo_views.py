"""Camera views of the references of logos, as `index --views` enrols them; kept in a file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._labelled_sets import embed
from kenspeckle.image import camera, views
from kenspeckle.types import Float32, Picture
from kenspeckle.vectors.base import Embedder

if TYPE_CHECKING:
    from PIL import Image

VIEWS = 4
"""Views of each reference."""


def made(scenes: Path, embedder: Embedder) -> dict[str, Float32]:
    """The views of every reference of a folder of scenes, by the name of its file."""
    paths = sorted((scenes / "references").glob("*/*.png"))
    sources = b"".join(Path(str(module.__file__)).read_bytes() for module in (camera, views))
    version = hashlib.sha256(sources + repr([str(p) for p in paths]).encode()).hexdigest()[:8]
    file = scenes / f"views-{VIEWS}-{embedder.space_id}-{version}.npz"
    if not file.is_file():
        parts = embed(paths, _views, embedder, "views of logos")
        half = file.with_suffix(".part.npz")
        np.savez(half, rows=parts.rows, owner=parts.owner)
        half.replace(file)
    with np.load(file, allow_pickle=False) as kept:
        rows, owner = kept["rows"], kept["owner"]
    return {str(path.relative_to(scenes)): rows[owner == n] for n, path in enumerate(paths)}


def _views(picture: Picture, number: int) -> list[tuple[str, Image.Image]]:
    return [("view", view) for view in views.camera_views(picture.image, VIEWS, number)]
