"""Which rule decides about a frame, and what it is called in numbers that clients know."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from kenspeckle.config import ServeSettings
from kenspeckle.errors import GalleryError, KenspeckleError
from kenspeckle.flows.calibrate import quick
from kenspeckle.flows.looks import Looks
from kenspeckle.flows.masks import Fitted, Fixed
from kenspeckle.flows.opened import Opened
from kenspeckle.gallery import Gallery
from kenspeckle.regions.base import effective
from kenspeckle.types import Calibration

FORMER = Fixed(0.70, 0.04)
"""The numbers of the replaced service: where one of them is asked for, and where nothing fits."""
SECONDS = 5.0
"""Time that a quick calibration may take."""
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

    A gallery without calibration gets a quick one at the start. One that was calibrated for other
    regions gets another for whole frames, fitted beside the first frames; until it is there, frames
    are asked about in the regions of the gallery's own. May be asked from any thread.
    """

    def __init__(self, gallery: Gallery, settings: ServeSettings) -> None:
        self._gallery, self._fixed = gallery, asked_for(settings)
        self._looks, self._lock = Looks(), threading.Lock()
        self._own: Calibration | None = None
        self._frame: Calibration | None = None
        self._fitted_for: object = None
        self._thread: threading.Thread | None = None
        self.note = ""
        """What went wrong with the last fit, or empty."""

    def opened(self) -> Opened:
        """What a flow needs of the gallery, at this moment."""
        gallery = self._gallery
        return Opened(gallery.store, gallery.embedder, gallery.settings, self._looks)

    def prepare(self) -> None:
        """Calibrate a gallery that never was, which takes seconds. Kept in the index if it may be.

        Raises ModelError.
        """
        if self._fixed is not None or self._gallery.calibration is not None:
            return
        self._own = quick(self.opened(), seconds=SECONDS)
        if self._own is not None:
            try:
                self._gallery.store.set_calibration(self._own)
            except GalleryError:
                self.note = "the calibration made at the start is not kept: the index is read only"

    def now(self, *, begin: bool = False) -> Fixed | Fitted:
        """The rule in force; with `begin` what it still lacks begins to be fitted."""
        if self._fixed is not None:
            return self._fixed
        calibration = self.calibration
        if calibration is None:
            return FORMER
        return Fitted(calibration, self._for_frames(calibration, begin))

    @property
    def calibration(self) -> Calibration | None:
        """That of the gallery, else the one made at the start."""
        return self._gallery.calibration or self._own

    def wait(self, seconds: float) -> None:
        """Wait for a fit that is going on."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _for_frames(self, calibration: Calibration, begin: bool) -> Calibration:
        """The calibration for whole frames, or the gallery's until it is fitted."""
        asked = self._gallery.settings.identify.regions or FRAME
        if calibration.regions == effective(asked):
            return calibration
        key = (calibration.space_id, calibration.date, calibration.change, calibration.fpir)
        with self._lock:
            if self._fitted_for == key:
                return self._frame or calibration
            if begin and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(
                    target=self._fit, args=(key, asked), name="kenspeckle-frames", daemon=True
                )
                self._thread.start()
        return calibration

    def _fit(self, key: object, regions: str) -> None:
        opened = self.opened()
        settings = opened.settings
        settings = replace(
            settings,
            identify=replace(settings.identify, regions=regions),
            index=replace(settings.index, callers=1),
        )
        found = None
        try:
            found = quick(replace(opened, settings=settings), seconds=SECONDS)
        except KenspeckleError as error:
            self.note = str(error)
        except Exception as error:  # the gallery may be closed in the middle of it
            self.note = f"no rule for whole frames: {type(error).__name__}"
        with self._lock:
            self._frame, self._fitted_for = found, key


def thresholds(rule: Fixed | Fitted) -> tuple[float, float]:
    """Least similarity and least margin as clients know them.

    A calibrated rule compares one score with one threshold: for the margin that is the second
    number, for any other score the first one; the number that it does not look at is 0.
    """
    if isinstance(rule, Fixed):
        return rule.similarity, rule.margin
    fitted = rule.thing
    return (0.0, fitted.threshold) if fitted.score == "margin" else (fitted.threshold, 0.0)


def described(rule: Fixed | Fitted, stale: str) -> dict[str, Any]:
    """The rule for people and programs."""
    if isinstance(rule, Fixed):
        return {"kind": "fixed", "similarity": rule.similarity, "margin": rule.margin}
    fitted = rule.thing
    return {
        "kind": "calibrated",
        "score": fitted.score,
        "threshold": fitted.threshold,
        "fpir": fitted.fpir,
        "regions": fitted.regions,
        "frame_regions": rule.photo.regions,
        "date": fitted.date,
        "stale": stale,
    }
