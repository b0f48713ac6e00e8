"""What jobs do with a gallery: index it, calibrate it, answer for many photos."""

from __future__ import annotations

import time
from asyncio import AbstractEventLoop, run_coroutine_threadsafe
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from kenspeckle.catalog.entry import shown
from kenspeckle.catalog.walk import walk_through
from kenspeckle.config import ImageSettings
from kenspeckle.errors import CatalogError, InputError, KenspeckleError, ServiceBusy
from kenspeckle.gallery import Gallery
from kenspeckle.image.fetch import fetch
from kenspeckle.serve.jobs import Tell, Work
from kenspeckle.serve.problems import told
from kenspeckle.serve.schemas.work import MOST_PHOTOS, Calibrate, Identify, Index
from kenspeckle.types import Calibration, Decision

if TYPE_CHECKING:
    from kenspeckle.flows.index import Step
    from kenspeckle.serve.service import Service

FETCHING = 600.0
"""Seconds for which one job fetches addresses, all of them together."""
LISTED = 100
"""Pictures named of those that failed or were passed over."""
LONGEST_NAP = 1.0
"""Seconds between two tries to get into a full queue."""

Answers = list[Mapping[str, Any]]
"""What a job has to say of each photo, as it comes."""
Turn = Callable[[Callable[[], Decision]], Decision]
Photo = tuple[str, Callable[[], "bytes | Path"]]
"""What answers call a photo, and what brings it."""


def in_turn(service: Service, gallery: Gallery, loop: AbstractEventLoop) -> Turn:
    """Work for a job's thread in the queue of a gallery's model, one piece at a time.

    A full queue is waited for, unless the service is stopping. Raises ServiceBusy then.
    """

    def turn(work: Callable[[], Decision]) -> Decision:
        while True:
            asked = service.scheduler_of(gallery).run(work)
            try:
                return run_coroutine_threadsafe(asked, loop).result()
            except ServiceBusy as busy:
                if service.stopping:
                    raise
                time.sleep(min(busy.retry_after, LONGEST_NAP))

    return turn


def own_refs(gallery: Gallery) -> str:
    """The folder or table that a gallery is made of. InputError if none is known."""
    refs = gallery.store.manifest.refs or gallery.settings.index.refs
    if not refs:
        raise InputError(
            "references",
            "this gallery was made of no folder or table",
            expected="one",
            do="Name it as `refs`",
        )
    return refs


def places(wish: Index | Calibrate | Identify) -> list[str]:
    """The paths on this machine that a wish names: who names one has to be trusted."""
    named: Sequence[str | None]
    if isinstance(wish, Index):
        named = wish.refs, wish.table
    elif isinstance(wish, Calibrate):
        named = wish.strangers, wish.photos
    else:
        named = (wish.folder,)
    return [place for place in named if place is not None]


def work_of(
    gallery: Gallery, wish: Index | Calibrate | Identify, turn: Turn, answers: Answers
) -> Work:
    """What is to be done, refused at once where that can be seen. Raises InputError.

    `turn` does a small piece of it in the queue of the model, so that others get theirs. What it
    has to say of each photo goes to `answers` at once, and is there whatever comes after.
    """
    if isinstance(wish, Index):
        return _indexing(gallery, wish, wish.refs or own_refs(gallery))
    if isinstance(wish, Calibrate):
        return _calibrating(gallery, wish)
    if (wish.urls is None) == (wish.folder is None):
        found = "neither urls nor a folder" if wish.urls is None else "urls and a folder"
        raise InputError("job", found, expected="one of the two")
    return _identifying(gallery, wish, turn, answers)


def _indexing(gallery: Gallery, wish: Index, refs: str) -> Work:
    def work(tell: Tell) -> Mapping[str, Any]:
        embedded = 0

        def step(one: Step) -> None:
            nonlocal embedded
            embedded = one.total
            tell(one.done, one.total, one.path)

        with gallery.writing():
            report = gallery.index(
                refs,
                table=wish.table,
                rehash=wish.rehash,
                flat=wish.flat,
                replace_all=wish.replace_all,
                progress=step,
            )
        if not embedded:
            known = report.same + report.relabelled
            tell(known, known, "")
        counts = ("added", "changed", "relabelled", "removed", "same")
        failed = [{"path": path, "error": told(error)} for path, error in report.failed]
        skipped = [{"path": path, "why": why} for path, why in report.skipped]
        return {
            **{name: getattr(report, name) for name in counts},
            "failed": len(failed),
            "skipped": len(skipped),
            "failures": failed[:LISTED],
            "passed_over": skipped[:LISTED],
            "notes": list(report.notes),
            "look_alikes": [
                {"a": pair.a.path, "b": pair.b.path, "similarity": pair.similarity}
                for pair in report.look_alikes[:LISTED]
            ],
            "seconds": report.seconds,
            "calibration": _calibration(report.calibration),
        }

    return work


