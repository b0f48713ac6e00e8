"""Where a list goes on: an opaque mark that only the list which gave it takes back.

A mark names the last row that was told, not a count, so rows that come and go shift nothing. It is
no secret and grants nothing; its check says that it was made here, for this list of this gallery.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TypeVar

from kenspeckle.errors import InputError

CHECK = 9
LONGEST = 6144
"""Characters of a mark, enough for the longest key of any letters; a longer one was not given
here."""

After = str | int
T = TypeVar("T", str, int)


def written(after: After, kind: str, gallery: str) -> str:
    """The mark for what comes after a row, named by its key or number.

    >>> read(written("red mug", "items", "things"), "items", "things", str)
    'red mug'
    """
    text = json.dumps(after, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return base64.urlsafe_b64encode(_check(text, kind, gallery) + text).decode()


def read(mark: str, kind: str, gallery: str, what: type[T]) -> T:
    """The row that a mark names. InputError for one that this list did not give."""
    if len(mark) > LONGEST:
        raise _foreign()
    try:
        data = base64.b64decode(mark.encode(), b"-_", validate=True)
        check, text = data[:CHECK], data[CHECK:]
        after = (
            json.loads(text.decode("utf-8", "surrogatepass"))
            if check == _check(text, kind, gallery)
            else None
        )
    except (ValueError, RecursionError):  # not base64, not ASCII, not UTF-8, not JSON, too deep
        raise _foreign() from None
    if type(after) is not what:
        raise _foreign()
    if isinstance(after, int) and not 0 <= after < 2**63:
        raise _foreign()
    return after


def _check(text: bytes, kind: str, gallery: str) -> bytes:
    whose = json.dumps(["kenspeckle", kind, gallery]).encode()
    return hashlib.blake2b(whose + text, digest_size=CHECK).digest()


def _foreign() -> InputError:
    return InputError(
        "cursor",
        "it is none of this list",
        expected="the `next` of the page before",
        do="Begin again without a cursor",
    )
