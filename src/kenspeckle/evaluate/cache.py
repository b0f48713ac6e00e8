"""Vectors kept between runs: a picture is embedded once for each thing that could change them.

What is kept is found again only under the same space (weights, recipe, width, head), the same bytes
of the picture file, the same intake, the same region (rule or box) and the same code that finds and
cuts regions. Whatever of these changes makes another key, so there is nothing to clear by hand. The
file is an SQLite database, which a kill leaves whole and several processes may share; every record
carries a checksum and is made anew when it does not fit.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
import PIL

from kenspeckle import __version__, image, regions, vectors
from kenspeckle._extras import has
from kenspeckle.config import ImageSettings, user_folder
from kenspeckle.errors import GalleryError, InputError, MissingExtra, ModelError
from kenspeckle.image.decode import decode, read
from kenspeckle.regions.base import cut, effective, split
from kenspeckle.types import Box, Float32, Intake, Picture, Region
from kenspeckle.vectors.base import Embedder
from kenspeckle.vectors.pipeline import Done, pooled

FILE = "vectors-1.sqlite"
"""The number is that of the format: another format takes another file."""

WAIT = 60.0
"""Seconds to wait for another process that writes."""

BATCH, SECONDS = 64, 2.0
"""Pictures and time after which new vectors are written: at most this much is lost by a kill."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS vectors (
    key TEXT PRIMARY KEY, space TEXT NOT NULL, regions TEXT NOT NULL,
    rows BLOB NOT NULL, sum BLOB NOT NULL
) WITHOUT ROWID
"""


_PUT = "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?, ?)"


class Finder(Protocol):
    """What finds regions in a picture, such as a detector.

    `key` says everything that its regions depend on: weights, threshold, least size, suppression.
    """

    @property
    def key(self) -> str:
        """The same text only for the same regions."""

    def __call__(self, picture: Picture) -> Sequence[Region]:
        """The regions of a picture; may be none."""


Asked = str | tuple[Box, ...] | Finder
"""A region rule by name, boxes in pixels, or a finder."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The regions of a picture file whose vectors are wanted."""

    path: Path
    regions: Asked = "whole"

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class Found:
    """The regions of a picture and their unit rows `(K, D)` float32, in the same order."""

    sha256: str
    regions: tuple[Region, ...]
    rows: Float32


@dataclass(frozen=True, slots=True)
class _Entry:
    regions: tuple[Region, ...]
    rows: Float32


class VectorCache:
    """Vectors by key in the file of a folder; in memory, and forgotten, where `folder` is None.

    Safe to share between threads and between processes. `embedded` counts the regions that were
    embedded through it, `damaged` the records that were unreadable and made anew.

    Raises GalleryError where the folder cannot be used.
    """

    def __init__(self, folder: Path | None) -> None:
        self.path = folder / FILE if folder is not None else None
        self.embedded = self.damaged = 0
        self._lock = threading.Lock()
        self._pending: dict[str, tuple[str, str, bytes]] = {}
        self._written = time.monotonic()
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            self._base = _opened(self.path)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def __enter__(self) -> VectorCache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write what is not written yet and give the file back."""
        with self._lock:
            self._write()
            self._base.close()

    def get(self, keys: Iterable[str], width: int) -> dict[str, _Entry]:
        """What is kept under these keys and passes its check; missing ones are absent."""
        found = {}
        for key in keys:
            with self._lock:
                held = self._pending.get(key)
                record = (*held[1:], _sum(key, *held[1:])) if held else self._record(key)
            if record is None:
                continue
            entry = _entry(key, *record, width)
            if entry is None:
                with self._lock:
                    self.damaged += 1
            else:
                found[key] = entry
        return found

    def put(self, space: str, entries: Mapping[str, _Entry]) -> None:
        """Keep vectors. They are written in groups, the last ones when the cache is closed."""
        with self._lock:
            for key, entry in entries.items():
                text = json.dumps([asdict(region) for region in entry.regions])
                blob = np.ascontiguousarray(entry.rows, "<f4").tobytes()
                self._pending[key] = (space, text, blob)
                self.embedded += len(entry.regions)
            if len(self._pending) >= BATCH or time.monotonic() - self._written > SECONDS:
                self._write()

    def _record(self, key: str) -> tuple[str, bytes, bytes] | None:
        try:
            row: tuple[str, bytes, bytes] | None = self._base.execute(
                "SELECT regions, rows, sum FROM vectors WHERE key = ?", (key,)
            ).fetchone()
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        return row

    def _write(self) -> None:
        self._written = time.monotonic()
        if not self._pending:
            return
        rows = [
            (key, space, text, blob, _sum(key, text, blob))
            for key, (space, text, blob) in self._pending.items()
        ]
        try:
            with self._base:
                self._base.executemany(_PUT, rows)
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        self._pending.clear()

    def _unusable(self, error: Exception) -> GalleryError:
        return GalleryError(
            str(self.path or "vectors in memory"),
            f"kept vectors cannot be read or written ({error})",
            do="Free the disk or name another folder with --cache, or use --no-cache",
        )


def _opened(path: Path | None) -> sqlite3.Connection:
    """The database; one that is damaged is put aside, since all of it can be made anew."""
    try:
        return _connected(path)
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if path is None or code not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise
    with contextlib.suppress(FileNotFoundError):  # another process was faster
        path.replace(path.with_name(f"{path.name}.damaged"))
    return _connected(path)


def _connected(path: Path | None) -> sqlite3.Connection:
    base = sqlite3.connect(path or ":memory:", timeout=WAIT, check_same_thread=False)
    try:
        base.execute(_SCHEMA)
        base.commit()
    except BaseException:
        base.close()
        raise
    return base


def _sum(key: str, text: str, blob: bytes) -> bytes:
    return hashlib.sha256(b"\0".join((key.encode(), text.encode(), blob))).digest()[:16]


def _entry(key: str, text: object, blob: object, found: object, width: int) -> _Entry | None:
    """A record as it was put, or None when it is not what it was."""
    if not isinstance(text, str) or not isinstance(blob, bytes) or _sum(key, text, blob) != found:
        return None
    parts = tuple(_region(data) for data in json.loads(text))
    rows = np.frombuffer(blob, "<f4")
    if rows.size != len(parts) * width:
        return None
    return _Entry(parts, rows.reshape(len(parts), width).astype(np.float32))


def _region(data: dict[str, object]) -> Region:
    box, corners = data["box"], data["corners"]
    fixed = Region(**{**data, "box": tuple(box), "corners": None})  # type: ignore[arg-type]
    if corners is None:
        return fixed
    points = tuple((float(x), float(y)) for x, y in corners)  # type: ignore[attr-defined]
    return replace(fixed, corners=points)


def default_folder() -> Path:
    """Where vectors are kept when no folder is named: the user's cache folder."""
    return user_folder("cache") / "vectors"


