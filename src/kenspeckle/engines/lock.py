"""The lock file of the model home: which commit and which bytes a hub gave the first time.

    {"version": 1, "models": {"org/name": {"commit": "…", "licence": "…",
        "files": {"config.json": {"sha256": "…", "bytes": 4186}, …}}}}

A hub can change what stands under a name. The first pull writes down what it got; every later one,
and every load, must find the same.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from kenspeckle._aside import written
from kenspeckle.engines.recipes import read_json
from kenspeckle.errors import ModelError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

FILE = "models.lock.json"
TURN = ".turn"
"""The file in the model home that whoever changes the home holds locked."""


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
        raise ModelError(path, f"version {data.get('version')}", expected="version 1")
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
            path,
            "damaged",
            expected="what `kenspeckle models pull` wrote",
            do="Move it away and pull the models anew",
        ) from error


def write_lock(home: Path, source: str, locked: Locked) -> None:
    """Record one model, keeping the others. The file is replaced at once or not at all."""
    with alone(home):
        _record(home, source, locked)


@contextmanager
def staged(home: Path) -> Iterator[Path]:
    """A folder for files that are not all here or not checked yet; gone when the block ends.

    A model that is used meanwhile keeps its files until all of the new ones are here and right.
    Raises ModelError where the home cannot be written.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home, prefix="staged-") as place:
            yield Path(place)
    except OSError as error:
        raise ModelError(
            home,
            f"no model can be put there ({error.strerror or error})",
            do="Free space, change its permissions, or name another folder as models.home",
        ) from error


def install(
    staging: Path, folder: Path, source: str, locked: Locked, former: Locked | None
) -> None:
    """Move checked files into a model's folder, and record what the model has to be from now on.

    `staging` holds those of `locked.files` that are not in `folder` already, and `folder` is in
    the model home. `former` is what the caller found recorded. Files of it that the model has no
    more are erased, since a loader might prefer them. Raises ModelError if another process has
    recorded something else meanwhile.
    """
    home = folder.parent
    with alone(home):
        now = read_lock(home).get(source)
        if now not in (former, locked):
            raise ModelError(
                source, "another process has just pulled other files of it", do="Try again"
            )
        folder.mkdir(exist_ok=True)
        for name in locked.files:
            if (staging / name).is_file():
                (staging / name).replace(folder / name)
        for name in set(former.files if former else ()) - set(locked.files):
            (folder / name).unlink(missing_ok=True)
        _record(home, source, locked)


def _record(home: Path, source: str, locked: Locked) -> None:
    models = {**read_lock(home), source: locked}
    data = {"version": 1, "models": {name: asdict(models[name]) for name in sorted(models)}}
    write_json(home / FILE, data)


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Change the model home while no other thread or process does; waits for its turn.

    The turn is the system's lock on a small file, which ends with the process that holds it.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / TURN).open("ab") as file:
        if sys.platform == "win32":
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if sys.platform == "win32":
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)


def write_json(path: Path, data: Mapping[str, object]) -> None:
    """Write a JSON file by atomic replace, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written(path) as file:
        file.write((json.dumps(data, indent=1) + "\n").encode())
