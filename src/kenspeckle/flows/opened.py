"""What a flow needs of a gallery."""

from __future__ import annotations

from dataclasses import dataclass

from kenspeckle.config import Settings
from kenspeckle.regions.base import effective
from kenspeckle.store.base import Store
from kenspeckle.vectors.base import Embedder


@dataclass(frozen=True, slots=True)
class Opened:
    """A store, the embedder whose space it holds, and the settings in force."""

    store: Store
    embedder: Embedder
    settings: Settings


def stale(store: Store, regions: str) -> str:
    """Why the stored calibration does not fit the gallery or the region rule as they are now.

    Empty when it fits, and when there is none.
    """
    calibration = store.calibration()
    if calibration is None:
        return ""
    if calibration.space_id != store.manifest.fingerprint.space_id:
        return "it was fitted for another model"
    if calibration.change != store.change():
        return "references were added or removed since"
    if calibration.regions != effective(regions):
        return f"it was fitted for regions {calibration.regions}, asked are {effective(regions)}"
    return ""
