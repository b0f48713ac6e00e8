"""identify(picture, gallery): decode → regions → vectors → store.search → items → decide."""

from __future__ import annotations

from kenspeckle.flows.opened import Opened
from kenspeckle.match.aggregate import cohort_level, reach
from kenspeckle.match.decide import decide
from kenspeckle.regions.base import cut, split
from kenspeckle.types import Decision, Picture


def identify(opened: Opened, picture: Picture, *, stale: str = "") -> Decision:
    """The answer for one picture: an item, or unknown, with its reasons.

    `stale` says why the calibration no longer fits the gallery, and is told in the reasons.
    Raises SettingError, ModelError.
    """
    store, embedder, settings = opened.store, opened.embedder, opened.settings.identify
    regions = split(picture, settings.regions)
    rows = embedder.vectors([cut(picture.image, region) for region in regions])
    found = reach(store.search, rows, len(store), distinct=max(settings.top, 2))
    cohort = embedder.cohort
    near = None if cohort is None else cohort_level(rows, cohort)
    calibration = store.calibration()
    return decide(regions, found, near, store, calibration, top=settings.top, stale=stale)
