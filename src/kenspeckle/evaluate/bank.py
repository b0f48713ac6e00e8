"""The vectors that an evaluation needs, made once, and what could not be made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from kenspeckle.config import ImageSettings
from kenspeckle.errors import KenspeckleError, SettingError
from kenspeckle.evaluate.asking import Gallery, Query, enrolled
from kenspeckle.evaluate.cache import Asked, Finder, Found, VectorCache, Wanted, cached_vectors
from kenspeckle.evaluate.samples import Sample
from kenspeckle.match.aggregate import Floats, cohort_level
from kenspeckle.regions.base import effective
from kenspeckle.types import Box, Float32
from kenspeckle.vectors.base import Embedder

TRUTH = "truth"
DETECT = "detect"
Progress = Callable[[int, int, str], None]


def quiet(done: int, total: int, name: str) -> None:
    """Progress that nobody looks at."""


def check_regions(rule: str, boxes: bool) -> str:
    """The region rule by its parts; `truth` stays. Raises SettingError.

    A finder of regions, such as a detector, is no rule: it goes to `Bank` as it is.
    """
    if rule.partition(":")[0] == DETECT:
        raise SettingError(
            "regions",
            repr(rule),
            expected="truth, whole, center, windows, quad or auto",
            do="Detectors come with tagging; --regions truth measures naming apart from finding",
        )
    if rule != TRUTH:
        return effective(rule)
    if not boxes:
        raise SettingError(
            "regions",
            "'truth', of pictures without boxes",
            expected="whole, center, windows, quad or auto",
        )
    return rule


def reference_parts(sample: Sample) -> Asked:
    """What is embedded of a reference: its box, else the whole picture."""
    return (sample.box,) if sample.box is not None else "whole"


@dataclass(slots=True)
class Bank:
    """Vectors by file and region, each embedded once however many draws ask for it.

    `regions` is what is asked about in a photo: a rule by name, `truth`, or what a finder finds.
    """

    embedder: Embedder
    regions: str | Finder
    found: dict[Wanted, Found] = field(default_factory=dict)
    failed: dict[Wanted, KenspeckleError] = field(default_factory=dict)
    near: dict[Wanted, Floats] = field(default_factory=dict)

    @property
    def told(self) -> str:
        """The rule in words: that of a finder is its key."""
        return self.regions if isinstance(self.regions, str) else self.regions.key

    def wanted(self, sample: Sample) -> list[tuple[Wanted, Box | None, tuple[str, ...]]]:
        """What is asked about a photo: each true box with its label, or the photo as a whole."""
        if self.regions == TRUTH and sample.boxes:
            return [
                (Wanted(sample.path, (one.box,)), one.box, (one.label,))
                for one in sample.boxes
                if one.box is not None
            ]
        rule: Asked = "whole" if self.regions == TRUTH else self.regions
        return [(Wanted(sample.path, rule), None, sample.labels)]

    def fill(
        self,
        references: Iterable[Sample],
        photos: Iterable[Sample],
        cache: VectorCache,
        *,
        limits: ImageSettings | None = None,
        callers: int = 0,
        progress: Progress = quiet,
    ) -> None:
        """Make the vectors of references and photos that are not there yet.

        A picture that fails is kept as its error; raises ModelError of the model.
        """
        asked = [Wanted(one.path, reference_parts(one)) for one in references]
        asked += [one for photo in photos for one, _, _ in self.wanted(photo)]
        todo = [w for w in dict.fromkeys(asked) if w not in self.found and w not in self.failed]
        done = cached_vectors(self.embedder, todo, cache, limits=limits, callers=callers)
        for count, one in enumerate(done, 1):
            if one.value is not None:
                self.found[one.source] = one.value
            elif one.error is not None:
                self.failed[one.source] = one.error
            progress(count, len(todo), one.source.path.name)

    def gallery(self, references: Sequence[Sample], excluded: Counter[str]) -> Gallery:
        """The readable references as a gallery; the others are counted."""
        kept: list[Sample] = []
        rows: list[Float32] = []
        for sample in references:
            found = self.found.get(Wanted(sample.path, reference_parts(sample)))
            if found is None:
                excluded["reference that could not be read"] += 1
            else:
                kept.append(sample)
                rows.append(found.rows[:1])
        width = self.embedder.width
        stacked = np.concatenate([np.empty((0, width), np.float32), *rows])
        return enrolled([one.label for one in kept], stacked, [one.name for one in kept])

    def queries(self, photos: Sequence[Sample], excluded: Counter[str]) -> list[Query]:
        """The readable photos as queries, in order; the others are counted."""
        queries = []
        for sample in photos:
            true = tuple((one.label, one.box) for one in sample.boxes if one.box is not None)
            for wanted, box, truth in self.wanted(sample):
                found = self.found.get(wanted)
                if found is None:
                    excluded["photo that could not be read"] += 1
                else:
                    near = self._near(wanted, found.rows)
                    queries.append(
                        Query(sample.name, box, truth, true, found.regions, found.rows, near)
                    )
        return queries

    def _near(self, wanted: Wanted, rows: Float32) -> Floats | None:
        cohort = self.embedder.cohort
        if cohort is None:
            return None
        if wanted not in self.near:
            self.near[wanted] = cohort_level(rows, cohort)
        return self.near[wanted]
