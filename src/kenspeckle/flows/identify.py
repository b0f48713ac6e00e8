"""identify(picture, gallery): decode → regions → vectors → store.search → items → decide.

Between search and decision comes a second look, where the calibration or a setting asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kenspeckle.flows.opened import Opened, rule, stale
from kenspeckle.flows.readings import depth, read_too
from kenspeckle.flows.second_look import look, rule_for, with_evidence
from kenspeckle.match.aggregate import Floats, cohort_level, reach, usual_score
from kenspeckle.match.decide import decide
from kenspeckle.match.second_look import NOTHING
from kenspeckle.regions.base import cut, split
from kenspeckle.store.base import Hits, Standing
from kenspeckle.types import Calibration, Decision, Float32, Picture, Region


def identify(opened: Opened, picture: Picture) -> Decision:
    """The answer for one picture: an item, or unknown, with its reasons.

    Raises SettingError, ModelError, and MissingExtra where a second look is asked for without the
    extra `geometry`.
    """
    store, settings = opened.store, opened.settings.identify
    standing = store.standing()
    regions = split(picture, rule(standing.calibration, settings.regions))
    rows = opened.embedder.vectors([cut(picture.image, region) for region in regions])
    asked = Asked(picture, regions, rows)
    try:
        return _answer(opened, asked, standing)
    except KeyError:  # another process has removed a reference since this one looked
        store.refresh()
        return _answer(opened, asked, standing)


@dataclass(frozen=True, slots=True)
class Asked:
    """A photo, its regions, and their vectors `(k, D)`."""

    picture: Picture
    regions: tuple[Region, ...]
    rows: Float32


def _answer(opened: Opened, asked: Asked, standing: Standing) -> Decision:
    store, settings, calibration = opened.store, opened.settings.identify, standing.calibration
    again = rule_for(calibration, settings.second_look, settings.shortlist)
    deep = max(settings.top, 3, again.shortlist if again else 0, depth(settings, calibration))
    found = reach(store.search, asked.rows, len(store), distinct=deep)
    near = _near(opened, asked.rows, found, calibration)
    seen = look(opened, asked.picture, found, again) if again else None
    decision = decide(
        asked.regions,
        found,
        near,
        store,
        calibration,
        top=settings.top,
        stale=stale(standing, store.manifest, settings),
        raised=seen.raised if seen else NOTHING,
    )
    decision = with_evidence(store, decision, seen) if seen else decision
    return read_too(opened, asked.picture, asked.regions, found, decision)


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
