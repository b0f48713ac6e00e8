"""identify(picture, gallery): decode → regions → vectors → store.search → items → decide.

Between search and decision comes a second look, where the calibration or a setting asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kenspeckle.flows.again import again
from kenspeckle.flows.opened import Opened, differs, rule, stale
from kenspeckle.flows.readings import depth, read_too
from kenspeckle.flows.second_look import look, rule_for, with_evidence
from kenspeckle.match.aggregate import Floats, cohort_level, reach, usual_score
from kenspeckle.match.decide import decide
from kenspeckle.match.second_look import NOTHING
from kenspeckle.regions.base import cut, split
from kenspeckle.store.base import Hits, Standing
from kenspeckle.types import Calibration, Decision, Float32, Picture, Region
from kenspeckle.vectors.pipeline import StageTimes, timed


@dataclass(frozen=True, slots=True)
class Asked:
    """A photo, its regions, and their vectors `(k, D)`."""

    picture: Picture
    regions: tuple[Region, ...]
    rows: Float32


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer for a photo of `size` `(width, height)`, and for each of its regions by itself.

    `regions` are in the order of the rule, one for each row of `rows` `(k, D)`, their vectors.
    Printed codes and text are read for the photo alone. `stale` says why the calibration does not
    fit the gallery, or what was asked; empty when it does.
    """

    decision: Decision
    regions: tuple[Decision, ...]
    rows: Float32
    size: tuple[int, int]
    stale: str = ""


def identify(opened: Opened, picture: Picture) -> Decision:
    """The answer for one picture: an item, or unknown, with its reasons. Raises as `answer`."""
    return answer(opened, picture, each=False).decision


def answer(
    opened: Opened, picture: Picture, *, each: bool = True, times: StageTimes | None = None
) -> Answer:
    """The answer for one picture and, with `each`, for every region of it.

    `times` take in the stages `detection`, `embedding` and `search`. Raises SettingError,
    ModelError, and MissingExtra where a second look is asked for without the extra `geometry`.
    """
    store, settings = opened.store, opened.settings.identify
    standing = store.standing()
    with timed(times, "detection"):
        regions = split(picture, rule(standing.calibration, settings.regions))
    with timed(times, "embedding"):
        rows = opened.embedder.vectors([cut(picture.image, region) for region in regions])
    with timed(times, "search"):
        return judged(opened, Asked(picture, regions, rows), standing, each=each)


def judged(opened: Opened, asked: Asked, standing: Standing, *, each: bool = True) -> Answer:
    """The answer for vectors that are there, by the rule of `standing`. Raises as `answer`."""
    return again(opened.store, lambda: _answer(opened, asked, standing, each))


def _answer(opened: Opened, asked: Asked, standing: Standing, each: bool) -> Answer:
    store, settings, calibration = opened.store, opened.settings.identify, standing.calibration
    again = rule_for(calibration, settings.second_look, settings.shortlist)
    deep = max(settings.top, 3, again.shortlist if again else 0, depth(settings))
    found = reach(store.search, asked.rows, len(store), distinct=deep)
    near = _near(opened, asked.rows, found, calibration)
    seen = look(opened, asked.picture, found, again) if again else None
    raised = seen.raised if seen else NOTHING
    out_of_date = stale(standing, store.manifest, settings)

    def decided(regions: tuple[Region, ...], hits: Hits, level: Floats | None) -> Decision:
        return decide(
            regions,
            hits,
            level,
            store,
            calibration,
            top=settings.top,
            stale=out_of_date,
            raised=raised,
        )

    best = decided(asked.regions, found, near)
    if calibration and out_of_date and differs(calibration, settings):
        best = replace(best, confidence=None)  # fitted on scores that were made otherwise
    regions: tuple[Decision, ...] = (best,)
    if each and len(asked.regions) > 1:
        regions = tuple(
            decided((region,), found.of(n), None if near is None else near[n : n + 1])
            for n, region in enumerate(asked.regions)
        )
    decision = with_evidence(store, best, seen) if seen else best
    decision = read_too(opened, asked.picture, asked.regions, found, decision)
    return Answer(decision, regions, asked.rows, asked.picture.size, out_of_date)


def _near(
    opened: Opened, rows: Float32, found: Hits, calibration: Calibration | None
) -> Floats | None:
    """The cohort level of each region, where the rule asks for it and the model has a cohort."""
    if calibration:
        kind = calibration.score
    else:
        several = len(np.unique(found.items[found.items >= 0]))
        kind = usual_score(has_cohort=True, items=several)
    cohort = opened.embedder.cohort if "cohort" in kind else None
    return None if cohort is None else cohort_level(rows, cohort)
