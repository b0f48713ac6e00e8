"""evaluate(dataset): draw items → vectors → fit on some items → ask about others → figures.

`prepare` draws and embeds; `judged` fits and asks. A change of rule, threshold or rate needs
`judged` alone and embeds nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from kenspeckle.config import ImageSettings, check_rate
from kenspeckle.errors import InputError, SettingError
from kenspeckle.evaluate.asking import Gallery, Query, Said, ask
from kenspeckle.evaluate.bank import Bank, Progress, check_regions, quiet
from kenspeckle.evaluate.cache import Finder, VectorCache
from kenspeckle.evaluate.counting import Counts as Counted
from kenspeckle.evaluate.counting import Detection, Truth, by_photo, legacy, one_to_one
from kenspeckle.evaluate.details import details
from kenspeckle.evaluate.figures import rates, values
from kenspeckle.evaluate.fitting import AnyJudge, Chosen, fitted, plain_judge
from kenspeckle.evaluate.judges import LOWEST, Judge, Ruled, Scored
from kenspeckle.evaluate.protocols import Draw
from kenspeckle.evaluate.result import Answer, Counts, DrawFigures, Evaluation, Value
from kenspeckle.evaluate.samples import Dataset
from kenspeckle.evaluate.truth_regions import Met, region_figures
from kenspeckle.match.promise import percent
from kenspeckle.match.trials import NO_TRIALS, Trials
from kenspeckle.stats import trials_needed
from kenspeckle.vectors.base import Embedder

COUNTED = ("ours", "legacy")
NO_STRANGERS = "No strangers to ask about in a draw: it says nothing of FPIR, AUROC and OSCR."
NOTHING_TO_FIT = "No other items to fit a threshold on"
FIRST = 5
"""False hits and misses that are listed."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One draw as vectors: what is enrolled and asked about, and apart from both, other items that
    the threshold is fitted on."""

    draw: Draw
    gallery: Gallery
    queries: tuple[Query, ...]
    others: Gallery
    fitting: tuple[Query, ...]
    """Photos of the items of `others`: strangers to `gallery`, mated once their item is added."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that a rule is judged on."""

    dataset: Dataset
    regions: str
    draws: tuple[Drawn, ...]
    settings: Mapping[str, Value]
    excluded: Mapping[str, int]
    notes: tuple[str, ...]
    seconds: float
    stages: Mapping[str, float] = field(default_factory=dict)


def prepare(
    dataset: Dataset,
    draws: Iterable[Draw],
    embedder: Embedder,
    *,
    regions: str | Finder = "whole",
    cache: VectorCache | None = None,
    limits: ImageSettings | None = None,
    callers: int = 0,
    progress: Progress = quiet,
) -> Prepared:
    """Draw and embed. Pictures that fail are left out and counted.

    regions
        A rule by name, `truth` for the true boxes, or a finder such as a detector.

    Raises SettingError for a region rule that the dataset or this machine cannot follow, InputError
    when nothing is left to enrol or to ask about, ModelError.
    """
    start, drawn = time.perf_counter(), list(draws)
    boxes = any(one.boxes for one in (*dataset.queries, *dataset.strangers))
    bank = Bank(embedder, check_regions(regions, boxes) if isinstance(regions, str) else regions)
    held = cache or VectorCache(None)
    before = held.embedded
    bank.fill(
        (one for draw in drawn for one in (*draw.references, *draw.other_references)),
        (one for draw in drawn for one in (*draw.queries, *draw.other_queries)),
        held,
        limits=limits,
        callers=callers,
        progress=progress,
    )
    excluded: Counter[str] = Counter()
    excluded.update(dataset.reasons)
    excluded.update({why: count for draw in drawn for why, count in draw.excluded.items()})
    made = tuple(_drawn(bank, draw, excluded) for draw in drawn)
    if not any(len(one.gallery) and one.queries for one in made):
        why = "; ".join(f"{count} × {reason}" for reason, count in excluded.items())
        raise InputError(
            dataset.name,
            f"no draw has a reference and a photo to ask about ({why or 'too few pictures'})",
            expected="items with a reference and another photo",
        )
    return Prepared(
        dataset=dataset,
        regions=bank.told,
        draws=made,
        settings={
            "dataset": dataset.name,
            "layout": dataset.layout,
            "model": str(embedder.fingerprint),
            "space": embedder.space_id,
            "regions": bank.told,
            "draws": len(made),
        },
        excluded=dict(excluded),
        notes=dataset.notes,
        seconds=time.perf_counter() - start,
        stages={"regions embedded": held.embedded - before},
    )


