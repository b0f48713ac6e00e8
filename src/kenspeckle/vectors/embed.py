"""Opening a model, and pictures to unit vectors by it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kenspeckle.config import ModelSettings
from kenspeckle.engines import files, table
from kenspeckle.engines.base import Engine
from kenspeckle.errors import ModelError
from kenspeckle.types import Fingerprint, Float32
from kenspeckle.vectors.admit import admitted
from kenspeckle.vectors.base import Embedder, unit_rows
from kenspeckle.vectors.gather import Gather
from kenspeckle.vectors.head import Head, read_head
from kenspeckle.vectors.pipeline import timed
from kenspeckle.vectors.preprocess import tensor
from kenspeckle.vectors.probe import batch_size

if TYPE_CHECKING:
    from PIL.Image import Image

    from kenspeckle.vectors.pipeline import StageTimes
    from kenspeckle.vectors.preprocess import Size

DEFAULTS = ModelSettings()

Loader = Callable[[table.ModelRow, files.ModelFiles, str], tuple[Engine, str]]
"""Loads a model onto a device: the engine, and why it is another device than the one asked for."""


@dataclass(slots=True)
class _Loaded:
    """A network in memory: calls that run on it, and whether it goes when the last one is done."""

    engine: Engine
    note: str
    batch: int
    gather: Gather | None
    users: int = 0
    leaving: bool = False


class ModelEmbedder:
    """A model with its recipe and, where one is named, its head. See `Embedder`.

    The network is loaded when the first vector is asked for; the fingerprint of every model whose
    width is known comes without. `load` brings the network; it is another one in tests only.
    """

    def __init__(
        self, row: table.ModelRow, settings: ModelSettings, load: Loader = admitted
    ) -> None:
        self._row, self._settings, self._loader = row, settings, load
        self._files = files.locate(row, settings)
        self._head = _head(settings.head, row) if settings.head else None
        self._lock = threading.Lock()
        self._held: _Loaded | None = None
        self._width = self._files.width
        if self._width:
            self._check_head(self._width)

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """See `Embedder`."""
        head = self._head.sha256 if self._head else ""
        return Fingerprint(self._row.name, self._files.sha256, self._files.recipe, self.width, head)

    @property
    def space_id(self) -> str:
        """See `Embedder`."""
        return self.fingerprint.space_id

    @property
    def width(self) -> int:
        """See `Embedder`."""
        if self._head is not None:
            return self._head.out_width
        return self._width or self._loaded().width

    @property
    def device(self) -> str:
        """See `Embedder`."""
        return self._loaded().device

    @property
    def note(self) -> str:
        """See `Embedder`."""
        with self._using() as held:
            return held.note

    @property
    def joined(self) -> int:
        """See `Embedder`."""
        held = self._held
        return held.batch if held is not None and held.gather is not None else 1

    @cached_property
    def cohort(self) -> Float32 | None:
        """See `Embedder`."""
        path = self._files.cohort
        if path is None:
            return None
        row = next(r for r in table.MODELS if r.sha256 == self._files.sha256)
        rows = read_cohort(path, row.cohort_keys, row.cohort_sha256)
        return self._head.apply(rows) if self._head else rows

    def vector(
        self, image: Image, times: StageTimes | None = None, full: Size | None = None
    ) -> Float32:
        """See `Embedder`."""
        planes = tensor(image, self._files.recipe, times, full)
        with self._using() as held, timed(times, "model"):
            rows: Float32 = self._run(held, planes[None])
        row: Float32 = rows[0]
        return row

    def vectors(self, images: Sequence[Image], times: StageTimes | None = None) -> Float32:
        """See `Embedder`."""
        if len(images) == 1:
            return self.vector(images[0], times)[None]
        rows: list[Float32] = []
        with self._using() as held:
            for start in range(0, len(images), held.batch):
                some = images[start : start + held.batch]
                planes = np.stack([tensor(image, self._files.recipe, times) for image in some])
                with timed(times, "model"):
                    rows.append(self._run(held, planes))
        return np.concatenate(rows) if rows else np.empty((0, self.width), np.float32)

    def close(self) -> None:
        """See `Embedder`."""
        with self._lock:
            held, self._held = self._held, None
            self.__dict__.pop("cohort", None)  # read again when it is asked for
            if held is not None:
                held.leaving = True
                if not held.users:
                    held.engine.close()

    def _run(self, held: _Loaded, planes: Float32) -> Float32:
        raw = held.gather.rows(planes) if held.gather else held.engine.run(planes)
        rows = unit_rows(raw, self._row.name)
        return self._head.apply(rows) if self._head else rows

    @contextmanager
    def _using(self) -> Iterator[_Loaded]:
        """The network, loaded if it is not; it stays open until the block is left."""
        with self._lock:
            if self._held is None:
                self._held = self._load()
            held = self._held
            held.users += 1
        try:
            yield held
        finally:
            with self._lock:
                held.users -= 1
                if held.leaving and not held.users:
                    held.engine.close()

    def _loaded(self) -> Engine:
        with self._using() as held:
            return held.engine

    def _load(self) -> _Loaded:
        engine, note = self._loader(self._row, self._files, self._settings.device)
        if self._files.width not in (0, engine.width):
            raise ModelError(
                self._row.name, f"{engine.width} columns", expected=f"{self._files.width}"
            )
        self._check_head(engine.width)
        self._width = engine.width
        home, batch = files.home(self._settings), 1
        # The embedded models gain nothing from batches on a CPU: no need to measure it again.
        if self._row.origin not in ("embedded", "made") or engine.device != "cpu":
            batch = batch_size(engine, self._files.sha256, self._files.recipe, home)
        # On a CPU a batch of several callers would leave all cores but one idle.
        gathers = batch > 1 and engine.device != "cpu"
        return _Loaded(engine, note, batch, Gather(engine.run, batch) if gathers else None)

    def _check_head(self, width: int) -> None:
        if self._head is not None and self._head.in_width != width:
            raise ModelError(
                Path(self._settings.head),
                f"a head for {self._head.in_width} columns",
                expected=f"{width}, which {self._row.name} makes",
                do="Name the model that it was trained behind",
            )


def _head(path: str, row: table.ModelRow) -> Head:
    """The head, checked against the model it says it was trained behind."""
    head = read_head(path)
    if head.model and row.origin != "local":
        try:
            trained = table.find(head.model).name
        except ModelError:
            trained = ""  # a name of its own: the width alone can tell
        if trained not in ("", row.name):
            raise ModelError(Path(path), f"a head of {trained}", expected=f"one of {row.name}")
    return head


def read_cohort(path: Path, keys: tuple[str, str], sha256: str = "") -> Float32:
    """Unit rows `(C, D)` from a cohort file: int8 rows times a scale. Raises ModelError."""
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if sha256 and found != sha256:
        raise ModelError(path, f"sha256 {found[:16]}…", expected=f"{sha256[:16]}…")
    with np.load(BytesIO(data), allow_pickle=False) as members:
        rows = members[keys[0]].astype(np.float32) * np.float32(members[keys[1]])
    return unit_rows(rows, str(path))


def open_embedder(settings: ModelSettings = DEFAULTS) -> Embedder:
    """The embedder that the settings name: model, head, device, home.

    Loads nothing yet where the table knows the width. Raises ModelError (unknown name, head that
    does not fit), ModelMissing (with the command that brings the model), UnsafeFile.

    >>> open_embedder(ModelSettings(name="dummy")).width
    192
    """
    return ModelEmbedder(table.find(settings.name), settings)
