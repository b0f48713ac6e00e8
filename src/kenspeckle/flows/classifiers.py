"""The classifiers of a folder: which one stands for a collection, read anew when a file changes.

A folder holds versions of each collection's classifier and a map of the best ones:

    collection_42_classifier_2026-02-03_101500.json   ours, plain numbers
    collection_42_classifier_2025-11-30_080000.pkl    scikit-learn's, through a restricted reader
    best_models.json                                  {"42": "file"} or {"42": {"model_file": …}}
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from kenspeckle._foreign.logistic import read_logistic
from kenspeckle._foreign.machine import MAX_BYTES
from kenspeckle.errors import InputError, ModelError
from kenspeckle.match.classify import Linear, from_json

MAP = "best_models.json"
KEPT = 256
"""Most files of which the content is kept."""

_STAMPS = ("%Y-%m-%d_%H%M%S", "%Y-%m-%d")
_REQUIRED = ("model_file", "derivative_type", "embedding_type")
_NAME = re.compile(r"collection_(-?\d+)_classifier_(.+)\.(pkl|json)")
_EXPECTED = '{"42": "file name"} or {"42": {"model_file", "derivative_type", "embedding_type"}}'

T = TypeVar("T")


class Classifiers:
    """The classifiers of one folder. All calls may come from many threads at once."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._lock = threading.Lock()
        self._kept: dict[Path, tuple[tuple[int, int], Any]] = {}

    def find(self, collection: int) -> Linear | None:
        """The classifier of a collection, None where there is none.

        The map's, if the file that it names is there; else the version with the latest date in its
        name; else the one written last. Raises InputError for an entry of the map that says too
        little, ModelError and UnsafeFile for files that cannot be used, by their bare names.
        """
        entry = self._map().get(str(collection))
        if entry is not None:
            name, region, vectors = _entry(entry, collection)
            path = self._folder / name
            if path.is_file():
                found = self._read(path, _classifier)
                return replace(found, region=region, vectors=vectors) if region else found
        latest = self._latest(collection)
        return self._read(latest, _classifier) if latest is not None else None

    def _map(self) -> Mapping[str, Any]:
        path = self._folder / MAP
        return self._read(path, _read_map) if path.is_file() else {}

    def _latest(self, collection: int) -> Path | None:
        found: list[tuple[bool, float, bool, Path]] = []
        for path in self._folder.glob(f"collection_{collection}_classifier_*"):
            told = _NAME.fullmatch(path.name)
            if told is None or not path.is_file():
                continue
            stamp = _stamp(told[2])
            seconds = stamp.timestamp() if stamp else path.stat().st_mtime
            # Of two forms of one version the last decides: ours needs no foreign reader.
            found.append((stamp is not None, seconds, told[3] == "json", path))
        return max(found)[-1] if found else None

    def _read(self, path: Path, reader: Callable[[bytes, str], T]) -> T:
        """The content of a file, kept until its time or size changes."""
        try:
            state = path.stat()
            mark = (state.st_mtime_ns, state.st_size)
            with self._lock:
                kept = self._kept.get(path)
            if kept is not None and kept[0] == mark:
                value: T = kept[1]
                return value
            if state.st_size > MAX_BYTES:
                raise ModelError(
                    path.name, f"{state.st_size} bytes", expected=f"at most {MAX_BYTES}"
                )
            data = path.read_bytes()
        except OSError as error:
            raise ModelError(path.name, f"unreadable ({error.strerror})") from error
        value = reader(data, path.name)
        with self._lock:
            if len(self._kept) >= KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[path] = (mark, value)
        return value


def _classifier(data: bytes, name: str) -> Linear:
    if name.endswith(".json"):
        return from_json(data, name)
    told = read_logistic(data, name)
    return Linear(told.weights, told.bias)


def _read_map(data: bytes, name: str) -> Mapping[str, Any]:
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ModelError(name, "not a JSON file", expected=_EXPECTED) from error
    if not isinstance(told, dict):
        raise ModelError(name, f"a {type(told).__name__}", expected=_EXPECTED)
    return told


def _entry(entry: Any, collection: int) -> tuple[str, str, str]:
    """File name, region and kind of vector of an entry of the map. Raises InputError."""
    thing = f"{MAP}, entry {collection}"
    if isinstance(entry, str):
        name, region, vectors = entry, "", ""
    else:
        told = entry if isinstance(entry, dict) else {}
        values = [told.get(part) for part in _REQUIRED]
        if not all(isinstance(value, str) and value for value in values):
            raise InputError(thing, "a part is missing or not text", expected=", ".join(_REQUIRED))
        name, region, vectors = (str(value) for value in values)
    if Path(name).name != name or not name.endswith((".pkl", ".json")):
        raise InputError(
            thing, "a file elsewhere, or of another kind", expected="a .json or .pkl in its folder"
        )
    return name, region, vectors


def _stamp(text: str) -> datetime | None:
    """The date in the name of a file, None where it bears none."""
    for form in _STAMPS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None
