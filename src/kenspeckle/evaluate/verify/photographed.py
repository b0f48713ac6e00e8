"""The references of a gallery, taken up again: embedded anew, and seen by a camera."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kenspeckle.catalog.entry import on_disk
from kenspeckle.errors import InputError, KenspeckleError
from kenspeckle.gallery import Gallery
from kenspeckle.image.views import camera_views
from kenspeckle.types import Float32, Int64, Picture, Reference

SEED = 1 << 40
"""Far from the seeds of enrolled views and of those that a calibration is fitted on."""
MOST_EACH = 10
ROUND_TRIP = 16
"""References embedded again as they are."""
SAME = 0.999
"""The least cosine of a picture to its own row: decoders may differ in the last bits, models no."""


ADDRESS, BY_HAND = "behind an address", "added by hand and not kept as a file"
CHANGED, UNREADABLE = "changed since they were indexed", "unreadable"
"""Why a picture takes no part, beside that it has moved."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What came of a sample of references.

    queries, sources
        Vectors `(Q, D)` of camera views, and the rows they were made from.
    again
        `(row, cosine)` of each reference embedded as it is, to its stored row.
    chosen
        How many references were looked for.
    left_out
        Why some were left out, with how many.
    changed
        Rows whose file holds another picture than the one indexed.
    why
        Why there are no queries; empty when there are some.
    """

    queries: Float32
    sources: Int64
    again: tuple[tuple[int, float], ...] = ()
    chosen: int = 0
    left_out: tuple[tuple[str, int], ...] = ()
    changed: tuple[int, ...] = ()
    why: str = ""

    @property
    def unlike(self) -> tuple[tuple[int, float], ...]:
        """References whose vector is no longer what is stored, the least alike first."""
        return tuple(sorted((one for one in self.again if not one[1] >= SAME), key=lambda o: o[1]))

    @property
    def outdated(self) -> int:
        """How many a new `index` run would take up again: moved, changed, unreadable."""
        return sum(count for why, count in self.left_out if why not in (ADDRESS, BY_HAND))

    @property
    def description(self) -> str:
        """How the queries were made."""
        used = len(np.unique(self.sources))
        one = "reference" if used == 1 else "references"
        return f"{len(self.sources)} camera views of {used} {one}, none of them fitted on"


def nothing(why: str, width: int) -> Sample:
    """No sample, and why."""
    return Sample(np.empty((0, width), np.float32), np.empty(0, np.int64), why=why)


def photographed(
    gallery: Gallery, rows: Float32, references: Sequence[Reference], count: int
) -> Sample:
    """About `count` camera views of references spread evenly over `rows` `(N, D)`.

    `references` are those of the rows. Small galleries get several views of each, at most 10.
    Pictures that cannot be used are counted; a model that is not at hand is the `why`.
    """
    if not count:
        return nothing("not asked for", rows.shape[1])
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int))
    each = min(-(-count // len(chosen)), MOST_EACH)
    again_at = set(chosen[:: -(-len(chosen) // ROUND_TRIP)].tolist())
    left_out: Counter[str] = Counter()
    queries: list[Float32] = []
    sources: list[int] = []
    again: list[tuple[int, float]] = []
    changed: list[int] = []
    for row in chosen.tolist():
        picture = _taken(gallery, references[row])
        if isinstance(picture, str):
            left_out[picture] += 1
            if picture == CHANGED:
                changed.append(row)
            continue
        views = camera_views(picture.image, each, SEED + row)
        try:
            embedder = gallery.embedder
            if row in again_at:
                again.append((row, float(embedder.vector(picture.image) @ rows[row])))
            queries.extend(embedder.vectors(views))
        except KenspeckleError as error:
            return nothing(str(error), rows.shape[1])
        sources += [row] * each
    told = tuple(left_out.most_common())
    if not queries:
        reasons = ", ".join(f"{number} {why}" for why, number in told)
        empty = nothing(f"of {len(chosen)} pictures {reasons}", rows.shape[1])
        return Sample(
            empty.queries, empty.sources, (), len(chosen), told, tuple(changed), empty.why
        )
    found = np.stack(queries), np.asarray(sources, np.int64)
    return Sample(*found, tuple(again), len(chosen), told, tuple(changed))


def _taken(gallery: Gallery, reference: Reference) -> Picture | str:
    """The picture of a reference, or why it takes no part."""
    if reference.path.lower().startswith(("http://", "https://")):
        return ADDRESS
    path = on_disk(gallery.folder, reference.path)
    if not path.is_file():
        if reference.origin:
            return BY_HAND
        return f"not where they were indexed ({gallery.folder})"
    try:
        picture = gallery.picture(path)
    except InputError:
        return UNREADABLE
    if reference.sha256 and picture.sha256 != reference.sha256:
        return CHANGED
    return picture


def own_rows(
    sample: Sample, references: Sequence[Reference], every: Sequence[Reference]
) -> list[list[int]]:
    """For each query the rows of `every` (enrolled views included) that go if the reference it was
    made of is not enrolled; none for an item without another reference of the same print."""
    prints: Counter[tuple[str, str]] = Counter((one.key, one.variant) for one in references)
    at_path: dict[str, list[int]] = {}
    for row, one in enumerate(every):
        at_path.setdefault(one.path, []).append(row)
    made_of = [references[row] for row in sample.sources.tolist()]
    return [at_path[one.path] if prints[one.key, one.variant] > 1 else [] for one in made_of]
