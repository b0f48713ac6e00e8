"""Which rule decides about a frame, and what it is called in numbers that clients know."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from kenspeckle.config import ServeSettings
from kenspeckle.errors import KenspeckleError
from kenspeckle.flows.calibrate import quick
from kenspeckle.flows.masks import Fixed
from kenspeckle.gallery import Gallery
from kenspeckle.regions.base import effective
from kenspeckle.serve import problems
from kenspeckle.serve.resident import give_back
from kenspeckle.store.base import Store
from kenspeckle.types import Calibration

FORMER = Fixed(0.70, 0.04)
"""The numbers of the replaced service: where one of them is asked for, and where nothing fits."""
SECONDS = 20.0
"""Time that fitting a rule for frames may take, on one thread."""
FRAME = "auto"
"""The region rule for frames in which no single thing is named."""


def asked_for(settings: ServeSettings) -> Fixed | None:
    """The fixed rule that the settings ask for, by either of its numbers."""
    similarity, margin = settings.similarity, settings.margin
    if similarity == -2 and margin == -1:
        return None
    return Fixed(
        FORMER.similarity if similarity == -2 else similarity,
        FORMER.margin if margin == -1 else margin,
    )


class Deciding:
    """The rule for frames of one gallery, as the gallery is now.

    A gallery with a quick calibration for other regions than those of frames gets a rule for these,
    kept in memory: at the first frame one from strangers in general, which takes a tenth of a
    second, and beside the next ones a better one. A full calibration is left alone: a quick one
    knows less. May be asked from any thread.
    """

    def __init__(self, gallery: Gallery) -> None:
        self._gallery, self._fixed = gallery, asked_for(gallery.settings.serve)
        self._lock = threading.Lock()
        self._frames: Calibration | None = None
        self._frames_of: object = None
        self._thread: threading.Thread | None = None
        self.note = ""
        """What went wrong with the last fit, or empty."""

    def now(self, store: Store, *, begin: bool = False) -> Fixed | Calibration:
        """The rule in force; with `begin` what it still lacks begins to be fitted."""
        if self._fixed is not None:
            return self._fixed
        own = store.calibration()
        if own is None:
            return FORMER
        asked = self._gallery.settings.identify.regions or FRAME
        if own.method == "full" or own.regions == effective(asked):
            return own
        key = (own.space_id, own.date, own.change, own.fpir, own.threshold)
        with self._lock:
            if begin and self._frames_of != key:
                self._frames, self._frames_of = self._fitted(own, asked, 0.0), key
                self._thread = threading.Thread(
                    target=self._better,
                    args=(key, own, asked),
                    name="kenspeckle-frames",
                    daemon=True,
                )
                self._thread.start()
            return (self._frames if self._frames_of == key else None) or own

    def wait(self, seconds: float) -> None:
        """Wait for a fit that is going on."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _better(self, key: object, own: Calibration, regions: str) -> None:
        found = self._fitted(own, regions, SECONDS)
        with self._lock:
            if found is not None and self._frames_of == key:
                self._frames = found
        give_back()  # the models may have left, and the requests ended, while it was fitted

    def _fitted(self, own: Calibration, regions: str, seconds: float) -> Calibration | None:
        """A rule for these regions, None where none can be fitted."""
        try:
            opened = self._gallery.opened
            settings = replace(
                opened.settings,
                identify=replace(opened.settings.identify, regions=regions),
                index=replace(opened.settings.index, callers=1),
            )
            return stricter(quick(replace(opened, settings=settings), seconds=seconds), own)
        except KenspeckleError as error:
            self.note = problems.told(error)
        except Exception as error:  # the gallery may be closed in the middle of it
            self.note = f"no rule for frames: {type(error).__name__}"
        return None


def stricter(found: Calibration | None, own: Calibration) -> Calibration | None:
    """A rule for more regions, no looser than the one for fewer: a short fit may know less.

    Regions only add chances for a stranger, so a lower threshold would come of too few trials. A
    fit too short to tell of a confidence takes over the one for fewer regions.
    """
    if found is None or (found.score, found.fpir) != (own.score, own.fpir):
        return found
    found = replace(found, threshold=max(found.threshold, own.threshold))
    if found.slope:
        return found
    return replace(
        found,
        slope=own.slope,
        intercept=own.intercept,
        confidence_from=own.confidence_from,
        variant_margin=own.variant_margin,
    )


def thresholds(rule: Fixed | Calibration) -> tuple[float, float]:
    """Least similarity and least margin as clients know them.

    A calibrated rule compares one score with one threshold: for the margin that is the second
    number, for any other score the first one; the number that it does not look at is 0.
    """
    if isinstance(rule, Fixed):
        return rule.similarity, rule.margin
    return (0.0, rule.threshold) if rule.score == "margin" else (rule.threshold, 0.0)


def described(rule: Fixed | Calibration, stale: str) -> dict[str, Any]:
    """The rule for people and programs."""
    if isinstance(rule, Fixed):
        return {"kind": "fixed", "similarity": rule.similarity, "margin": rule.margin}
    return {
        "kind": "calibrated",
        "score": rule.score,
        "threshold": rule.threshold,
        "fpir": rule.fpir,
        "regions": rule.regions,
        "date": rule.date,
        "stale": stale,
    }
