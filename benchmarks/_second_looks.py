"""A second look at every query of a labelled set: geometry of its nearest labels, kept in a file.

Finding features and comparing them takes minutes, weighing them seconds; so the geometries of the
`DEEP` nearest labels of each query are kept, named by the sources that made them. A draw that
enrols half of the labels finds its shortlist among these.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import _scoring
from benchmarks._labelled_sets import LabelledSet, Parts, best_of_each, hits
from benchmarks._xfeat import XFeat
from kenspeckle.engines import corners, features, geometry, layout
from kenspeckle.engines.features import Features, open_features
from kenspeckle.engines.geometry import Geometry, compare
from kenspeckle.engines.layout import agreements
from kenspeckle.image.decode import decode
from kenspeckle.match.aggregate import ScoreKind, best_regions, cohort_level, leaders, score
from kenspeckle.match.second_look import Seen, weighed
from kenspeckle.types import Float32

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEEP = 48
"""Labels of each query that are compared: a shortlist of twenty among half of the labels lies
within them."""


@dataclass
class Looks:
    """What was seen of one set: for each query its labels with geometry and reference.

    `agreed` remembers what the layouts said for a query and a set of labels.
    """

    folder: Path
    seen: list[dict[int, tuple[int, Geometry]]]
    blobs: dict[str, list[bytes]]
    paths: list[Path]
    agreed: dict[tuple[int, tuple[int, ...]], list[float | None]] = field(default_factory=dict)

    def evidence(
        self, query: int, labels: tuple[int, ...], layouts: bool = True
    ) -> dict[int, float]:
        """e of each label of a shortlist, as identify works it out."""
        there = [label for label in labels if label in self.seen[query]]
        told: list[float | None] = [None] * len(there)
        sure = [n for n in there if self._sure(query, n)]
        if layouts and self.blobs and len(sure) > 1:
            told = self._agreements(query, tuple(there))
        return weighed(
            {n: Seen(self.seen[query][n][1], one) for n, one in zip(there, told, strict=True)}
        )

    def _sure(self, query: int, label: int) -> bool:
        one = self.seen[query][label][1]
        return one.sane and one.inliers >= layout.SURE

    def _agreements(self, query: int, there: tuple[int, ...]) -> list[float | None]:
        sure = tuple(label for label in there if self._sure(query, label))
        if (query, sure) not in self.agreed:
            photo = decode(self.paths[query]).image
            asked = Features.from_bytes(self.blobs["query"][query])
            pairs = [
                (Features.from_bytes(self.blobs["gallery"][self.seen[query][n][0]]), g)
                for n, g in ((n, self.seen[query][n][1]) for n in sure)
            ]
            self.agreed[query, sure] = agreements(photo, asked, pairs)
        found = dict(zip(sure, self.agreed[query, sure], strict=True))
        return [found.get(label) for label in there]


def take(
    folder: Path, data: LabelledSet, cache: Path, kind: str = "sift", estimator: str = "magsac"
) -> Looks:
    """Look at a set, or read what is kept."""
    paths = _paths(folder)
    blobs = {role: _features(folder.name, role, paths[role], kind, cache) for role in paths}
    near = nearest(data)
    file_of = cache / f"{folder.name}-looks-{kind}-{estimator}-{_version(near)}.npz"
    if not file_of.is_file():
        _save(file_of, _compared(data, blobs, near, estimator))
    return Looks(folder, _read(file_of), blobs, paths["query"])


def _paths(folder: Path) -> dict[str, list[Path]]:
    with (folder / "split-closed.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        role: [folder / row["path"] for row in rows if row["role"] == role]
        for role in ("gallery", "query")
    }


def _version(*more: NDArray[Any]) -> str:
    """What made them: the sources, and which labels were asked about."""
    digest = hashlib.sha256()
    for module in (features, corners, geometry):
        digest.update(Path(module.__file__).read_bytes())
    for array in more:
        digest.update(array.tobytes())
    return digest.hexdigest()[:8]


def _features(name: str, role: str, paths: list[Path], kind: str, cache: Path) -> list[bytes]:
    file = cache / f"{name}-features-{role}-{kind}-{_version()}.npz"
    if not file.is_file():
        extractor, made = open_features(kind), []
        for number, path in enumerate(paths):
            made.append(extractor.extract(decode(path).image).to_bytes())
            if number % 100 == 0:
                print(f"{name} {role} {kind}: {number}/{len(paths)}", file=sys.stderr, flush=True)
        ends = np.cumsum([len(one) for one in made])
        np.savez(file, data=np.frombuffer(b"".join(made), np.uint8), ends=ends)
    with np.load(file) as members:
        data, ends = members["data"].tobytes(), members["ends"].tolist()
    return [data[first:last] for first, last in zip([0, *ends[:-1]], ends, strict=True)]


def nearest(data: LabelledSet) -> NDArray[np.int64]:
    """The nearest labels of each query by any region and any enrolled view: `(Q, DEEP)`."""
    labels, column = np.unique(data.gallery, return_inverse=True)
    enrolled = np.concatenate((data.references.rows, data.views.rows))
    owners = np.concatenate((column, column[data.views.owner]))
    cosines = best_of_each(data.regions.rows @ enrolled.T, owners, len(labels))
    best = np.full((len(data.query), len(labels)), -np.inf, np.float32)
    np.maximum.at(best, data.regions.owner, cosines)
    return np.argsort(-best, axis=1, kind="stable")[:, :DEEP]


def _compared(
    data: LabelledSet, blobs: Mapping[str, list[bytes]], near: NDArray[np.int64], estimator: str
) -> dict[str, NDArray[Any]]:
    """Geometry of each query with each near label."""
    enrolled = [Features.from_bytes(blob) for blob in blobs["gallery"]]
    asked = (Features.from_bytes(blob) for blob in blobs["query"])
    return geometries(data, asked, enrolled, near, lambda a, b: compare(a, b, estimator))


def geometries(
    data: LabelledSet,
    asked: Iterable[Any],
    enrolled: Sequence[Any],
    near: NDArray[np.int64],
    of_pair: Callable[[Any, Any], Geometry],
) -> dict[str, NDArray[Any]]:
    """Geometry of each query with each near label, the best of the label's references."""
    _, column = np.unique(data.gallery, return_inverse=True)
    of = [np.flatnonzero(column == label).tolist() for label in range(column.max() + 1)]
    rows: list[tuple[int, ...]] = []
    matrices: list[Any] = []
    for query, mine in enumerate(asked):
        for label in near[query].tolist():
            pairs = [(place, of_pair(mine, enrolled[place])) for place in of[label]]
            place, best = max(pairs, key=lambda one: (one[1].sane, one[1].inliers))
            rows.append((query, label, place, best.matches, best.votes, best.inliers, best.sane))
            matrices.append(np.eye(3) if best.homography is None else best.homography)
        if query % 100 == 0:
            print(f"{data.name} compared: {query}", file=sys.stderr, flush=True)
    return {"rows": np.array(rows, np.int64), "matrices": np.array(matrices)}


