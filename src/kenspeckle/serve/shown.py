"""The key that a request shows, and what is said where it shows none that lets it in.

What is said tells nothing of which keys there are, and repeats nothing of what was sent.
"""

from __future__ import annotations

from collections.abc import Mapping

CHALLENGE = 'Bearer realm="kenspeckle"'
"""The header `WWW-Authenticate` of every 401."""

_HOW = (
    "expected Authorization: Bearer KEY or X-API-Key: KEY, never in an address. Make one with "
    "`kenspeckle keys create NAME`"
)
NONE = f"key: none was shown; {_HOW}"
"""Said where nothing was shown."""
_ELSEWHERE = f"key: none in a header, and an address is not read for one; {_HOW}"
_OTHER_FORM = f"key: the header Authorization is not Bearer and a key; {_HOW}"
_UNKNOWN = (
    "key: the one shown is not known here, or was revoked; expected one in force. Show another as "
    "Authorization: Bearer KEY, or make one with `kenspeckle keys create NAME`"
)
_PAGE = (
    "pages of other origins need a key: make one with `kenspeckle keys create NAME`, and let the "
    "page send it as Authorization: Bearer KEY"
)
_NAMES = frozenset(("key", "apikey", "xapikey", "token", "accesstoken", "authorization"))
"""What keys are called in addresses, without hyphens and underscores."""


def key(headers: Mapping[bytes, bytes]) -> str | None:
    """The key that was sent: `Authorization: Bearer KEY`, or `X-API-Key: KEY`.

    >>> key({b"authorization": b"Bearer abc"}), key({b"x-api-key": b"abc"}), key({})
    ('abc', 'abc', None)
    """
    kind, _, said = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if kind.lower() == "bearer" and said.strip():
        return said.strip()
    return headers.get(b"x-api-key", b"").decode("latin-1").strip() or None


def refusal(headers: Mapping[bytes, bytes], query: bytes, *, foreign: bool = False) -> str:
    """What is told to whoever is not let in; `foreign` is a page of another origin.

    >>> refusal({}, b"api_key=abc")[:60]
    'key: none in a header, and an address is not read for one; e'
    """
    if key(headers) is not None:
        return _UNKNOWN
    if headers.get(b"authorization", b"").strip():
        return _OTHER_FORM
    names = (pair.partition("=")[0] for pair in query.decode("latin-1").lower().split("&"))
    if not _NAMES.isdisjoint(name.replace("-", "").replace("_", "") for name in names):
        return _ELSEWHERE
    return _PAGE if foreign else NONE
