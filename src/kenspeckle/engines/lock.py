"""The lock file of the model home: which commit and which bytes a hub gave the first time.

    {"version": 1, "models": {"org/name": {"commit": "…", "licence": "…",
        "files": {"config.json": {"sha256": "…", "bytes": 4186}, …}}}}

A hub can change what stands under a name. The first pull writes down what it got; every later one,
and every load, must find the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from kenspeckle._aside import written
from kenspeckle.engines.recipes import read_json
from kenspeckle.errors import ModelError

FILE = "models.lock.json"


@dataclass(frozen=True, slots=True)
class LockedFile:
    """What one file has to be."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Locked:
    """What one model has to be: the commit of the hub and every file by its name."""

    commit: str
    files: Mapping[str, LockedFile]
    licence: str = ""


def read_lock(home: Path) -> dict[str, Locked]:
    """Every locked model by its source (`org/name`). Raises ModelError for a damaged lock."""
    path = home / FILE
    if not path.is_file():
        return {}
    data = read_json(path)
    if data.get("version") != 1:
        raise ModelError(str(path), f"version {data.get('version')}", expected="version 1")
    try:
        return {
            source: Locked(
                str(entry["commit"]),
                {
                    name: LockedFile(str(file["sha256"]), int(file["bytes"]))
                    for name, file in entry["files"].items()
                },
                str(entry.get("licence", "")),
            )
            for source, entry in data["models"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            str(path),
            "damaged",
            expected="what `kenspeckle models pull` wrote",
            do="Move it away and pull the models anew",
        ) from error


def write_lock(home: Path, source: str, locked: Locked) -> None:
    """Record one model, keeping the others. The file is replaced at once or not at all."""
    models = {**read_lock(home), source: locked}
    data = {"version": 1, "models": {name: asdict(models[name]) for name in sorted(models)}}
    write_json(home / FILE, data)


def write_json(path: Path, data: Mapping[str, object]) -> None:
    """Write a JSON file by atomic replace, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written(path) as file:
        file.write((json.dumps(data, indent=1) + "\n").encode())