def _drawn(bank: Bank, draw: Draw, excluded: Counter[str]) -> Drawn:
    """One draw as vectors. A photo whose item lost all its references is no stranger: it goes."""
    gallery = bank.gallery(draw.references, excluded)
    others = bank.gallery(draw.other_references, excluded)
    lost = {one.label for one in draw.references} - set(gallery.labels)
    queries = []
    for query in bank.queries(draw.queries, excluded):
        if lost.intersection(query.truth) and not any(t in gallery.index for t in query.truth):
            excluded["photo of an item without a readable reference"] += 1
        else:
            queries.append(query)
    fitting = bank.queries(draw.other_queries, excluded)
    return Drawn(draw, gallery, tuple(queries), others, tuple(fitting))


def judged(
    prepared: Prepared,
    judge: AnyJudge,
    *,
    fpir: float | None,
    count: str = "ours",
    with_details: bool = False,
    settings: Mapping[str, Value] | None = None,
) -> Evaluation:
    """Ask everything. With `fpir` the threshold is fitted anew in each draw, on the items of its
    fitting part; without, that of the judge is in force.

    Raises SettingError for a rate outside 0.000001 … 1 and a way of counting that does not exist.
    """
    start = time.perf_counter()
    if fpir is not None:
        check_rate(fpir)
    if count not in COUNTED:
        raise SettingError("count", repr(count), expected=" or ".join(COUNTED))
    own = plain_judge(judge)
    if own.needs_cohort and any(q.near is None for d in prepared.draws for q in d.queries):
        raise SettingError(
            "score",
            f"'{judge}', with a model that carries no cohort",
            expected="cosine or margin",
            do="Or use a model that carries one, such as default",
        )
    told = _Told(prepared)
    for number, drawn in enumerate(prepared.draws):
        if len(drawn.gallery):
            told.take(number, drawn, judge, fpir)
        else:
            told.excluded["draw without a readable reference"] += 1
    threshold = own.threshold if isinstance(own, Ruled) and fpir is None else None
    return Evaluation(
        name=f"{prepared.dataset.name}, {judge}",
        folder=str(prepared.dataset.folder),
        settings={
            **prepared.settings,
            "rule": str(judge),
            "threshold": f"fitted for FPIR {fpir:g}" if fpir is not None else own.threshold,
            "count": count,
            **(settings or {}),
        },
        fpir=fpir,
        answers=tuple(told.answers),
        draws=tuple(told.figures),
        rates=rates(told.answers),
        counts=told.counts(count),
        regions=region_figures(told.met),
        excluded=dict(told.excluded),
        notes=(*prepared.notes, *_chosen(judge, told.figures), *told.notes),
        seconds=prepared.seconds + time.perf_counter() - start,
        confidence_from=told.confidence_from,
        details=details(told.asked, told.answers, threshold) if with_details else None,
        stages=prepared.stages,
    )


def _chosen(judge: AnyJudge, draws: Sequence[DrawFigures]) -> list[str]:
    """Which scores were chosen, and in how many draws."""
    if not isinstance(judge, Chosen) or not any(one.fitted_on for one in draws):
        return []
    kinds = Counter(one.rule for one in draws).most_common()
    return ["Score chosen: " + ", ".join(f"{rule} ({count} ×)" for rule, count in kinds) + "."]


