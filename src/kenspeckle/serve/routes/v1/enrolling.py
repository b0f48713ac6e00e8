"""Pictures on their way into a gallery, and references on their way out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

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


async def prepared(here: At, pictures: Sequence[Sent], about: About) -> Ready:
    """All pictures, looked at by the model; the first that cannot be used stops them all."""
    turns = asyncio.Semaphore(here.service.scheduler_of(here.gallery).callers)

    async def one(sent: Sent) -> list[Enrolled]:
        async with turns:
            data = await here.data(sent)
            said = Newcomer(
                data=data,
                name=sent.name,
                path=sent.url,
                label=about.label,
                key=about.key,
                variant=about.variant,
                metadata=about.metadata,
            )
            ready = await here.run(lambda: here.gallery.prepare(said))
            for row in ready:
                addressed(row.reference.key)
            return ready

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(sent)) for sent in pictures]
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    return [task.result() for task in tasks]


def addressed(key: str) -> None:
    """Refuse a key whose address would be that of something else. RequestValidationError."""
    if key.endswith(LIST):
        raise wrong(
            ("body", "key"),
            f"the key {key[:80]!r} ends in {LIST}, and its address would be that of the "
            "references of another item; give it another key",
            "value_error",
        )


def stored(here: At, ready: Ready, instead_of: Sequence[int] = ()) -> shapes.Changed:
    """Store pictures in one commit, in place of others; what that led to."""
    before = _there(here, instead_of)
    news = [row.reference for rows in ready for row in rows]
    check_files(here.gallery.store, news, instead_of)
    ids = here.gallery.enrol(ready, instead_of=instead_of)
    new = [told.reference(number, one, here.links) for number, one in _there(here, ids)]
    return shapes.Changed(references=new, removed=len(before), stale=here.gallery.stale)


def erased(here: At, ids: Sequence[int]) -> shapes.Changed:
    """Erase references with their views; what that led to."""
    gone = _there(here, ids)
    here.gallery.enrol([], instead_of=ids)
    return shapes.Changed(references=[], removed=len(gone), stale=here.gallery.stale)


def _there(here: At, ids: Sequence[int]) -> list[tuple[int, Reference]]:
    """Those of the references that are still there, enrolled views left out."""
    found = []
    for number in ids:
        with contextlib.suppress(KeyError):  # another request may have erased it just now
            found += [(number, one) for one in here.gallery.store.get([number]) if not one.view]
    return found
