"""What the service says about its state: alive, ready, and everything in detail."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from kenspeckle import __version__

if TYPE_CHECKING:
    from kenspeckle.gallery import Gallery
    from kenspeckle.serve.service import Service


def phase(service: Service) -> str:
    """`loading`, `ready` or `stopping`."""
    if service.stopping:
        return "stopping"
    return "ready" if service.ready else "loading"


def report(service: Service) -> dict[str, Any]:
    """The state of the service, true at this moment; loads nothing."""
    galleries = {name: _gallery(service, one) for name, one in service.galleries.items()}
    return {
        "phase": phase(service),
        "version": __version__,
        "uptime_seconds": round(time.time() - service.started, 1),
        "requests_in_flight": service.in_flight,
        "surfaces": [surface.name for surface in service.surfaces],
        "galleries": galleries,
    }


def _gallery(service: Service, gallery: Gallery) -> dict[str, Any]:
    scheduler = service.scheduler_of(gallery)
    made_by = gallery.store.manifest.fingerprint
    calibration = gallery.calibration
    return {
        "references": len(gallery),
        "model": made_by.model,
        "calibrated": calibration is not None,
        "stale": gallery.stale,
        "queue": {
            "depth": scheduler.depth,
            "running": scheduler.running,
            "capacity": scheduler.capacity,
        },
        "last_failure": scheduler.last_failure,
    }
