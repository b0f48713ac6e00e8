"""What an index has to do to match a listing: nothing is embedded that has not changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from kenspeckle.catalog.entry import Entry, Listing
from kenspeckle.errors import InputError
from kenspeckle.types import Reference

Hasher = Callable[[Path | str], str]
Row = tuple[int, Reference]


@dataclass(frozen=True, slots=True)
class Change:
    """A picture with new content: embed `entry`; `ids` are the rows (views too) it replaces."""

    entry: Entry
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Relabel:
    """A stored row whose picture is the same but whose name, place or metadata are not.

    `reference` is how it reads from now on; its vector stays.
    """

    id: int
    reference: Reference
    former: Reference


@dataclass(slots=True)
class Plan:
    """The work between a listing and a gallery.

    add, change
        Pictures to embed.
    remove
        Stored rows, views included, whose picture is gone.
    same
        Ids of stored pictures that stay as they are, views left out; `kept` are those among them
        that could not be looked at.
    touch
        `(id, size, mtime_ns)` of stored rows, views included, whose file was written anew with
        the same content; `touched` counts the pictures.
    relabel
        Stored rows to rename or move without embedding.
    """

    add: list[Entry] = field(default_factory=list)
    change: list[Change] = field(default_factory=list)
    remove: list[Row] = field(default_factory=list)
    same: list[int] = field(default_factory=list)
    touch: list[tuple[int, int, int]] = field(default_factory=list)
    relabel: list[Relabel] = field(default_factory=list)
    touched: int = 0
    kept: int = 0

    def __bool__(self) -> bool:
        return bool(self.add or self.change or self.remove or self.touch or self.relabel)

    def lines(self) -> Iterator[str]:
        """One line a picture and a summary, for `--dry-run`."""
        for entry in self.add:
            yield f"+ {entry.reference.path}  {_title(entry.reference)}"
        for change in self.change:
            yield f"~ {change.entry.reference.path}  {_title(change.entry.reference)}"
        for row in self.relabel:
            if not row.reference.view:
                yield f"= {_renamed(row)}"
        gone = [reference for _, reference in self.remove if not reference.view]
        for reference in gone:
            yield f"- {reference.path}  {_title(reference)}"
        renamed = sum(not row.reference.view for row in self.relabel)
        yield (
            f"{len(self.add)} to add, {len(self.change)} to embed again, {renamed} to rename, "
            f"{len(gone)} to remove, {len(self.same) + self.touched} unchanged"
        )


def _title(reference: Reference) -> str:
    return f"{reference.label} ({reference.variant})" if reference.variant else reference.label


def _renamed(row: Relabel) -> str:
    old, new = row.former, row.reference
    if old.path != new.path:
        return f"{old.path} → {new.path}  {_title(new)}"
    if _title(old) != _title(new):
        return f"{new.path}  {_title(old)} → {_title(new)}"
    return f"{new.path}  {_title(new)}: key or metadata"


def sha256_of(source: Path | str) -> str:
    """SHA-256 of a file's bytes; empty for an address, whose bytes only a fetch could tell."""
    if isinstance(source, str):
        return ""
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def plan(
    listing: Listing,
    stored: Iterable[Row],
    *,
    rehash: bool = False,
    hasher: Hasher = sha256_of,
) -> Plan:
    """Compare a listing with the rows that a gallery holds of it.

    A picture with the path, size and time it had is the same; where size or time differ, or with
    `rehash`, its content hash decides. A new file with the hash of one that has gone is a renamed
    file. Views follow their picture. `stored` are the rows that came from such a listing: what
    was added one by one is not to be handed in, or it is taken for gone.

    Raises nothing of its own: a file that cannot be hashed is planned for embedding, which says
    what is wrong with it.
    """
    rows: dict[str, list[Row]] = {}
    for row in stored:
        rows.setdefault(row[1].path, []).append(row)
    result, new = Plan(), []
    for entry in listing.entries:
        group = rows.pop(entry.reference.path, [])
        if not any(reference.view == "" for _, reference in group):
            result.remove += group
            new.append(entry)
        else:
            if _below(entry.reference.path, listing.unread):
                entry = _as_named(entry, group)
            _compare(result, entry, group, rehash, hasher)
    for path in [path for path in rows if _below(path, listing.unread)]:
        ids = [id_ for id_, reference in rows.pop(path) if not reference.view]
        result.same += ids
        result.kept += len(ids)
    _find_moved(result, new, rows, hasher)
    for path in sorted(rows):
        result.remove += rows[path]
    return result


def _as_named(entry: Entry, group: list[Row]) -> Entry:
    """A known picture under the name it has: what says another may be what could not be read."""
    old = next(reference for _, reference in group if not reference.view)
    new = replace(old, size=entry.reference.size, mtime_ns=entry.reference.mtime_ns, sha256="")
    return replace(entry, reference=new)


def _compare(result: Plan, entry: Entry, group: list[Row], rehash: bool, hasher: Hasher) -> None:
    """Sort one known path into the plan."""
    new = entry.reference
    old = next(reference for _, reference in group if not reference.view)
    restamped = (old.size, old.mtime_ns) != (new.size, new.mtime_ns)
    if (restamped or rehash) and _hash(entry, hasher) != old.sha256:
        result.change.append(Change(entry, tuple(id_ for id_, _ in group)))
    elif any(_meaning(reference) != _meaning(new) for _, reference in group):
        result.relabel += _moved(group, new, old.sha256)
    elif restamped:
        result.touch += [(id_, new.size, new.mtime_ns) for id_, _ in group]
        result.touched += 1
    else:
        result.same += [id_ for id_, reference in group if not reference.view]


def _find_moved(result: Plan, new: list[Entry], rows: dict[str, list[Row]], hasher: Hasher) -> None:
    """Match new files with vanished ones by size, then by content; the rest is added."""
    vanished: dict[int, dict[str, list[str]]] = {}
    for path in sorted(rows, reverse=True):
        old = next((r for _, r in rows[path] if not r.view), None)
        if old is not None and old.sha256 and old.size >= 0:
            vanished.setdefault(old.size, {}).setdefault(old.sha256, []).append(path)
    for entry in new:
        of_size = vanished.get(entry.reference.size)
        digest = _hash(entry, hasher) if of_size else None
        paths = of_size.get(digest) if of_size and digest else None
        if paths and digest:
            result.relabel += _moved(rows.pop(paths.pop()), entry.reference, digest)
        else:
            result.add.append(entry)


def _hash(entry: Entry, hasher: Hasher) -> str | None:
    try:
        return hasher(entry.source) or None
    except (OSError, InputError):
        return None


def _meaning(reference: Reference) -> tuple[object, ...]:
    return reference.key, reference.label, reference.variant, dict(reference.metadata)


def _moved(group: list[Row], new: Reference, digest: str) -> list[Relabel]:
    return [Relabel(id_, replace(new, sha256=digest, view=old.view), old) for id_, old in group]


def _below(path: str, folders: tuple[str, ...]) -> bool:
    """Whether a path is one of those that could not be looked at, or lies in one of them."""
    return any(folder in ("", path) or path.startswith(f"{folder}/") for folder in folders)
