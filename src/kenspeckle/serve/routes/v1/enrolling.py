"""Pictures on their way into a gallery, and references on their way out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from kenspeckle.flows.enrol import Newcomer, check_files
from kenspeckle.serve.routes.v1 import told
from kenspeckle.serve.routes.v1.received import Sent, wrong
from kenspeckle.serve.routes.v1.working import At
from kenspeckle.serve.schemas import gallery as shapes
from kenspeckle.serve.schemas.asked import About
from kenspeckle.store.base import Enrolled
from kenspeckle.types import Reference

Ready = list[list[Enrolled]]
LIST = "/references"
"""What the address of an item's references ends in."""
DOTS = (".", "..")
"""Parts of an address that clients leave out before they ask (RFC 3986, 5.2.4)."""


async def prepared(here: At, pictures: Sequence[Sent], about: About) -> Ready:
    """All pictures, looked at by the model; the first that cannot be used stops them all."""
    for picture in pictures:
        picture.check()
    turns = asyncio.Semaphore(here.service.scheduler_of(here.gallery).callers)
    said = "key" if about.key else "label"
    place = ("query" if said in here.request.query_params else "body", said)

    async def one(sent: Sent) -> list[Enrolled]:
        async with turns:
            data = await here.data(sent)
            new = Newcomer(
                data=data,
                name=sent.name,
                path=sent.url,
                label=about.label,
                key=about.key,
                variant=about.variant,
                metadata=about.metadata,
            )
            ready = await here.run(lambda: here.gallery.prepare(new))
            for row in ready:
                addressed(row.reference.key, place)
            return ready

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(sent)) for sent in pictures]
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    return [task.result() for task in tasks]


async def taken(
    here: At, pictures: Sequence[Sent], about: About, keep: Callable[[Ready], shapes.Changed]
) -> shapes.Changed:
    """All pictures, looked at and then handed to `keep` with the file locked, as one change."""
    return await here.change_after(lambda: prepared(here, pictures, about), keep)


def addressed(key: str, place: tuple[str, str] = ("body", "key")) -> None:
    """Refuse a key whose address would be that of something else, `place` where the request says
    it. RequestValidationError."""
    if key.endswith(LIST):
        raise wrong(
            place,
            f"the key {key[:80]!r} ends in {LIST}, and its address would be that of the "
            "references of another item; give it another key",
            "value_error",
        )
    if not set(DOTS).isdisjoint(key.split("/")):
        raise wrong(
            place,
            f"the key {key[:80]!r} has a part . or .., which clients leave out of addresses; "
            "give it another key",
            "value_error",
        )


def stored(here: At, ready: Ready, instead_of: Sequence[int] = ()) -> shapes.Changed:
    """Store pictures in one commit, in place of others; what that led to. As work of `At.change`.

    The same bytes are one reference of their item, however they are called. It keeps its id unless
    something new is said of it: then it is replaced, and what is not said again stays.
    """
    before = _there(here, instead_of)
    check_files(here.gallery.store, [row.reference for rows in ready for row in rows], instead_of)
    told_again, news, replaced = [], [], [number for number, _ in before]
    order: dict[str, int] = {}
    for rows in _once(ready):
        number, old = _known(here, rows[0].reference, instead_of) or (0, None)
        merged = [_merged(row, old) for row in rows] if old else rows
        order[merged[0].reference.path] = len(order)
        if old and _same(merged[0].reference, old):
            told_again.append(number)
            continue
        news.append(merged)
        replaced += [number] if old else []
    ids = here.gallery.enrol(news, instead_of=instead_of) if news or instead_of else []
    there = _there(here, list(dict.fromkeys([*told_again, *ids])))
    there.sort(key=lambda row: order.get(row[1].path, 0))
    shown = [told.reference(number, one, here.links) for number, one in there]
    return shapes.Changed(
        references=shown,
        removed=len(set(replaced)),
        replaced=sorted(set(replaced)),
        stale=here.gallery.stale,
    )


def _once(ready: Ready) -> Ready:
    """The pictures of a request without those that are the same file of the same item again."""
    files: dict[tuple[str, str], list[Enrolled]] = {}
    for rows in ready:
        files.setdefault((rows[0].reference.key, rows[0].reference.sha256), rows)
    return list(files.values())


def _known(here: At, new: Reference, instead_of: Sequence[int]) -> tuple[int, Reference] | None:
    """What its item has of a picture: the same bytes, else another file of the same path.

    None for nothing, and for what goes anyway.
    """
    for where in ({"sha256": new.sha256}, {"path": new.path}):
        ids = here.gallery.store.select({**where, "view": ""}).tolist()
        found = _there(here, [number for number in ids if number not in instead_of])
        own = [(number, old) for number, old in found if old.key == new.key]
        if own:
            return min(own, key=lambda row: row[1].path != new.path)
    return None


def _merged(new: Enrolled, old: Reference) -> Enrolled:
    """A picture with what was said of it before, where nothing else is said now.

    The same bytes stay where they are; a file of the references folder stays one.
    """
    said = new.reference
    if said.sha256 == old.sha256:
        said = replace(said, path=old.path, origin=old.origin, mtime_ns=old.mtime_ns)
    metadata = {**old.metadata, **said.metadata}
    variant = said.variant or old.variant
    return replace(new, reference=replace(said, variant=variant, metadata=metadata))


def _same(new: Reference, old: Reference) -> bool:
    """Whether a picture is, byte for byte and word for word, what is stored."""
    file = new.sha256 and new.sha256 == old.sha256
    return bool(file) and new.variant == old.variant and dict(new.metadata) == dict(old.metadata)


def erased(here: At, ids: Sequence[int]) -> shapes.Changed:
    """Erase references with their views; what that led to."""
    gone = _there(here, ids)
    here.gallery.enrol([], instead_of=ids)
    return shapes.Changed(references=[], removed=len(gone), replaced=[], stale=here.gallery.stale)


def _there(here: At, ids: Sequence[int]) -> list[tuple[int, Reference]]:
    """Those of the references that are still there, enrolled views left out."""
    found = []
    for number in ids:
        with contextlib.suppress(KeyError):  # another request may have erased it just now
            found += [(number, one) for one in here.gallery.store.get([number]) if not one.view]
    return found
