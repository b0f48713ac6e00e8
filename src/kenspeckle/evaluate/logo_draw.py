"""The draw of the logo bench: some logos, pictures with and without each of them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kenspeckle.errors import SettingError
from kenspeckle.evaluate.captures import captures
from kenspeckle.evaluate.drawing import SPANS, Plan, World, by_name, fraction, homes, shuffled
from kenspeckle.evaluate.protocols import SEED, Draw, Group
from kenspeckle.evaluate.samples import Dataset, Sample


@dataclass(frozen=True, slots=True)
class LogoPlan:
    """How many logos, and for each of them how many references, and pictures with and without it.

    The defaults are those of the bench's test script. `reserve` and `ask_references` as in
    `kenspeckle.evaluate.protocols.Plan`.
    """

    logos: int = 10
    references: int = 3
    positives: int = 5
    negatives: int = 20
    reserve: int = 0
    ask_references: bool = False

    def __post_init__(self) -> None:
        for name, least in (("logos", 1), ("references", 1), ("positives", 0), ("negatives", 0)):
            if getattr(self, name) < least:
                raise SettingError(name, f"{getattr(self, name)}", expected=f"at least {least}")


USUAL = LogoPlan()


def logo_draws(
    dataset: Dataset, count: int = 1, *, seed: int = SEED, plan: LogoPlan = USUAL
) -> Iterator[Draw]:
    """`count` draws as the bench makes them, and beside each one of other logos to fit on.

    The logos are shared out first: those of the report, and from the rest those to fit on. A
    picture is asked about once, however many logos it was drawn for. A picture that shows logos of
    both sides is left out, as is one that gave a reference.
    """
    if count < 1:
        raise SettingError("draws", f"{count}", expected="at least 1")
    usual = Plan(
        references=plan.references, reserve=plan.reserve, ask_references=plan.ask_references
    )
    world = World(dataset, captures(dataset), usual)
    for number in range(count):
        key = f"{seed}:{number}"
        order = shuffled(dataset.items, f"{key}:logos")
        cut = max(min(plan.logos, len(order)), (len(order) + 1) // 2)
        loose = shuffled(world.loose, f"{key}:strangers")
        half = (len(loose) + 1) // 2
        of = dict.fromkeys((*order[:cut], *loose[:half]), 0)
        of |= dict.fromkeys((*order[cut:], *loose[half:]), 1)
        home = homes(world, of)
        left: Counter[str] = Counter()
        report, fitting = (
            _side(
                world, plan, _Side(own[: plan.logos], _captures(home, place), f"{key}:{name}"), left
            )
            for place, own, name in ((0, order[:cut], "report"), (1, order[cut:], "fitting"))
        )
        if spanning := sum(home[world.capture[sample]] is None for sample in dataset.queries):
            left[SPANS] = spanning
        yield Draw(number, seed, report, fitting, excluded=dict(left))


@dataclass(frozen=True, slots=True)
class _Side:
    """The logos of one side, and the captures that it may use."""

    logos: Sequence[str]
    mine: set[str]
    key: str


def _side(world: World, plan: LogoPlan, side: _Side, left: Counter[str]) -> Group:
    """References of the logos, and the union of what is drawn with and without each of them."""
    references: dict[str, list[Sample]] = {}
    for sample in world.dataset.references:
        if world.capture[sample] in side.mine:
            references.setdefault(sample.label, []).append(sample)
    pictures = [
        sample
        for sample in (*world.dataset.queries, *world.dataset.strangers)
        if world.capture[sample] in side.mine
    ]
    shows: dict[str, list[Sample]] = {}
    for sample in pictures:
        for label in sample.labels:
            shows.setdefault(label, []).append(sample)
    enrolled: list[Sample] = []
    held: list[Sample] = []
    for logo in side.logos:
        some, more = world.enrolled(
            references.get(logo, []), shows.get(logo, []), f"{side.key}:{logo}:references"
        )
        enrolled += some
        held += more
    free = shuffled(world.without(pictures, held, left), f"{side.key}:pictures", name=by_name)
    of_logo: dict[str, list[Sample]] = {}
    for sample in free:
        for label in sample.labels:
            of_logo.setdefault(label, []).append(sample)
    asked: dict[Sample, None] = {}
    for logo in side.logos:
        key = f"{side.key}:{logo}:positives"
        own = shuffled(of_logo.get(logo, []), key, name=by_name)
        asked |= dict.fromkeys(own[: plan.positives])
        asked |= dict.fromkeys(_without(logo, free, side.key, plan.negatives))
    return Group(
        tuple(sorted({sample.label for sample in enrolled})),
        tuple(sorted({name for s in asked for name in world.things(s)} - set(side.logos))),
        tuple(sorted(enrolled, key=by_name)),
        tuple(sorted(asked, key=by_name)),
    )


def _captures(home: Mapping[str, int | None], place: int) -> set[str]:
    return {capture for capture, side in home.items() if side == place}


def _without(logo: str, pictures: Sequence[Sample], key: str, count: int) -> Iterator[Sample]:
    """The next `count` pictures without a logo in a ring, from a place that the logo decides.

    `pictures` are in an order of chance, so a place in it is as good as a draw, and 100 logos of
    100,000 pictures need no sort each.
    """
    start = int(fraction(f"{key}:{logo}:negatives") * len(pictures))
    ring = itertools.chain(pictures[start:], pictures[:start])
    return itertools.islice((s for s in ring if logo not in s.labels), count)
