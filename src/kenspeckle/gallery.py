"""The Python API: a gallery of your things, and the questions it answers.

>>> from kenspeckle import Gallery
>>> with Gallery.create("things.ken") as gallery:  # doctest: +SKIP
...     report = gallery.index("pictures/")
...     answer = gallery.identify("photo.jpg")
...     print(answer.label or "none of these", answer.confidence, answer.reasons)
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kenspeckle.catalog.entry import base_of
from kenspeckle.catalog.folder import scan
from kenspeckle.catalog.renames import Renames, follow
from kenspeckle.catalog.sync import Plan, plan
from kenspeckle.catalog.walk import place
from kenspeckle.config import IdentifySettings
from kenspeckle.errors import InputError
from kenspeckle.flows import calibrate, enrol, feedback, given, index
from kenspeckle.flows.carry import Carried, carry
from kenspeckle.flows.handle import Handle, Source
from kenspeckle.flows.identify import Answer, answer, identify
from kenspeckle.flows.index import IndexReport, Progress, Step
from kenspeckle.flows.info import Info, info_of
from kenspeckle.flows.opened import absolute
from kenspeckle.flows.rename import rename
from kenspeckle.flows.search import nearest, text_row
from kenspeckle.match.similar import look_alikes
from kenspeckle.store.base import Enrolled
from kenspeckle.store.open import copy_store, open_store
from kenspeckle.types import (
    NO_METADATA,
    Calibration,
    Candidate,
    Decision,
    Feedback,
    Float32,
    Item,
    Reference,
)
from kenspeckle.vectors.pipeline import StageTimes, timed


class Gallery(Handle):
    """Items with their reference pictures, kept in one index file.

    Opened with `write=True` (or created) it can be changed; one process writes at a time, any
    number read and see what is committed. The model is loaded when the first picture is asked
    about. Calls may come from several threads.
    """

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
        `add` stays. Calibrates anew unless nothing changed or the settings say not to; meanwhile
        `progress` is told that all pictures are done. What it raises ends the run. With `flat`
        folders below `refs` are left out, and formats other than JPEG, PNG and WebP.
        Raises CatalogError (for a folder that vanishes meanwhile too), GalleryError (another folder
        that lacks most of what is stored, unless `replace_all`), ModelError, and IndexBusy where
        another file took the place of the index, which is left as it is.
        """
        given.places(refs=refs, table=table)
        before = place(base_of(os.fspath(refs)))
        self._store.refresh()
        edition = self._store.edition
        work, listing_notes, skipped, scheme = self._planned(refs, table, rehash, flat)
        if not replace_all:
            index.guard(self._store, work, absolute(refs))
        if work.add or work.change:
            report = index.index(self._opened(), work, edition, progress)
            if len(report.failed) == len(work.add) + len(work.change) and not len(self._store):
                raise InputError(
                    Path(refs),
                    f"none of {len(report.failed)} pictures could be read, the first because "
                    f"{report.failed[0][1]}",
                )
        else:
            report = index.rearrange(self._store, work, edition)
        index.note(self._store, scheme, absolute(refs), edition)
        index.check_there(report, base_of(os.fspath(refs)), before)
        notes = index.outdated(report, work) + listing_notes
        report = replace(report, skipped=skipped, notes=notes)
        return self._finished(report, edition, progress)

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
        given.texts(label=label, key=key, variant=variant)
        given.pairs("metadata", metadata or NO_METADATA)
        name, data = self._bytes(source)
        said = enrol.Newcomer(data, name, name, label, key, variant, metadata or NO_METADATA)
        return self.enrol([self.prepare(said)])[0]

    def prepare(self, newcomer: enrol.Newcomer) -> list[Enrolled]:
        """A picture, looked at and ready for `enrol`. Raises PictureError, InputError."""
        return enrol.prepared(self._opened(), newcomer)

    def enrol(
        self, pictures: Sequence[Sequence[Enrolled]], *, instead_of: Sequence[int] = ()
    ) -> list[int]:
        """Store what `prepare` made of pictures, all or none, in place of other references.

        Returns their ids. Makes the calibration stale. Raises GalleryError for a picture that is a
        reference of another item, NotEnrolled.
        """
        return enrol.store_all(self._store, pictures, instead_of=instead_of)

    def remove(self, *names: str) -> int:
        """Erase items by key or label, or references by path; how many references went.

        Vectors, thumbnails and what was said about them are erased too. A later `index` of their
        folder enrols again what still lies there. Makes the calibration stale. GalleryError names
        one that is not there.
        """
        for name in names:
            given.texts(name=name)
        return enrol.erase(self._store, names)

    def confirm(self, photo: Source, key: str, *, variant: str | None = None) -> Feedback:
        """Say that a photo shows the item of that key or label: it becomes a reference of it.

        A later `index` leaves it alone, and the next calibration learns from it. Makes the
        calibration stale. Without a `variant` it is taken for the print it is nearest to. Raises
        GalleryError (no such item, said before, the opposite said before, a reference already),
        PictureError, FetchError.
        """
        return self.keep(self.look(photo, "confirmed", key), variant=variant)

    def reject(self, photo: Source, key: str = "") -> Feedback:
        """Say that a photo does not show that item; without a key, the one it is named now.

        A calibration with strangers given counts it as one of them, one with 100 labelled photos
        in the confidence. Makes the calibration stale. Raises GalleryError (no name to reject, and
        as `confirm`), PictureError, FetchError.
        """
        return self.keep(self.look(photo, "rejected", key))

    def look(self, photo: Source, said: feedback.Kind, key: str = "") -> feedback.Seen:
        """A photo that is `confirmed` or `rejected`, looked at and ready for `keep`. As those."""
        given.texts(key=key)
        found = feedback.Photo(*self._bytes(photo, said))
        return feedback.look(self._opened(), found, said, key)

    def keep(self, seen: feedback.Seen, *, variant: str | None = None) -> Feedback:
        """Store what `look` was asked for. Raises as `confirm` and `reject`, SpaceMismatch too."""
        given.texts(variant=variant or "")
        return feedback.keep(self._store, seen, variant)

    def rename(self, key: str, label: str = "", *, new_key: str = "", merge: bool = False) -> Item:
        """Give an item another label, another key, or both; a later `index` keeps them.

        `merge` lets it become one with the item that has the new key. Raises GalleryError,
        InputError.
        """
        given.texts(key=key, label=label, new_key=new_key)
        return rename(self._store, key, label, new_key, merge=merge)

    def feedback(self) -> list[Feedback]:
        """What was confirmed and rejected, by number."""
        return self._store.feedback()

    def take_feedback(self, path: str | os.PathLike[str]) -> Carried:
        """Take over the names and the feedback of another index, made by this or another model.

        Raises GalleryError, IndexReadOnly, ModelError.
        """
        given.places(path=path)
        with open_store(path) as source:
            return carry(self._opened(), source)

    def undo_feedback(self, number: int) -> Feedback:
        """Take feedback back, and with a confirmed photo the reference that it became.

        Raises GalleryError for a number that is not there.
        """
        given.whole("number", number)
        return feedback.undo(self._store, number)

    def calibrate(
        self,
        seconds: float | None = None,
        *,
        fpir: float = 0.0,
        strangers: str | os.PathLike[str] | None = None,
        photos: str | os.PathLike[str] | None = None,
        views: int | None = None,
        second_look: str = "",
        progress: Progress | None = None,
    ) -> Calibration | None:
        """Fit the rule for unknowns, and store it.

        It is of the gallery as it is now; what is changed meanwhile leaves it out of date.
        With `seconds` the quick one, from the gallery itself, and none of the rest. Else the full
        one: `strangers` is a folder of photos of other things, `photos` a table with the columns
        path and label, `views` how many camera views are made of each item, `second_look` the local
        features (`sift`, `orb`) whose weight is fitted as well. A rate `fpir` that the trials do
        not support is PromiseRefused, and nothing changes. Raises CatalogError, SettingError,
        ModelError, MissingExtra, and IndexBusy where another file took the place of the index.
        """
        given.places(strangers=strangers, photos=photos)
        opened = self._opened()
        edition = opened.store.edition
        if seconds is not None:
            calibration = calibrate.quick(opened, seconds=seconds, progress=progress)
        else:
            wanted = calibrate.Wanted(
                fpir=fpir,
                strangers=None if strangers is None else Path(strangers),
                photos=None if photos is None else Path(photos),
                views=views,
                second_look=second_look,
            )
            calibration = calibrate.full(opened, wanted, progress)
        calibrate.keep(opened.store, calibration, edition)
        return calibration

    # Asking it

    def identify(self, source: Source) -> Decision:
        """Which item a photo shows, or that it is none of them, with the reasons.

        `source` is a path, an address, bytes, a file object or a Picture. Raises PictureError,
        FetchError, SpaceMismatch, ModelError.
        """
        picture = self.picture(source, hashed=False)
        return self.steady(lambda opened: identify(opened, picture))

    def answer(
        self,
        source: Source,
        asked: IdentifySettings | None = None,
        *,
        times: StageTimes | None = None,
    ) -> Answer:
        """As `identify`, with what each region of the photo is by itself.

        `asked` takes the place of the settings for this photo; `times` take in the stages
        `decode`, `detection`, `embedding` and `search`. Raises SettingError too.
        """
        with timed(times, "decode"):
            picture = self.picture(source, hashed=False)
        return self.steady(lambda opened: answer(opened.asked(asked), picture, times=times))

    def search(self, source: Source, top: int = 10) -> list[Candidate]:
        """The items most like a whole picture, best first; nothing is decided."""
        given.whole("top", top, least=1)
        picture = self.picture(source, hashed=False)
        whole = replace(self._settings.identify, regions="whole", top=top)
        return list(self.steady(lambda opened: identify(opened.asked(whole), picture)).candidates)

    def vector(self, source: Source, times: StageTimes | None = None) -> Float32:
        """The unit vector `(D,)` of a whole picture, as a reference would have it."""
        opened = self._opened()
        with timed(times, "decode"):
            picture = self.picture(source, hashed=False)
        with timed(times, "embedding"):
            return opened.embedder.vector(picture.image)

    def nearest(self, row: Float32, top: int = 10) -> list[Candidate]:
        """The items nearest to a vector `(D,)` of any length but 0, best first.

        Raises InputError for one that is not finite, or of another width.
        """
        return self.steady(lambda opened: nearest(opened.store, row, top))

    def search_text(self, words: str, top: int = 10) -> list[Candidate]:
        """The items that words describe, best first. InputError where the model reads no text."""
        row = text_row(self.embedder, words)
        return self.nearest(row, top)

    def items(self) -> list[Item]:
        """All items, by key."""
        return self._store.items()

    def item(self, key: str) -> Item:
        """The item of exactly that key. NotEnrolled."""
        given.texts(key=key)
        return enrol.item_of(self._store, key)

    def references(self, key: str = "") -> list[Reference]:
        """References, all or of one item, by path; enrolled views left out."""
        given.texts(key=key)
        return [
            reference
            for _, reference in self._store.references()
            if not reference.view and key in ("", reference.key)
        ]

    def thumbnail(self, reference_id: int) -> bytes:
        """The small JPEG kept of a reference, empty if there is none."""
        given.whole("reference_id", reference_id)
        return self._store.thumbnail(reference_id)

    def export(self, path: str | os.PathLike[str]) -> int:
        """Copy everything into a new file; how many references.

        `.npz` by that suffix, an index file by any other name; so a gallery made of one becomes
        the other. Raises GalleryError if the file is there, IndexReadOnly.
        """
        given.places(path=path)
        return copy_store(self._store, path)

    def info(self) -> Info:
        """Size, counts, model and calibration. Loads no model."""
        return info_of(self._store, self.stale)

    # Inside

    def _planned(
        self,
        refs: str | os.PathLike[str],
        table: str | os.PathLike[str] | None,
        rehash: bool,
        flat: bool,
    ) -> tuple[Plan, tuple[str, ...], tuple[tuple[str, str], ...], str]:
        given.places(refs=refs, table=table)
        self._store.refresh()
        stored = self._store.manifest.naming
        asked = self._settings.index.naming
        naming = stored if asked == "auto" and len(self._store) else asked
        label_from = self._settings.index.label_from
        listing = scan(refs, naming=naming, table=table, label_from=label_from, flat=flat)
        listing = Renames.of(self._store.manifest.options).listing(listing)
        work = plan(listing, index.listed(self._store), rehash=rehash)
        follow(work, listing, index.by_hand(self._store))
        return work, listing.notes, listing.skipped, listing.scheme

    def _finished(
        self, report: IndexReport, edition: int, progress: Progress | None
    ) -> IndexReport:
        """The quick calibration and, by what it measured, look-alikes, where anything changed."""
        total = report.added + report.changed + len(report.failed)

        def step(_: Step) -> None:
            if progress is not None:
                progress(Step(total, total, ""))

        calibration, wanted = self.calibration, self._settings.index.calibrate
        changed = report.added + report.changed + report.removed + report.relabelled
        # A full calibration stays, out of date: a quick one would know nothing of its strangers.
        quick = calibration is None or calibration.method == "quick"
        if wanted and len(self._store) and quick and (calibration is None or self.stale):
            seconds, opened = min(max(5.0, report.seconds), 60.0), self._opened()
            calibration = calibrate.quick(opened, seconds=seconds, progress=step)
            calibrate.keep(opened.store, calibration, edition)
        pairs = look_alikes(self._store.snapshot()) if changed else ()
        return replace(report, look_alikes=tuple(pairs), calibration=calibration)