class _Told:
    """What the draws have come to so far."""

    def __init__(self, prepared: Prepared) -> None:
        self.excluded = Counter(prepared.excluded)
        self.answers: list[Answer] = []
        self.figures: list[DrawFigures] = []
        self.asked: list[tuple[Gallery, Sequence[Query]]] = []
        self.met: list[Met] = []
        self.confidence_from: Literal["", "views", "photos"] = ""
        self._notes: dict[str, None] = {}
        self._spoken: list[Detection] = []
        self._detections: list[Detection] = []
        self._truths: list[Truth] = []
        self._boxes = prepared.regions not in ("whole", "center")

    @property
    def notes(self) -> tuple[str, ...]:
        """Each once, in order."""
        return tuple(self._notes)

    def take(self, number: int, drawn: Drawn, judge: AnyJudge, fpir: float | None) -> None:
        """Fit, where a rate is asked for, and ask."""
        strangers = NO_TRIALS
        if fpir is None:
            ready = plain_judge(judge)
        else:
            ready, strangers = fitted(judge, drawn.gallery, drawn.others, drawn.fitting, fpir)
            self._shortfall(strangers, fpir, ready.threshold)
        said = ask(ready, drawn.gallery, drawn.queries, number)
        if isinstance(ready, Scored) and ready.calibration is not None:
            self.confidence_from = "photos"
        self.answers += said.answers
        self.asked.append((drawn.gallery, drawn.queries))
        self.figures.append(_figures(number, drawn, ready, strangers, said))
        self.met += said.met
        self._spoken += said.spoken
        self._detections += said.detections
        self._truths += said.truths
        if said.nameless and isinstance(ready, Scored):
            self.excluded["photo without a score (counted as unknown)"] += said.nameless
        if all(one.enrolled for one in said.answers):
            self._notes[NO_STRANGERS] = None

    def _shortfall(self, strangers: Trials, fpir: float, threshold: float) -> None:
        """Say when the fitting part is too small for the rate asked for."""
        needed, count = trials_needed(fpir), strangers.independent
        if not count:
            force = "every photo gets a name" if threshold < LOWEST else f"T is {threshold:g}"
            self._notes[f"{NOTHING_TO_FIT}: {force}."] = None
        elif count < needed:
            note = (
                f"Thresholds were fitted on as few as {count} stranger items; "
                f"FPIR {percent(fpir)} takes {needed:,}."
            )
            self._notes[note] = None

    def counts(self, first: str) -> tuple[Counts, ...]:
        """Both ways of counting, the one asked for first."""
        boxed = self._boxes and any(one.box is not None for one in self._truths)
        ours = (
            one_to_one(self._spoken, self._truths)
            if boxed
            else by_photo(self._spoken, self._truths)
        )
        both = (
            _counts("ours", "boxes" if boxed else "names of photos", ours),
            _counts("legacy", "names of photos", legacy(self._detections, self._truths)),
        )
        return both if first == "ours" else both[::-1]


def _counts(
    rule: Literal["ours", "legacy"], unit: Literal["boxes", "names of photos"], one: Counted
) -> Counts:
    return Counts(
        rule, unit, one.tp, one.fp, one.fn, one.expected, one.false[:FIRST], one.missed[:FIRST]
    )


def _figures(number: int, drawn: Drawn, judge: Judge, strangers: Trials, said: Said) -> DrawFigures:
    mated = sum(one.enrolled for one in said.answers)
    return DrawFigures(
        draw=number,
        seed=drawn.draw.seed,
        items=len(drawn.gallery),
        references=len(drawn.gallery.rows),
        mated=mated,
        strangers=len(said.answers) - mated,
        threshold=judge.threshold,
        fitted_on=strangers.independent,
        rates=values(said.answers),
        rule=str(judge),
    )
