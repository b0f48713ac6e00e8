"""What a plan comes to when it is carried out: others may have renamed or erased since it was made.

Every call but `commit` and `check` is for use within one commit, so that nothing changes between
what it finds and what is done about it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from kenspeckle.catalog.renames import Renames
from kenspeckle.catalog.sync import Relabel, Row
from kenspeckle.errors import IndexBusy
from kenspeckle.store.base import Enrolled, Store
from kenspeckle.types import Reference

SOME = 500
"""References looked up at once."""


@contextmanager
def commit(store: Store, edition: int) -> Iterator[None]:
    """One commit to the file of that `edition`; raises as `check`, and as every change."""
    with store.one_commit():
        check(store, edition)
        yield


def check(store: Store, edition: int) -> None:
    """Refuse to go on where another file has taken the place of the one of that `edition`.

    The numbers of its references may be the same, and mean others. IndexBusy.
    """
    if store.edition != edition:
        raise IndexBusy(
            Path(store.path),
            "another file was put in its place while it was indexed",
            do="Nothing was written to that one; index again where it is to match the references",
        )


def named(store: Store, pictures: Sequence[Enrolled], known: Collection[str]) -> list[Enrolled]:
    """Pictures of a folder or table under the names that hold now.

    Those of the `known` paths that are gone have been erased, and are left out.
    """
    paths = {one.reference.path for one in pictures}
    gone = {path for path in paths.intersection(known) if not len(store.select({"path": path}))}
    left = [one for one in pictures if one.reference.path not in gone]
    references = _renames(store).anew([one.reference for one in left])
    return [replace(one, reference=now) for one, now in zip(left, references, strict=True)]


def relabels(store: Store, rows: Sequence[Relabel]) -> list[Relabel]:
    """What is still to be renamed or moved, under the names that hold now.

    What was enrolled by hand and has another key by now is left as it is.
    """
    now = there(store, [(row.id, row.former) for row in rows])
    left = [row for row in rows if row.id in now]
    references = _renames(store).anew([row.reference for row in left])
    found = []
    for row, new in zip(left, references, strict=True):
        number, old = now[row.id]
        if not new.origin or new.key == old.key:
            found.append(Relabel(number, new, old))
    return found


def there(store: Store, rows: Sequence[Row]) -> dict[int, Row]:
    """By the id that is known: id and reference as they are now, without those that are gone.

    One that was renamed has another id in its place; another picture there is another reference.
    """
    known = _known(store, [number for number, _ in rows])
    found = {}
    for number, former in rows:
        if number in known:
            found[number] = (number, known[number])
            continue
        ids = store.select({"path": former.path, "view": former.view}).tolist()
        for one, now in zip(ids, store.get(ids), strict=True):
            if (now.sha256, now.origin) == (former.sha256, former.origin):
                found[number] = (one, now)
    return found


def _known(store: Store, ids: Sequence[int]) -> dict[int, Reference]:
    """References by id, without those that are gone."""
    found: dict[int, Reference] = {}
    for start in range(0, len(ids), SOME):
        some = ids[start : start + SOME]
        try:
            found |= zip(some, store.get(some), strict=True)
        except KeyError:
            for number in some:
                with contextlib.suppress(KeyError):
                    (found[number],) = store.get([number])
    return found


def _renames(store: Store) -> Renames:
    return Renames.of(store.manifest.options)
