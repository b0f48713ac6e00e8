"""How things are drawn: orders by hash, and which pictures of an item are enrolled."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from kenspeckle.errors import SettingError
from kenspeckle.evaluate.samples import Dataset, Sample

T = TypeVar("T")

ASKED_NOT = "its capture gave a reference"
SPANS = "belongs to both sides of the draw, by what it shows or as one file or capture with another"
"""Sides: the items that are reported on, and those that the threshold is fitted on."""
POOLED = 3
"""References an item where a layout does not say which pictures are references."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How items are drawn.

    training, fitting, report
        Shares of the items; they are scaled to sum to 1.
    strangers
        Share of the report's items that is left out of the gallery. None: half, or none where the
        data set has strangers of its own.
    references
        The most references an item; 0: all that are not asked about. A layout without roles gives
        `POOLED` then.
    reserve
        Never ask about what would be a reference if there were this many an item, so that draws
        with fewer references have the same queries.
    queries
        The most photos an item that are asked about; 0: all.
    ask_references
        Also ask about the pictures that gave the references.
    """

    training: float = 0.0
    fitting: float = 0.5
    report: float = 0.5
    strangers: float | None = None
    references: int = 0
    reserve: int = 0
    queries: int = 0
    ask_references: bool = False

    def __post_init__(self) -> None:
        shares = (self.training, self.fitting, self.report)
        if not (min(shares) >= 0 and self.report > 0 and sum(shares) < float("inf")):
            raise SettingError("shares", f"{shares}", expected="numbers from 0, the report's above")
        if self.strangers is not None and not 0 <= self.strangers <= 1:
            raise SettingError("strangers", f"{self.strangers}", expected="a share, 0 to 1")
        for name in ("references", "reserve", "queries"):
            if getattr(self, name) < 0:
                raise SettingError(name, f"{getattr(self, name)}", expected="0 or more")


USUAL = Plan()


@dataclass(frozen=True)
class World:
    """A data set, the capture of each of its samples, and the plan."""

    dataset: Dataset
    capture: Mapping[Sample, str]
    plan: Plan

    def things(self, sample: Sample) -> tuple[str, ...]:
        """The labels of a sample; a stranger without one is a thing of its own."""
        return sample.labels or (f"\0{self.capture[sample]}",)

    @property
    def loose(self) -> set[str]:
        """The things of the strangers, which no reference shows."""
        return {thing for sample in self.dataset.strangers for thing in self.things(sample)}

    def without(
        self, asked: Iterable[Sample], held: Iterable[Sample], left: Counter[str]
    ) -> list[Sample]:
        """What may be asked about when `held` may be enrolled."""
        if self.plan.ask_references:
            return list(asked)
        gave = {self.capture[sample] for sample in held}
        kept = []
        for sample in asked:
            if self.capture[sample] in gave:
                left[ASKED_NOT] += 1
            else:
                kept.append(sample)
        return kept

    def enrolled(
        self, references: Sequence[Sample], queries: Sequence[Sample], key: str
    ) -> tuple[list[Sample], list[Sample]]:
        """The references of one item that are enrolled, and those that are held back from queries.

        Where every photo of the item could be a reference, one capture is left to ask about.
        """
        pooled = bool(queries) and {self.capture[s] for s in queries} <= {
            self.capture[s] for s in references
        }
        limit = self.plan.references or (POOLED if pooled else len(references))
        ask = {self.capture[sample] for sample in queries}
        held: list[Sample] = []
        for sample in shuffled(references, key, name=by_name):
            rest = ask - {self.capture[sample]}
            if len(held) >= max(limit, self.plan.reserve):
                break
            if pooled and not rest and held and not self.plan.ask_references:
                continue
            held.append(sample)
            ask = rest or ask
        return held[:limit], held


def homes(world: World, of: Mapping[str, int]) -> dict[str, int | None]:
    """The group of each capture; None where its things fell into different ones."""
    found: dict[str, int | None] = {}
    data = world.dataset
    for sample in (*data.references, *data.queries, *data.strangers):
        capture = world.capture[sample]
        for thing in world.things(sample):
            place = of.get(thing)  # None: shown beside an item, and no reference shows it
            if place is not None and found.setdefault(capture, place) != place:
                found[capture] = None
    return found


def shuffled(things: Iterable[T], key: str, *, name: Callable[[T], Hashable] = str) -> list[T]:
    """The things in an order that a key decides: by the hash of key and name.

    The order of what comes in has no part in it, and taking one thing out moves no other. Two keys
    give independent orders.

    >>> shuffled("abcdef", "1"), shuffled("fdba", "1")
    (['a', 'e', 'b', 'c', 'd', 'f'], ['a', 'b', 'd', 'f'])
    """

    def place(thing: T) -> tuple[bytes, str]:
        text = str(name(thing))
        digest = hashlib.sha256(f"{key}\0{text}".encode("utf-8", "surrogatepass")).digest()
        return digest, text

    return sorted(things, key=place)


def fraction(key: str) -> float:
    """A number from 0 to below 1 that a key decides.

    >>> round(fraction("1"), 3)
    0.42
    """
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def by_name(sample: Sample) -> str:
    """What tells samples apart."""
    return f"{sample.name}\0{sample.label}\0{sample.box}"
