"""The Python API: a gallery of your things, and the questions it answers.

>>> from kenspeckle import Gallery
>>> with Gallery.create("things.ken") as gallery:  # doctest: +SKIP
...     report = gallery.index("pictures/")
...     answer = gallery.identify("photo.jpg")
...     print(answer.label or "none of these", answer.confidence, answer.reasons)
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from kenspeckle.catalog.entry import Entry, base_of
from kenspeckle.catalog.folder import scan
from kenspeckle.catalog.naming import Scheme, name_item, named_by_file
from kenspeckle.catalog.sync import Plan, plan
from kenspeckle.config import Settings
from kenspeckle.errors import GalleryError, InputError
from kenspeckle.flows import calibrate, index
from kenspeckle.flows.identify import identify
from kenspeckle.flows.index import IndexReport, Progress
from kenspeckle.flows.opened import (
    Opened,
    absolute,
    default_path,
    matching_embedder,
    new_manifest,
    stale,
    with_views,
)
from kenspeckle.image.decode import decode, read
from kenspeckle.image.fetch import fetch
from kenspeckle.image.in_memory import in_memory
from kenspeckle.match.similar import look_alikes
from kenspeckle.store.base import Manifest, Store, Summary
from kenspeckle.store.open import copy_store, create_store, open_store, peek
from kenspeckle.types import Calibration, Candidate, Decision, Item, Picture, Reference
from kenspeckle.vectors.base import Embedder
from kenspeckle.vectors.embed import open_embedder

Source = str | os.PathLike[str] | bytes | BinaryIO | Picture | Image | NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Info:
    """What a gallery says of itself: `summary` as `peek` reads it, and what only an open one knows.

    `memory` are the bytes of its vectors in memory, `views` the enrolled camera views. `stale`
    says why the calibration no longer fits, empty when it does.
    """

    summary: Summary
    views: int
    memory: int
    stale: str


class Gallery:
    """Items with their reference pictures, kept in one index file.

    Opened with `write=True` (or created) it can be changed; one process writes at a time, any
    number read and see what is committed. The model is loaded when the first picture is asked
    about. Calls may come from several threads.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store, self._settings = store, with_views(store, settings)
        self._embedder: Embedder | None = None
        self._lock = Lock()

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        *,
        settings: Settings | None = None,
        exist_ok: bool = False,
    ) -> Self:
        """Make an index file; with `exist_ok` open the one that is there, for writing.

        Raises GalleryError if it is there already, ModelError, IndexReadOnly.
        """
        settings = settings or Settings()
        if exist_ok and Path(path).exists():
            return cls.open(path, settings=settings, write=True)
        if Path(path).exists():
            raise GalleryError(
                str(path), "it exists", expected="a new file", do="Open it, or name another"
            )
        embedder = open_embedder(settings.models)
        manifest = new_manifest(embedder, settings)
        gallery = cls(create_store(path, manifest), settings)
        gallery._embedder = embedder
        return gallery

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] = "",
        *,
        settings: Settings | None = None,
        write: bool = False,
    ) -> Self:
        """Open an index file; without a path `gallery.ken`, else `card_index.npz`.

        Raises IndexMissing, IndexCorrupt, IndexVersion, and with `write` IndexReadOnly.
        """
        settings = settings or Settings()
        return cls(
            open_store(path or default_path(settings), write=write, named=named_by_file), settings
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file and the model."""
        self._store.close()
        if self._embedder is not None:
            self._embedder.close()

    def __len__(self) -> int:
        return len(self._store)

    # Changing it

    def plan(
        self,
        refs: str | os.PathLike[str],
        *,
        table: str | os.PathLike[str] | None = None,
        rehash: bool = False,
        flat: bool = False,
    ) -> Plan:
        """What `index` would do with this folder or table. Changes nothing. CatalogError."""
        return self._planned(refs, table, rehash, flat)[0]

    def index(
        self,
        refs: str | os.PathLike[str],
        *,
        table: str | os.PathLike[str] | None = None,
        rehash: bool = False,
        flat: bool = False,
        replace_all: bool = False,
        progress: Progress | None = None,
    ) -> IndexReport:
        """Make the gallery equal to a folder (or a table) of references; embed only what changed.

        Pictures that cannot be used are named in the report, the others go on. What was added by
        `add` stays. Calibrates anew unless nothing changed or the settings say not to. With `flat`
        folders below `refs` are left out, and formats other than JPEG, PNG and WebP.
        Raises CatalogError, GalleryError (another folder that lacks most of what is stored, unless
        `replace_all`), ModelError.
        """
        work, listing_notes, skipped, scheme = self._planned(refs, table, rehash, flat)
        if not replace_all:
            index.guard(self._store, work, absolute(refs))
        if work.add or work.change:
            report = index.index(self._opened(), work, progress)
            if len(report.failed) == len(work.add) + len(work.change) and not len(self._store):
                raise InputError(
                    str(refs),
                    f"none of {len(report.failed)} pictures could be read, the first because "
                    f"{report.failed[0][1]}",
                )
        else:
            report = index.rearrange(self._store, work)
        manifest = self._store.manifest
        now = replace(manifest, naming=scheme, refs=absolute(refs))
        if now != manifest:
            self._store.set_manifest(now)
        report = replace(report, skipped=skipped, notes=listing_notes)
        return self._finished(report)

    def add(
        self,
        source: Source,
        *,
        label: str = "",
        key: str = "",
        variant: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> int:
        """Enrol one picture; returns the id of its reference.

        Without a label the file's name gives it, by the gallery's naming scheme. A later `index`
        leaves it alone. Makes the calibration stale. Raises PictureError, FetchError.
        """
        name, data = self._bytes(source)
        named = name_item(label or Path(name).stem, _scheme(self._store.manifest))
        key = key or named.key
        reference = Reference(
            key=key,
            label=self._label(key) or label or named.label,
            path=name,
            variant=variant or ("" if label else named.variant),
            size=len(data),
            origin="added",
            metadata={**named.metadata, **(metadata or {})},
        )
        opened = self._opened()
        return self._store.add(index.enrol(opened, Entry(reference, name), data))[0]

    def remove(self, *names: str) -> int:
        """Erase items by key or label, or references by path; how many references went.

        Vectors and thumbnails are erased too. GalleryError names one that is not there.
        """
        going: set[int] = set()
        for name in names:
            found = [
                number
                for number, reference in self._store.references()
                if name in (reference.key, reference.label, reference.path)
            ]
            if not found:
                raise GalleryError(
                    name,
                    "not in this gallery",
                    expected="a key, a label or a path",
                    do="See `kenspeckle list`",
                )
            going.update(found)
        return self._store.remove(sorted(going))

    def calibrate(self, seconds: float = 60.0) -> Calibration | None:
        """Fit the rule for unknowns from the gallery itself, and store it."""
        calibration = calibrate.quick(self._opened(), seconds=seconds)
        self._store.set_calibration(calibration)
        return calibration

    # Asking it

    def identify(self, source: Source) -> Decision:
        """Which item a photo shows, or that it is none of them, with the reasons.

        `source` is a path, an address, bytes, a file object or a Picture. Raises PictureError,
        FetchError, SpaceMismatch, ModelError.
        """
        opened = self._opened()
        return identify(opened, self.picture(source))

    def search(self, source: Source, top: int = 10) -> list[Candidate]:
        """The items most like a whole picture, best first; nothing is decided."""
        opened = self._opened()
        settings = replace(self._settings.identify, regions="whole", top=top)
        whole = replace(opened, settings=replace(self._settings, identify=settings))
        return list(identify(whole, self.picture(source)).candidates)

    def picture(self, source: Source) -> Picture:
        """Read a picture within the limits of the settings.

        A Pillow image and an array `(height, width, 3)` uint8, RGB, are taken as they are. Raises
        PictureError, FetchError.
        """
        if isinstance(source, Picture):
            return source
        if isinstance(source, (Image, np.ndarray)):
            return in_memory(source)
        if isinstance(source, str) and _is_address(source):
            data = fetch(source, self._settings.image)
            return decode(data, name=source, limits=self._settings.image)
        if not isinstance(source, (str, os.PathLike, bytes)) and not hasattr(source, "read"):
            raise InputError(
                "picture", f"a {type(source).__name__}", expected="a path, bytes, a file or pixels"
            )
        return decode(source, limits=self._settings.image)

    def items(self) -> list[Item]:
        """All items, by key."""
        return self._store.items()

    def references(self, key: str = "") -> list[Reference]:
        """References, all or of one item, by path; enrolled views left out."""
        return [
            reference
            for _, reference in self._store.references()
            if not reference.view and key in ("", reference.key)
        ]

    def thumbnail(self, reference_id: int) -> bytes:
        """The small JPEG kept of a reference, empty if there is none."""
        return self._store.thumbnail(reference_id)

    @property
    def folder(self) -> Path:
        """Where the paths of listed references start: the folder indexed, else the setting's."""
        return base_of(self._store.manifest.refs or self._settings.index.refs)

    @property
    def calibration(self) -> Calibration | None:
        """The rule in force, or None."""
        return self._store.calibration()

    @property
    def stale(self) -> str:
        """Why the calibration no longer fits the gallery; empty when it does or there is none."""
        return stale(self._store, self.calibration, self._settings.identify)

    def export(self, path: str | os.PathLike[str]) -> int:
        """Copy everything into a new file; how many references.

        `.npz` by that suffix, an index file by any other name; so a gallery made of one becomes
        the other. Raises GalleryError if the file is there, IndexReadOnly.
        """
        return copy_store(self._store, path)

    @property
    def store(self) -> Store:
        """The store behind it, for exports and measurements."""
        return self._store

    @property
    def embedder(self) -> Embedder:
        """The model behind it. Raises SpaceMismatch when it is not the one of the index."""
        return self._opened().embedder

    def info(self) -> Info:
        """Size, counts, model and calibration. Loads no model."""
        summary = peek(self._store.path)
        return Info(
            summary=summary,
            views=summary.vectors - summary.references,
            memory=self._store.memory(),
            stale=self.stale,
        )

    # Inside

    def _opened(self) -> Opened:
        with self._lock:
            if self._embedder is None:
                store = self._store
                self._embedder = matching_embedder(store.path, store.manifest, self._settings)
        self._store.refresh()
        return Opened(self._store, self._embedder, self._settings)

    def _planned(
        self,
        refs: str | os.PathLike[str],
        table: str | os.PathLike[str] | None,
        rehash: bool,
        flat: bool,
    ) -> tuple[Plan, tuple[str, ...], tuple[tuple[str, str], ...], str]:
        self._store.refresh()
        stored = self._store.manifest.naming
        asked = self._settings.index.naming
        naming = stored if asked == "auto" and len(self._store) else asked
        label_from = self._settings.index.label_from
        listing = scan(refs, naming=naming, table=table, label_from=label_from, flat=flat)
        work = plan(listing, index.listed(self._store), rehash=rehash)
        return work, listing.notes, listing.skipped, listing.scheme

    def _finished(self, report: IndexReport) -> IndexReport:
        """The quick calibration and, by what it measured, look-alikes, where anything changed."""
        calibration, wanted = self.calibration, self._settings.index.calibrate
        changed = report.added + report.changed + report.removed + report.relabelled
        if wanted and len(self._store) and (calibration is None or self.stale):
            calibration = self.calibrate(min(max(5.0, report.seconds), 60.0))
        pairs = look_alikes(self._store) if changed else ()
        return replace(report, look_alikes=tuple(pairs), calibration=calibration)

    def _label(self, key: str) -> str:
        """The label of an enrolled item, empty if there is none: one item has one name."""
        found = self._store.select({"key": key})
        return self._store.get(found[:1].tolist())[0].label if len(found) else ""

    def _bytes(self, source: Source) -> tuple[str, bytes]:
        limits = self._settings.image
        if isinstance(source, (Picture, Image, np.ndarray)):
            raise InputError("picture", "decoded pixels", expected="a file, bytes or an address")
        if isinstance(source, str) and _is_address(source):
            return source, fetch(source, limits)
        if isinstance(source, (str, os.PathLike)):
            return absolute(os.fspath(source)), read(source, limits)
        data = source if isinstance(source, bytes) else source.read(limits.max_bytes + 1)
        return f"added/{hashlib.sha256(data).hexdigest()[:16]}", data


def _scheme(manifest: Manifest) -> Scheme:
    return "cards" if manifest.naming == "cards" else "plain"


def _is_address(source: str) -> bool:
    return source.lower().startswith(("http://", "https://"))
