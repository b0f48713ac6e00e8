"""`kenspeckle info`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kenspeckle.cli import console, options, wording
from kenspeckle.flows.info import Info
from kenspeckle.gallery import Gallery
from kenspeckle.match.promise import promise_lines
from kenspeckle.types import Calibration


def info(
    index_file: options.Place = None,
    index: options.Index = None,
    regions: options.Regions = None,
    as_json: options.AsJson = False,
) -> None:
    """Show what an index holds, what made it, and what it promises."""
    path = options.once(index_file, index)
    settings = options.settings({"index.path": path, "identify.regions": regions})
    with Gallery.open(settings=settings) as gallery:
        found, calibration = gallery.info(), gallery.calibration
    if as_json:
        console.json_line(info_data(found, calibration))
        return
    console.table(("about", "value"), list(_rows(found, calibration)))


def _rows(found: Info, calibration: Calibration | None) -> list[tuple[str, str]]:
    about = found.summary
    made_by, manifest = about.manifest.fingerprint, about.manifest
    rows = [
        ("index", about.path),
        ("kind", f"{about.kind}, format {about.format}"),
        ("created", manifest.created or "-"),
        ("size", console.size(about.size)),
        ("items", f"{about.items:,}"),
        ("references", f"{about.references:,}"),
        ("camera views", f"{found.views:,}"),
        ("vectors", f"{about.vectors:,} × {made_by.width}, {console.size(found.memory)} in memory"),
        ("feedback", f"{found.confirmed:,} confirmed, {found.rejected:,} rejected"),
        ("model", made_by.model + ("" if made_by.weights else " by its width; none is named")),
        ("weights", made_by.weights or "-"),
        ("head", made_by.head or "none"),
        ("space", made_by.space_id),
        ("naming", manifest.naming),
        ("references from", manifest.refs or "-"),
        ("instructions", ", ".join(instructions()) or "baseline"),
    ]
    if calibration is not None:
        rows += [
            ("calibration", f"{calibration.method}, {calibration.date}"),
            ("rule", f"{calibration.score} above {calibration.threshold:.4g}"),
            ("regions", calibration.regions),
            ("second look", wording.second_look(calibration)),
            ("confidence", wording.confidence(calibration)),
        ]
        rows += _lines("made of", calibration.notes)
    return [*rows, *_lines("promise", promise_lines(calibration, found.stale))]


def _lines(about: str, texts: Sequence[str]) -> list[tuple[str, str]]:
    """A row a sentence; what they are about stands beside the first."""
    return [("" if place else about, text) for place, text in enumerate(texts)]


def info_data(found: Info, calibration: Calibration | None) -> dict[str, Any]:
    """What an index says of itself, as plain data for JSON."""
    about = found.summary
    return {
        "index": about.path,
        "kind": about.kind,
        "format": about.format,
        "bytes": about.size,
        "items": about.items,
        "references": about.references,
        "views": found.views,
        "vectors": about.vectors,
        "memory": found.memory,
        "feedback": {"confirmed": found.confirmed, "rejected": found.rejected},
        "space_id": about.manifest.fingerprint.space_id,
        "manifest": about.manifest.to_dict(),
        "instructions": instructions(),
        "calibration": calibration.to_dict() if calibration else None,
        "stale": found.stale,
        "promise": wording.promise(calibration, found.stale),
    }


def instructions() -> list[str]:
    """Instruction sets of this processor that numpy's array code really uses."""
    import numpy as np

    found: Any = np.show_config(mode="dicts")
    sets = found.get("SIMD Extensions", {})
    return [*sets.get("baseline", []), *sets.get("found", [])]
