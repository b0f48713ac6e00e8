"""What the service says about its state: alive, ready, and everything in detail."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kenspeckle import __version__

if TYPE_CHECKING:
    from kenspeckle.gallery import Gallery
    from kenspeckle.serve.lookout import Seen
    from kenspeckle.serve.resident import Standing
    from kenspeckle.serve.service import Service


def phase(service: Service, seen: Mapping[str, Seen] | None = None) -> str:
    """`loading`, `ready`, `stopping`, or `failing` where the index of a gallery cannot be read.

    `seen` is what the lookout has just said, if it was asked already.
    """
    if service.stopping:
        return "stopping"
    if not service.ready:
        return "loading"
    found = service.lookout.seen() if seen is None else seen
    failing = any(one.trouble is not None and one.trouble.failing for one in found.values())
    return "failing" if failing else "ready"


def report(service: Service, *, trusted: bool) -> dict[str, Any]:
    """The state of the service, true at this moment; loads nothing. Of an index that somebody holds
    it says how it was when it could be looked at the last time.

    `model_loaded` and `device` are those of the first gallery; without one, of a model that is in
    memory. Sentences about failures may name files: whoever may read is told them, everybody else
    that there was one.
    """
    standings = {one.name: one for one in service.models.standings()}
    seen = service.lookout.seen()
    galleries = {
        name: _gallery(one, seen[name], trusted) for name, one in service.galleries.items()
    }
    names = [one["model"] for one in galleries.values()]
    if not names:
        names = [one.name for one in standings.values() if one.loaded]
    first = standings.get(names[0]) if names else None
    asked = service.settings.models.device
    return {
        "phase": phase(service, seen),
        "model_loaded": first is not None and first.loaded,
        "device": (first.device if first is not None else "") or asked,
        "version": __version__,
        "uptime_seconds": round(time.time() - service.started, 1),
        "requests_in_flight": service.in_flight,
        "surfaces": [surface.name for surface in service.surfaces],
        "access": service.access.state(),
        "access_failing": bool(service.access.trouble),
        "galleries": galleries,
        "models": [_model(one, asked, trusted) for one in standings.values()],
        "queues": _queues(service, trusted),
    }


def _gallery(gallery: Gallery, seen: Seen, trusted: bool) -> dict[str, Any]:
    """A gallery: what it holds, and whether its index can be read.

    Whether it is calibrated is `None` where that cannot be read either.
    """
    trouble = seen.trouble
    return {
        "references": len(gallery),
        "model": gallery.store.manifest.fingerprint.model,
        "calibrated": seen.calibrated,
        "stale": seen.stale,
        "last_failure": _shown(trouble.sentence if trouble else "", trusted),
        "failing": trouble is not None and trouble.failing,
        "trouble_since": trouble.since if trouble else "",
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
