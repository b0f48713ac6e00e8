"""identify(picture, gallery): decode → regions → vectors → store.search → items → decide."""

from __future__ import annotations

import numpy as np

from kenspeckle.flows.opened import Opened, rule, stale
from kenspeckle.match.aggregate import Floats, cohort_level, reach, usual_score
from kenspeckle.match.decide import decide
from kenspeckle.regions.base import cut, split
from kenspeckle.store.base import Hits
from kenspeckle.types import Calibration, Decision, Float32, Picture, Region


def identify(opened: Opened, picture: Picture) -> Decision:
    """The answer for one picture: an item, or unknown, with its reasons.

    Raises SettingError, ModelError.
    """
    store, settings = opened.store, opened.settings.identify
    calibration = store.calibration()
    why = stale(store, calibration, settings)
    regions = split(picture, rule(calibration, settings.regions))
    rows = opened.embedder.vectors([cut(picture.image, region) for region in regions])
    try:
        return _answer(opened, regions, rows, calibration, why)
    except KeyError:  # another process has removed a reference since this one looked
        store.refresh()
        return _answer(opened, regions, rows, calibration, stale(store, calibration, settings))


def _answer(
    opened: Opened,
    regions: tuple[Region, ...],
    rows: Float32,
    calibration: Calibration | None,
    why: str,
) -> Decision:
    store, top = opened.store, opened.settings.identify.top
    found = reach(store.search, rows, len(store), distinct=max(top, 3))
    near = _near(opened, rows, found, calibration)
    return decide(regions, found, near, store, calibration, top=top, stale=why)


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
