"""The draw of a sweep: that of the logo bench, with the same queries for all rows.

More references of an item are added to the fewer, and change no query: where a picture could be
either, half of an item's pictures are for asking, whatever number of references a row enrols. (An
evaluation with one number of references, `kenspeckle.evaluate.logo_draw`, need not set so many
aside.) What is drawn follows a hash of seed and name, so it is the same in every process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kenspeckle.errors import CatalogError
from kenspeckle.evaluate.captures import captures
from kenspeckle.evaluate.drawing import by_name, shuffled
from kenspeckle.evaluate.samples import Dataset, Sample
from kenspeckle.evaluate.sweep.grid import Sampling

LEAST_FIT = 2
"""Items below which there is nothing to fit a threshold on."""


@dataclass(frozen=True, slots=True)
class Side:
    """Items with their references, the first R of which are enrolled, and the pictures asked."""

    labels: tuple[str, ...]
    references: Mapping[str, tuple[Sample, ...]]
    photos: tuple[Sample, ...]

    def enrolled(self, refs: int) -> list[Sample]:
        """The first `refs` references of each item."""
        return [one for label in self.labels for one in self.references[label][:refs]]


@dataclass(frozen=True, slots=True)
class SweepDraw:
    """The items that are reported on, and others, with other pictures, that a rule is fitted on."""

    report: Side
    fit: Side | None
    notes: tuple[str, ...] = ()


def draw(dataset: Dataset, sampling: Sampling) -> SweepDraw:
    """Draw the two sides. Raises CatalogError when none of the drawn items has a photo.

    Where the items do not suffice for both sides, those reported on come first. Items that are on
    neither are strangers, dealt out between the two.
    """
    order = shuffled(dataset.items, f"{sampling.seed}:logos")
    count = sampling.logos
    first, second, others = order[:count], order[count : 2 * count], order[2 * count :]
    notes = []
    if len(first) < count:
        notes.append(f"{count} items were asked for, and there are {len(first)}")
    if len(second) < LEAST_FIT:
        second, others = [], [*second, *others]
        notes.append("no other items are left to fit thresholds on")
    elif len(second) < count:
        notes.append(f"thresholds are fitted on {len(second)} other items")
    pool = _Pool(dataset, sampling, captures(dataset))
    loose = shuffled({pool.thing(one) for one in dataset.strangers}, f"{sampling.seed}:strangers")
    step = 2 if second else 1
    mine = {*others[::step], *loose[::step]}
    report = pool.side(first, mine, banned=set())
    if not any(set(photo.labels) & set(first) for photo in report.photos):
        raise CatalogError(
            dataset.name,
            f"none of {len(first)} items has a picture to ask about beside its references",
            expected="at least two pictures of an item",
        )
    fit = None
    if second:
        fit = pool.side(second, {*others, *loose} - mine, banned={*first, *mine})
    return SweepDraw(report, fit, tuple(notes))


@dataclass(frozen=True, slots=True)
class _Pool:
    """Pictures to draw from, and the capture of each."""

    dataset: Dataset
    sampling: Sampling
    capture: Mapping[Sample, str]

    def thing(self, stranger: Sample) -> str:
        """What a stranger shows; one without a name is a thing of its own."""
        return stranger.label or f"\0{self.capture[stranger]}"

    def side(self, labels: Sequence[str], strangers: set[str], *, banned: set[str]) -> Side:
        """One side; captures that show a banned item belong to the other."""
        asked = self.dataset.queries
        other = self._captures(s for s in asked if banned & set(s.labels))
        photos = [s for s in asked if self.capture[s] not in other]
        split = {label: self._split(label, photos, other) for label in sorted(labels)}
        held = self._captures(one for references, _ in split.values() for one in references)
        free = [s for s in photos if {*labels, *strangers} & set(s.labels)]
        free += [s for s in self.dataset.strangers if self.thing(s) in strangers]
        free = [s for s in free if self.capture[s] not in held | other]
        chosen: dict[str, Sample] = {}
        for label in sorted(labels):
            shown = [s for s in split[label][1] if self.capture[s] not in held]
            away = [s for s in free if label not in s.labels]
            away = shuffled(away, self._key("negatives", label), name=by_name)
            for one in (*shown[: self.sampling.positives], *away[: self.sampling.negatives]):
                chosen[one.name] = one
        return Side(
            tuple(sorted(labels)),
            {label: tuple(references) for label, (references, _) in split.items()},
            tuple(chosen[name] for name in sorted(chosen)),
        )

    def _split(
        self, label: str, photos: Sequence[Sample], other: set[str]
    ) -> tuple[list[Sample], list[Sample]]:
        """References and photos of an item in the order in which they are taken.

        Captures that could be either are shared out: up to half of them, and no more than are
        asked for, are photos.
        """
        references = [
            s for s in self.dataset.references if s.label == label and self.capture[s] not in other
        ]
        own = [s for s in photos if label in s.labels]
        key = self._key("pictures", label)
        either = shuffled(self._captures(references) & self._captures(own), key)
        fixed = len(self._captures(own)) - len(either)
        wanted = min(max(self.sampling.positives - fixed, 0), len(either) // 2)
        kept, shown = set(either[wanted:]), set(either[:wanted])
        return (
            shuffled((s for s in references if self.capture[s] not in shown), key, name=by_name),
            shuffled((s for s in own if self.capture[s] not in kept), key, name=by_name),
        )

    def _captures(self, samples: Iterable[Sample]) -> set[str]:
        return {self.capture[sample] for sample in samples}

    def _key(self, purpose: str, label: str) -> str:
        return f"{self.sampling.seed}:{purpose}:{label}"
