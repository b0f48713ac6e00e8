"""What a body says, read so that nobody waits for it.

Reading holds the interpreter, on whichever thread: what takes long is read on one thread for texts
and one for forms, whoever sent it, and who finds it taken waits in a line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from anyio.lowlevel import RunVar
from starlette.exceptions import HTTPException

from kenspeckle.serve.exchange import MOST_VALUES
from kenspeckle.serve.turns import Turns

T = TypeVar("T")

LARGE = 256 * 1024
"""Bytes of JSON that are not read on the event loop."""
MANY = 4000
"""Commas of JSON that is not read there either: a value takes microseconds to check."""
MOST_NAMES = 50_000
"""Colons of JSON: each name that is not known is a fault, and a hundred times as much to hold."""
PATIENCE = 5.0
"""Seconds for which a body waits to be read."""

_TEXTS: RunVar[Turns] = RunVar("kenspeckle.serve.reading.texts")
_FORMS: RunVar[Turns] = RunVar("kenspeckle.serve.reading.forms")


async def of_text(data: bytes, work: Callable[[], T]) -> T:
    """The value of work that reads JSON, done apart where the JSON is large.

    Raises what it raises; HTTPException 413 for more names than any shape has, ServiceBusy where
    what others sent is read for too long.
    """
    if len(data) <= LARGE and data.count(b",") <= MANY:
        return work()

    def bounded() -> T:
        if data.count(b":") > MOST_NAMES:
            found = f"request: more than {MOST_NAMES} names and addresses"
            raise HTTPException(413, f"{found}; expected fewer. Send less at once")
        return work()

    return await _turns(_TEXTS, "texts").run(bounded)


def count(text: bytes) -> None:
    """Raises HTTPException 413 for JSON in a part of a form of more values than a body may have."""
    if sum(map(text.count, (b",", b"[", b"{"))) > MOST_VALUES:
        found = f"request: more than {MOST_VALUES} values"
        raise HTTPException(413, f"{found}; expected fewer. Send less at once")


async def of_form(work: Callable[[], T]) -> T:
    """The value of work that reads a form, done apart. Raises what it raises, and ServiceBusy."""
    return await _turns(_FORMS, "forms").run(work)


def _turns(held: RunVar[Turns], name: str) -> Turns:
    """Those of this event loop."""
    try:
        return held.get()
    except LookupError:
        turns = Turns(name, 1, share=2, patience=PATIENCE)  # nobody has one of their own
        held.set(turns)
        return turns