def take_xfeat(folder: Path, data: LabelledSet, cache: Path, weights: Path) -> Looks:
    """The same by XFeat, without layouts."""
    engine, paths, near = XFeat(weights), _paths(folder), nearest(data)
    file_of = cache / f"{folder.name}-looks-xfeat-magsac-{_version(near)}.npz"
    if not file_of.is_file():
        found = {
            role: [engine.extract(decode(path).image) for path in paths[role]] for role in paths
        }
        made = geometries(data, found["query"], found["gallery"], near, engine.compare)
        _save(file_of, made)
    return Looks(folder, _read(file_of), {}, paths["query"])


def _save(path: Path, members: dict[str, NDArray[Any]]) -> None:
    half = path.with_suffix(".part.npz")
    np.savez(half, **members)  # type: ignore[arg-type]
    half.replace(path)


def _read(path: Path) -> list[dict[int, tuple[int, Geometry]]]:
    with np.load(path) as members:
        rows, matrices = members["rows"].tolist(), members["matrices"]
    seen: list[dict[int, tuple[int, Geometry]]] = [{} for _ in range(rows[-1][0] + 1)]
    for (query, label, place, matches, votes, inliers, sane), matrix in zip(
        rows, matrices, strict=True
    ):
        seen[query][label] = place, Geometry(matches, votes, inliers, matrix, sane=bool(sane))
    return seen


@dataclass(frozen=True)
class System:
    """Regions of a rule against references and views, with a second look or without.

    Cosines are reduced to labels once; a draw then only leaves columns out.
    """

    labels: NDArray[np.str_]
    column: NDArray[np.int64]
    regions: Parts
    near: NDArray[np.float64]
    cosines: Float32
    kind: ScoreKind

    @classmethod
    def of(
        cls, data: LabelledSet, regions: Parts, views: int, kind: ScoreKind, cohort: Float32
    ) -> System:
        """The cosines of a set."""
        labels, column = np.unique(data.gallery, return_inverse=True)
        found = best_of_each(regions.rows @ data.references.rows.T, column, len(labels))
        if views:
            first = data.views.first(views)
            more = best_of_each(regions.rows @ first.rows.T, column[first.owner], len(labels))
            found = np.maximum(found, more)
        return cls(labels, column, regions, cohort_level(regions.rows, cohort), found, kind)

    def shortlists(self, mask: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
        """The nearest enrolled labels of each query, by any region: `(Q, count)`."""
        items = np.unique(self.column[mask])
        best = np.full((self.regions.owner.max() + 1, len(items)), -np.inf, np.float32)
        np.maximum.at(best, self.regions.owner, self.cosines[:, items])
        return items[np.argsort(-best, axis=1, kind="stable")[:, :count]]

    def raised(
        self, looks: Looks, mask: NDArray[np.bool_], count: int, layouts: bool = True
    ) -> Float32:
        """e of each query and label, 0 outside of its shortlist: `(Q, labels)`."""
        made = np.zeros((len(looks.seen), len(self.labels)), np.float32)
        for query, row in enumerate(self.shortlists(mask, count).tolist()):
            for label, value in looks.evidence(query, tuple(row), layouts).items():
                made[query, label] = value
        return made

    def answer(self, mask: NDArray[np.bool_], lifted: Float32 | None = None) -> _scoring.Answers:
        """What is said to each query when the references of `mask` are enrolled."""
        cosines = self.cosines if lifted is None else self.cosines + lifted[self.regions.owner]
        ranked = leaders(hits(cosines, np.unique(self.column[mask]), 2))
        scores = score(self.kind, ranked.best, ranked.second, self.near)
        best = best_regions(scores, self.regions.owner)
        return _scoring.Answers(self.labels[ranked.items[best]], scores[best])
