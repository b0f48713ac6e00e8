"""Who is enrolled, who is asked about, and on whom a threshold is fitted: seeded draws of items.

Three groups of items share nothing: for training, for fitting, for the report. What falls where is
told by a hash of seed, purpose and name, so that a seed gives one list on every machine and in
every process, and a picture more or less moves no other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from kenspeckle.errors import SettingError
from kenspeckle.evaluate.captures import captures
from kenspeckle.evaluate.drawing import SPANS, USUAL, Plan, World, by_name, homes, shuffled
from kenspeckle.evaluate.samples import Dataset, Sample

__all__ = ["SEED", "Draw", "Group", "Plan", "draws", "given"]

SEED = 42


@dataclass(frozen=True, slots=True)
class Group:
    """Some items of a draw: their enrolled references, and what is asked about.

    `items` are the labels that are enrolled, `strangers` those that are asked about and are not.
    """

    items: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()
    references: tuple[Sample, ...] = ()
    queries: tuple[Sample, ...] = ()

    @property
    def mated(self) -> tuple[Sample, ...]:
        """The queries that show an enrolled item."""
        held = set(self.items)
        return tuple(sample for sample in self.queries if held.intersection(sample.labels))

    @property
    def non_mated(self) -> tuple[Sample, ...]:
        """The queries that show none."""
        held = set(self.items)
        return tuple(sample for sample in self.queries if not held.intersection(sample.labels))


@dataclass(frozen=True, slots=True)
class Draw:
    """One draw. What was drawn for one group is never seen by another.

    report
        The gallery that is judged: half of its items are left out of it and are its strangers.
    fitting
        Other items, all with references: the threshold is fitted on them.
    training
        Items that neither of the two sees; empty unless a share is asked for.
    excluded
        How many pictures take no part in this draw, by reason.
    """

    number: int
    seed: int
    report: Group
    fitting: Group = Group()
    training: Group = Group()
    excluded: Mapping[str, int] = field(default_factory=dict)

    @property
    def references(self) -> tuple[Sample, ...]:
        """What is enrolled."""
        return self.report.references

    @property
    def queries(self) -> tuple[Sample, ...]:
        """What is asked about, strangers included."""
        return self.report.queries

    @property
    def other_references(self) -> tuple[Sample, ...]:
        """References of the items that the threshold is fitted on."""
        return self.fitting.references

    @property
    def other_queries(self) -> tuple[Sample, ...]:
        """Photos of the items that the threshold is fitted on, and of strangers beside them."""
        return self.fitting.queries


def draws(
    dataset: Dataset, count: int = 5, *, seed: int = SEED, plan: Plan = USUAL
) -> Iterator[Draw]:
    """`count` draws of the items of a data set, the same ones for the same seed.

    A capture whose items fall into two groups is left out, and its pictures are counted. Strangers
    of the data set are shared out like items, those without a name each by itself.
    """
    if count < 1:
        raise SettingError("draws", f"{count}", expected="at least 1")
    world = World(dataset, captures(dataset), plan)
    for number in range(count):
        yield _draw(world, number, seed)


def given(dataset: Dataset, *, ask_references: bool = False) -> Draw:
    """The data set as its roles say: everything enrolled, everything asked, nothing to fit on."""
    world = World(dataset, captures(dataset), Plan(ask_references=ask_references))
    asked = [*dataset.queries, *dataset.strangers]
    left: Counter[str] = Counter()
    kept = world.without(asked, dataset.references, left)
    strangers = {name for sample in dataset.strangers for name in world.things(sample)}
    report = Group(dataset.items, tuple(sorted(strangers)), dataset.references, tuple(kept))
    return Draw(0, 0, report, excluded=dict(left))


def _draw(world: World, number: int, seed: int) -> Draw:
    """Share out the items, then enrol and ask within each group."""
    plan, key = world.plan, f"{seed}:{number}"
    shares = (plan.training, plan.fitting, plan.report)
    items = _cut(shuffled(world.dataset.items, f"{key}:items"), shares)
    loners = _cut(shuffled(world.loose, f"{key}:strangers"), shares)
    left: Counter[str] = Counter()
    of = {
        label: place
        for place, pair in enumerate(zip(items, loners, strict=True))
        for part in pair
        for label in part
    }
    home_of = homes(world, of)
    share = plan.strangers
    if share is None:
        share = 0.0 if world.dataset.strangers else 0.5
    outside = (0, 0, round(share * len(items[2])))
    groups = [
        _group(
            world,
            _Part(own[out:], own[:out], loners[place], f"{key}:{name}"),
            {capture for capture, home in home_of.items() if home == place},
            left,
        )
        for place, (own, out, name) in enumerate(
            zip(items, outside, ("training", "fitting", "report"), strict=True)
        )
    ]
    data = world.dataset
    every = (*data.references, *data.queries, *data.strangers)
    # As pictures: one that may be enrolled or asked about is one, as are the crops of a reference.
    spanning = {one.path for one in every if home_of.get(world.capture[one], 0) is None}
    if spanning:
        left[SPANS] = len(spanning)
    return Draw(number, seed, groups[2], groups[1], groups[0], dict(left))


@dataclass(frozen=True, slots=True)
class _Part:
    """The labels of a group: enrolled, left out of the gallery, and strangers from the start."""

    items: Sequence[str]
    outside: Sequence[str]
    loose: Sequence[str]
    key: str


def _group(world: World, part: _Part, mine: set[str], left: Counter[str]) -> Group:
    """Enrol the items of a group and choose what is asked about."""
    references, asked = _by_label(world, mine)
    enrolled: list[Sample] = []
    held: list[Sample] = []
    for label in part.items:
        some, more = world.enrolled(
            references.get(label, []), asked.get(label, []), f"{part.key}:{label}"
        )
        enrolled += some
        held += more
    shown = (*part.items, *part.outside, *part.loose)
    queries = {sample: None for label in shown for sample in asked.get(label, ())}
    kept = world.without(queries, held, left)
    if world.plan.queries:
        kept = _at_most(world, kept, part.key)
    return Group(
        tuple(sorted({sample.label for sample in enrolled})),
        tuple(sorted({*part.outside, *part.loose})),
        tuple(sorted(enrolled, key=by_name)),
        tuple(sorted(kept, key=by_name)),
    )


def _by_label(
    world: World, mine: set[str]
) -> tuple[dict[str, list[Sample]], dict[str, list[Sample]]]:
    """References by label, and everything that may be asked about by label."""
    references: dict[str, list[Sample]] = {}
    asked: dict[str, list[Sample]] = {}
    for sample in world.dataset.references:
        if world.capture[sample] in mine:
            references.setdefault(sample.label, []).append(sample)
    for sample in (*world.dataset.queries, *world.dataset.strangers):
        if world.capture[sample] in mine:
            for thing in world.things(sample):
                asked.setdefault(thing, []).append(sample)
    return references, asked


def _at_most(world: World, samples: Sequence[Sample], key: str) -> list[Sample]:
    """At most `plan.queries` photos of each thing."""
    counts: Counter[str] = Counter()
    kept = []
    for sample in shuffled(samples, f"{key}:queries", name=by_name):
        things = world.things(sample)
        if any(counts[thing] < world.plan.queries for thing in things):
            counts.update(things)
            kept.append(sample)
    return kept


def _cut(things: Sequence[str], shares: Sequence[float]) -> list[Sequence[str]]:
    """Cut into runs of the given shares."""
    total, begin, reached, parts = sum(shares), 0, 0.0, []
    for share in shares:
        reached += share
        end = round(len(things) * reached / total)
        parts.append(things[begin:end])
        begin = end
    return parts