def _calibrating(gallery: Gallery, wish: Calibrate) -> Work:
    def work(tell: Tell) -> Mapping[str, Any]:
        with gallery.writing():
            made = gallery.calibrate(
                wish.seconds,
                fpir=wish.fpir or 0.0,
                strangers=wish.strangers,
                photos=wish.photos,
                views=wish.views,
                second_look=wish.second_look or "",
                progress=lambda step: tell(step.done, step.total, PurePath(step.path).name),
            )
        return {"calibration": _calibration(made)}

    return work


def _identifying(gallery: Gallery, wish: Identify, turn: Turn, answers: Answers) -> Work:
    def work(tell: Tell) -> Mapping[str, Any]:
        fetched = fetching(gallery.settings.image)
        photos = _photos_below(wish.folder) if wish.folder else _photos_at(wish.urls, fetched)
        for number, (name, source) in enumerate(photos):
            tell(number, len(photos), name)
            answers.append(_answer(gallery, name, turn, source))
        tell(len(photos), len(photos), "")
        failed = sum(bool(row["error"]) for row in answers)
        known = sum(row["known"] for row in answers)
        counts = {"photos": len(answers), "known": known, "failed": failed}
        return {**counts, "unknown": len(answers) - known - failed}

    return work


def _photos_at(urls: Sequence[str] | None, fetched: Callable[[str], bytes]) -> list[Photo]:
    return [(url, partial(fetched, url)) for url in urls or ()]


def _photos_below(folder: str) -> list[Photo]:
    """The pictures of a folder, each called by its path below it: where the folder lies on this
    machine is told to nobody. Raises CatalogError."""
    if not Path(folder).is_dir():
        raise CatalogError(folder, "no such folder", expected="a folder of photos")
    found = sorted(walk_through(folder, flat=False).pictures)
    if not 0 < len(found) <= MOST_PHOTOS:
        raise CatalogError(
            folder, f"{len(found)} pictures", expected=f"1 to {MOST_PHOTOS} in one job"
        )
    return [(shown(one.path), partial(Path, one.file)) for one in found]


def fetching(limits: ImageSettings, most: float | None = None) -> Callable[[str], bytes]:
    """What fetches addresses, one after another, for `most` seconds altogether.

    Raises FetchError, and InputError when the time is over.
    """
    most = left = FETCHING if most is None else most

    def fetched(url: str) -> bytes:
        nonlocal left
        if left <= 0:
            raise InputError(
                "address",
                "no time was left to fetch it",
                expected=f"{most:g} s for all addresses of one job",
                do="Ask for the rest in another job",
            )
        start = time.monotonic()
        try:
            return fetch(url, replace(limits, fetch_timeout=min(limits.fetch_timeout, left)))
        finally:
            left -= time.monotonic() - start

    return fetched


def _answer(
    gallery: Gallery, name: str, turn: Turn, source: Callable[[], bytes | Path]
) -> dict[str, Any]:
    """One photo; what is wrong with it is its own matter."""
    try:
        photo = source()
        return _row(name, turn(lambda: gallery.identify(photo)), "")
    except ServiceBusy:
        raise  # it stops, which is no photo's fault
    except KenspeckleError as error:
        return _row(name, None, told(error))


def _row(name: str, decision: Decision | None, error: str) -> dict[str, Any]:
    known = decision is not None and decision.known
    return {
        "photo": name,
        "known": known,
        "key": decision.key if decision else "",
        "label": decision.label if decision else "",
        "variant": decision.variant if decision else "",
        "confidence": decision.confidence if decision else None,
        "similarity": decision.similarity if decision else None,
        "reason": decision.reasons[0] if decision else "",
        "error": error,
    }


def _calibration(made: Calibration | None) -> dict[str, Any] | None:
    """What a calibration is, without its trials."""
    if made is None:
        return None
    names = ("method", "regions", "fpir", "threshold", "score", "mated_trials", "named_right")
    told_of = {name: getattr(made, name) for name in names}
    return {**told_of, "promises": [asdict(one) for one in made.promises]}
