"""Labelled sets as vectors: references, their camera views, and every region of every query.

A set is a folder with `split-closed.csv` (columns role, label, path; role gallery or query). Making
the vectors takes minutes, scoring them seconds, so they are kept in a folder, one file a set and
part, named by what made them: space, and the source of regions or views. A changed rule is never
judged on old vectors.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kenspeckle.image import camera, decode, views
from kenspeckle.regions import base, quad, windows
from kenspeckle.store.base import Hits
from kenspeckle.types import Float32, Picture
from kenspeckle.vectors.base import Embedder
from kenspeckle.vectors.pipeline import pooled

SETS = ("grocery", "coins", "stamps", "logos", "emoji-styles")
VIEWS = 8
"""Camera views made of each reference; a system that enrols k takes the first k."""

Texts = NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Parts:
    """Vectors of parts of pictures: `rows` `(R, D)`, `owner` `(R,)` the picture of each, `kind`
    `(R,)` the rule that made it (whole, center, window, quad, view)."""

    rows: Float32
    owner: NDArray[np.int64]
    kind: Texts

    def of(self, *kinds: str) -> Parts:
        """Only the parts of these kinds."""
        chosen = np.isin(self.kind, kinds)
        return Parts(self.rows[chosen], self.owner[chosen], self.kind[chosen])

    def first(self, count: int) -> Parts:
        """The first `count` parts of each picture; parts of one picture lie together."""
        _, start = np.unique(self.owner, return_index=True)
        chosen = np.arange(len(self.owner)) - start[self.owner] < count
        return Parts(self.rows[chosen], self.owner[chosen], self.kind[chosen])


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """A set: labels of references and queries, the queries' regions, the references' views."""

    name: str
    gallery: Texts
    query: Texts
    references: Parts
    regions: Parts
    views: Parts


def load(folder: Path, embedder: Embedder, cache: Path) -> LabelledSet:
    """Read a set and make or find its vectors."""
    with (folder / "split-closed.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    part = {role: [r for r in rows if r["role"] == role] for role in ("gallery", "query")}
    paths = {role: [folder / r["path"] for r in part[role]] for role in part}
    labels = {role: np.array([r["label"] for r in part[role]]) for role in part}

    def kept(what: str, role: str, cut: Cutter, *made_by: object) -> Parts:
        sources = "".join(Path(str(m.__file__)).read_text("utf-8") for m in made_by)  # type: ignore[attr-defined]
        version = hashlib.sha256(sources.encode()).hexdigest()[:8]
        path = cache / f"{folder.name}-{what}-{embedder.space_id}-{version}.npz"
        if not path.is_file():
            _save(path, embed(paths[role], cut, embedder, f"{folder.name} {what}"))
        return _read(path)

    return LabelledSet(
        folder.name,
        labels["gallery"],
        labels["query"],
        kept("references", "gallery", _whole),
        kept("regions", "query", _regions, base, windows, quad),
        kept("views", "gallery", _views, views, camera),
    )


Cutter = Callable[[Picture, int], list[tuple[str, Image.Image]]]


def _whole(picture: Picture, _: int) -> list[tuple[str, Image.Image]]:
    return [("whole", picture.image)]


def _regions(picture: Picture, _: int) -> list[tuple[str, Image.Image]]:
    parts = base.split(picture, "auto")
    return [(region.kind, base.cut(picture.image, region)) for region in parts]


def _views(picture: Picture, number: int) -> list[tuple[str, Image.Image]]:
    return [("view", view) for view in views.camera_views(picture.image, VIEWS, number)]


def embed(paths: Sequence[Path], cut: Cutter, embedder: Embedder, title: str) -> Parts:
    """The vectors of all parts of all pictures, by one worker a core. A failure ends the run: a
    figure over fewer pictures would not be comparable."""

    def work(source: tuple[int, Path]) -> tuple[Float32, list[str]]:
        picture = decode.decode(source[1])
        parts = cut(picture, source[0])
        return embedder.vectors([image for _, image in parts]), [kind for kind, _ in parts]

    rows, owner, kinds = [], [], []
    for number, done in enumerate(pooled(enumerate(paths), work)):
        if done.error is not None or done.value is None:
            raise SystemExit(f"{paths[number]}: {done.error}")
        rows.append(done.value[0])
        kinds += done.value[1]
        owner += [number] * len(done.value[1])
        if number % 100 == 0:
            print(f"{title}: {number}/{len(paths)}", file=sys.stderr, flush=True)
    return Parts(np.concatenate(rows), np.array(owner, np.int64), np.array(kinds))


def best_of_each(cosines: Float32, column: NDArray[np.int64], labels: int) -> Float32:
    """`(R, G)` cosines to `(R, labels)`: the best reference of each label, -inf without one.

    `column` `(G,)` is the label of each reference.
    """
    order = np.argsort(column, kind="stable")
    starts = np.flatnonzero(np.diff(column[order], prepend=-1))
    best = np.full((len(cosines), labels), -np.inf, np.float32)
    best[:, column[order][starts]] = np.maximum.reduceat(cosines[:, order], starts, axis=1)
    return best


def hits(per_label: Float32, items: NDArray[np.int64], depth: int) -> Hits:
    """The `depth` best of some labels for each row, as a search over one reference each."""
    values = per_label[:, items]
    top = np.argsort(-values, axis=1, kind="stable")[:, :depth]
    return Hits(top, items[top], np.take_along_axis(values, top, 1))


def _save(path: Path, parts: Parts) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".part.npz")
    np.savez(half, rows=parts.rows, owner=parts.owner, kind=parts.kind)
    half.replace(path)


def _read(path: Path) -> Parts:
    with np.load(path, allow_pickle=False) as members:
        return Parts(members["rows"], members["owner"], members["kind"])
