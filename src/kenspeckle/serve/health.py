"""What the service says about its state: alive, ready, and everything in detail."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from kenspeckle import __version__

if TYPE_CHECKING:
    from kenspeckle.gallery import Gallery
    from kenspeckle.serve.resident import Standing
    from kenspeckle.serve.service import Service


def phase(service: Service) -> str:
    """`loading`, `ready` or `stopping`."""
    if service.stopping:
        return "stopping"
    return "ready" if service.ready else "loading"


def report(service: Service, *, trusted: bool) -> dict[str, Any]:
    """The state of the service, true at this moment; loads nothing.

    `model_loaded` and `device` are those of the first gallery. Sentences about failures may name
    files: whoever may read is told them, everybody else that there was one.
    """
    standings = {one.name: one for one in service.models.standings()}
    galleries = {name: _gallery(one, trusted) for name, one in service.galleries.items()}
    first = standings.get(next(iter(galleries.values()))["model"])
    asked = service.settings.models.device
    return {
        "phase": phase(service),
        "model_loaded": first is not None and first.loaded,
        "device": (first.device if first is not None else "") or asked,
        "version": __version__,
        "uptime_seconds": round(time.time() - service.started, 1),
        "requests_in_flight": service.in_flight,
        "surfaces": [surface.name for surface in service.surfaces],
        "access": service.access.state(),
        "galleries": galleries,
        "models": [_model(one, asked, trusted) for one in standings.values()],
        "queues": _queues(service, trusted),
    }


def _gallery(gallery: Gallery, trusted: bool) -> dict[str, Any]:
    return {
        "references": len(gallery),
        "model": gallery.store.manifest.fingerprint.model,
        "calibrated": gallery.calibration is not None,
        "stale": gallery.stale,
        "last_failure": _shown(gallery.trouble, trusted),
    }


def _model(one: Standing, asked: str, trusted: bool) -> dict[str, Any]:
    """A model: whether it is in memory, where it runs, and why not where it was asked to."""
    return {
        "name": one.name,
        "loaded": one.loaded,
        "pinned": one.pinned,
        "in_use": one.users,
        "idle_seconds": round(one.idle, 1),
        "device": one.device,
        "device_asked": asked,
        "note": one.note,
        "last_failure": _shown(one.failure, trusted),
    }


def _queues(service: Service, trusted: bool) -> list[dict[str, Any]]:
    return [
        {
            "model": one.name,
            "depth": one.depth,
            "running": one.running,
            "capacity": one.capacity,
            "last_failure": _shown(one.last_failure, trusted),
        }
        for one in service.models.schedulers()
    ]


def _shown(failure: str, trusted: bool) -> str:
    return failure if trusted or not failure else "there was one; a key with the scope read sees it"
