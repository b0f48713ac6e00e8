"""identify(picture, gallery): decode → regions → vectors → store.search → items → decide."""

from __future__ import annotations

from kenspeckle.flows.opened import Opened
from kenspeckle.match.aggregate import cohort_level, reach
from kenspeckle.match.decide import decide
from kenspeckle.regions.base import cut, split
from kenspeckle.types import Decision, Float32, Picture, Region


def identify(opened: Opened, picture: Picture, *, stale: str = "") -> Decision:
    """The answer for one picture: an item, or unknown, with its reasons.

    `stale` says why the calibration no longer fits the gallery, and is told in the reasons.
    Raises SettingError, ModelError.
    """
    regions = split(picture, opened.regions)
    rows = opened.embedder.vectors([cut(picture.image, region) for region in regions])
    try:
        return _answer(opened, regions, rows, stale)
    except KeyError:  # another process has removed a reference since this one looked
        opened.store.refresh()
        return _answer(opened, regions, rows, stale)


def _answer(opened: Opened, regions: tuple[Region, ...], rows: Float32, stale: str) -> Decision:
    store, cohort = opened.store, opened.embedder.cohort
    top = opened.settings.identify.top
    found = reach(store.search, rows, len(store), distinct=max(top, 2))
    near = None if cohort is None else cohort_level(rows, cohort)
    return decide(regions, found, near, store, store.calibration(), top=top, stale=stale)
