"""Read back the JSON that `kenspeckle evaluate --json` wrote, to compare another run with it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from kenspeckle.catalog.entry import shown
from kenspeckle.errors import InputError
from kenspeckle.evaluate.result import (
    Answer,
    Counts,
    DrawFigures,
    Evaluation,
    Rate,
    RegionFigures,
)

Data = Mapping[str, Any]


def read_evaluation(path: Path) -> Evaluation:
    """The evaluation in a file, without its similarity details.

    Raises InputError for a file that cannot be read or holds something else, and for one that was
    written without its single answers.
    """
    try:
        return evaluation(json.loads(path.read_bytes()))
    except OSError as error:
        raise InputError(shown(str(path)), f"cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            shown(str(path)),
            "no evaluation with its answers",
            expected="a file of kenspeckle evaluate --json",
        ) from error


def evaluation(data: Data) -> Evaluation:
    """What `Evaluation.to_dict` made, as it was. Raises KeyError or TypeError on foreign data."""
    found = data["regions"]
    names = [one.name for one in fields(RegionFigures)]
    return Evaluation(
        name=str(data["name"]),
        folder=str(data["folder"]),
        settings=dict(data["settings"]),
        fpir=data["fpir"],
        answers=tuple(_answer(one) for one in data["answers"]),
        draws=tuple(_draw(one) for one in data["draws"]),
        rates={str(name): _rate(one) for name, one in data["rates"].items()},
        counts=tuple(_counts(one) for one in data["counts"]),
        regions=RegionFigures(*(_rate(found[name]) for name in names)) if found else None,
        excluded={str(why): int(count) for why, count in data["excluded"].items()},
        notes=tuple(map(str, data["notes"])),
        seconds=float(data["seconds"]),
        confidence_from=data["confidence_from"],
        stages={str(name): float(value) for name, value in data.get("stages", {}).items()},
    )


def _answer(data: Data) -> Answer:
    held = _known(Answer, data)
    box = held["box"]
    held |= {
        "box": None if box is None else (int(box[0]), int(box[1]), int(box[2]), int(box[3])),
        "truth": tuple(map(str, held["truth"])),
        "score": _float(held["score"], -math.inf),
        "similarity": _float(held["similarity"], math.nan),
    }
    return Answer(**held)


def _draw(data: Data) -> DrawFigures:
    held = _known(DrawFigures, data)
    rates = {str(name): _float(value, math.nan) for name, value in held["rates"].items()}
    held |= {"threshold": _float(held["threshold"], math.inf), "rates": rates}
    return DrawFigures(**held)


def _rate(data: Data) -> Rate:
    held = _known(Rate, data)
    held |= {key: _float(held[key], math.nan) for key in ("value", "low", "high")}
    return Rate(**held)


def _counts(data: Data) -> Counts:
    held = _known(Counts, data)
    for key in ("false", "missed"):
        held[key] = tuple((str(photo), str(name)) for photo, name in held.get(key, ()))
    return Counts(**held)


def _known(kind: type, data: Data) -> dict[str, Any]:
    """The entries that the type has; others come from a later release or are derived."""
    return {one.name: data[one.name] for one in fields(kind) if one.name in data}


def _float(value: float | None, absent: float) -> float:
    """JSON has no number for what is not finite."""
    return absent if value is None else float(value)