def cached_vectors(
    embedder: Embedder,
    wanted: Sequence[Wanted],
    cache: VectorCache,
    *,
    intake: Intake | None = None,
    limits: ImageSettings | None = None,
    callers: int = 0,
) -> Iterator[Done[Wanted, Found]]:
    """The vectors of the wanted regions, in order; only what `cache` lacks is embedded.

    A rule is kept part by part (whole, center, windows, quad) and boxes one by one, so a rule or a
    list of boxes that shares a part with an earlier one embeds the rest only. A picture that cannot
    be read or has no such box comes back as its error, and the others go on.

    Raises GalleryError where the cache cannot be used, ModelError, MissingExtra.
    """
    intake, limits = intake or Intake(), limits or ImageSettings()
    prefix = json.dumps([embedder.space_id, asdict(intake), _code()], sort_keys=True)

    def work(one: Wanted) -> Found:
        data = read(one.path, limits)
        sha256 = hashlib.sha256(data).hexdigest()
        parts = _parts(one.regions)
        keys = {part: _key(prefix, sha256, part) for part in parts}
        have = cache.get(keys.values(), embedder.width)
        missing = [part for part in dict.fromkeys(parts) if keys[part] not in have]
        if missing:
            picture = decode(data, name=str(one.path), intake=intake, limits=limits)
            made = {keys[part]: _embedded(embedder, picture, part) for part in missing}
            cache.put(embedder.space_id, made)
            have |= made
        entries = [have[keys[part]] for part in parts]
        none = np.empty((0, embedder.width), np.float32)
        rows = np.concatenate([none, *(entry.rows for entry in entries)])
        return Found(sha256, tuple(r for entry in entries for r in entry.regions), rows)

    for done in pooled(wanted, work, callers):
        if isinstance(done.error, GalleryError | ModelError | MissingExtra):
            raise done.error  # no fault of the picture: the next one would fail as well
        yield done


_Part = str | Box | Finder


def _parts(asked: Asked) -> list[_Part]:
    if isinstance(asked, str):
        return list(effective(asked).split("+"))
    return list(asked) if isinstance(asked, tuple) else [asked]


def _key(prefix: str, sha256: str, part: _Part) -> str:
    if isinstance(part, str):
        name = f"rule {part}" + (f" {_opencv()}" if part == "quad" else "")
    elif isinstance(part, tuple):
        name = f"box {','.join(map(str, part))}"
    else:
        name = f"finder {part.key}"
    return hashlib.sha256(f"{prefix}\n{sha256}\n{name}".encode()).hexdigest()


def _embedded(embedder: Embedder, picture: Picture, part: _Part) -> _Entry:
    if isinstance(part, str):
        found = split(picture, part)
        if part not in ("whole", "center"):  # these rules name the whole picture beside their own
            found = tuple(region for region in found if region.kind != "whole")
    elif isinstance(part, tuple):
        found = (_inside(picture, part),)
    else:
        found = tuple(part(picture))
    rows = embedder.vectors([cut(picture.image, region) for region in found])
    return _Entry(found, rows)


def _inside(picture: Picture, box: Box) -> Region:
    """A box as a region, cut at the picture's edges. Raises InputError where nothing is left."""
    width, height = picture.size
    x0, y0, x1, y1 = max(box[0], 0), max(box[1], 0), min(box[2], width), min(box[3], height)
    if x0 >= x1 or y0 >= y1:
        raise InputError(
            picture.name, f"the box {box}", expected=f"a box inside {width} × {height} pixels"
        )
    return Region((x0, y0, x1, y1), "box")


@lru_cache(maxsize=1)
def _code() -> str:
    """Stands for the code between the bytes of a picture and the input of a model."""
    digest = hashlib.sha256(f"{__version__} {PIL.__version__}".encode())
    for room in (image, regions, vectors):
        for folder in map(Path, room.__path__):
            for path in sorted(folder.glob("*.py")):
                digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


@lru_cache(maxsize=1)
def _opencv() -> str:
    if not has("cv2"):
        return ""
    import cv2

    return str(cv2.__version__)
