"""What references are called in answers and addresses, and which one has a name or a set code."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import PurePosixPath, PureWindowsPath
from threading import Lock
from urllib.parse import quote

from kenspeckle.catalog.naming import set_code
from kenspeckle.gallery import Gallery
from kenspeckle.types import Reference

ADDED = "added"
"""The folder of names for references that do not lie below the references folder."""
AT_ONCE = 10_000
"""Paths read at once; between two such reads others get at the index."""
SPARE = 1000
"""Paths that may be remembered of references that are gone, beside as many as there are now."""
_ADDED = re.compile(rf"{ADDED}/([0-9a-f]{{16}})/.")


def name_of(reference: Reference) -> str:
    """What a reference is called in answers and addresses: its path below the folder.

    One that lies elsewhere is called by a hash, so that no folder of this machine is told.

    >>> name_of(Reference("a", "A", "LOCH-JP001_a.jpg"))
    'LOCH-JP001_a.jpg'
    >>> name_of(Reference("a", "A", "/home/me/a.jpg")).endswith("/a.jpg")
    True
    """
    if below(reference.path):
        return reference.path
    own = PureWindowsPath(reference.filename).name or "picture"
    return f"{ADDED}/{_digest(reference.path)}/{own}"


def address_of(reference: Reference, root: str = "") -> str:
    """The path of a reference's picture below `root`, encoded.

    >>> address_of(Reference("a", "A", "10 % #1.jpg"))
    '/refs/10%20%25%20%231.jpg'
    """
    return f"{root}/refs/{quote(name_of(reference))}"


def below(path: str) -> bool:
    """Whether a path is one below the folder: not absolute anywhere, no address, no way up."""
    if path[:1] in ("/", "\\", "") or "://" in path:
        return False
    if path[1:2] == ":" and PureWindowsPath(path).is_absolute():
        return False
    return ".." not in path or ".." not in PurePosixPath(path).parts


class Names:
    """Which reference of a gallery has a name or a set code, whoever asks and however often.

    All paths are read once, at the first question that an index does not answer; after a change
    those that are new. Whoever asks meanwhile waits for that. May be asked from any thread.
    """

    def __init__(self, gallery: Gallery) -> None:
        self._gallery, self._lock, self._began = gallery, Lock(), 0
        self._forget()

    def find(self, name: str) -> tuple[int, Reference] | None:
        """The picture of that name, with its id; None where there is none."""
        store = self._gallery.store
        for number in store.select({"path": name, "view": ""}).tolist():
            if (reference := self._get(number)) and below(reference.path):
                return number, reference
        if not (asked := _ADDED.match(name)):
            return None
        with self._lock:
            self._read()
            found = self._elsewhere.get(asked[1])
        if found and (reference := self._get(found)) and name_of(reference) == name:
            return found, reference
        return None

    def first_of(self, codes: Iterable[str]) -> dict[str, Reference]:
        """The first picture by path of each of these set codes; those without one are absent."""
        wanted, store = list(codes), self._gallery.store
        for _ in range(2):
            with self._lock:
                self._read()
                ids = {code: self._coded[code][1] for code in wanted if code in self._coded}
                began = self._began
            try:
                found = dict(zip(ids, store.get(list(ids.values())), strict=True))
            except KeyError:  # one is gone: the next of its code is told by all paths, read anew
                with self._lock:
                    if self._began == began:
                        self._forget()
                continue
            return {code: one for code, one in found.items() if set_code(one.filename) == code}
        return {}

    def _get(self, number: int) -> Reference | None:
        try:
            return self._gallery.store.get([number])[0]
        except KeyError:  # removed by another process at this moment
            return None

    def _forget(self) -> None:
        self._of: tuple[int, int] | None = None
        self._began += 1
        self._last, self._count = 0, 0
        self._elsewhere: dict[str, int] = {}
        self._coded: dict[str, tuple[str, int]] = {}

    def _read(self) -> None:
        """Take in the paths that have come since; all of them if another file has."""
        store = self._gallery.store
        store.refresh()
        now = store.edition, store.standing().change
        if now == self._of:
            return
        other = self._of is not None and self._of[0] != now[0]
        if other or self._count > 2 * len(store) + SPARE:
            self._forget()
        while some := store.paths(after=self._last, most=AT_ONCE):
            for number, path in some:
                self._take(number, path)
            self._last, self._count = some[-1][0], self._count + len(some)
        self._of = now

    def _take(self, number: int, path: str) -> None:
        if not below(path):
            self._elsewhere[_digest(path)] = number
        if code := set_code(path.rpartition("/")[2]):
            known = self._coded.get(code)
            if known is None or path <= known[0]:
                self._coded[code] = path, number


def _digest(path: str) -> str:
    return hashlib.sha256(path.encode("utf-8", "backslashreplace")).hexdigest()[:16]
