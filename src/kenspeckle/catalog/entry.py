"""What a folder or table comes to: entries to enrol, and every exclusion with its reason."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path

from kenspeckle.types import Reference

ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4}))")


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture to enrol: its reference (no hash yet) and where its bytes are.

    `source` is the file as it lies on disk, or an http(s) address.
    """

    reference: Reference
    source: Path | str


@dataclass(frozen=True, slots=True)
class Listing:
    """What was found: entries sorted by path, exclusions `(path, why)`, and the naming scheme.

    notes
        Sentences worth telling: why a scheme was chosen, names that were merged.
    unread
        Files and folders that are there but could not be looked at, the whole folder as an empty
        path. What a gallery knows of them stays (see `kenspeckle.catalog.sync`).
    """

    entries: tuple[Entry, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    scheme: str = "plain"
    notes: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def items(self) -> int:
        """Number of different items."""
        return len({entry.reference.key for entry in self.entries})


def shown(path: str) -> str:
    r"""A file name as text that can be stored and printed: no control codes, no broken bytes.

    Bytes that are not UTF-8 and control characters become `\xNN`; any other name stays as it is.

    >>> shown("caf\udce9.jpg")
    'caf\\xe9.jpg'
    """
    if path.isprintable():
        return path
    return "".join(_visible(character) for character in path)


def _visible(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that Python could not decode
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    if 0xD800 <= code <= 0xDFFF or unicodedata.category(character) == "Cc":
        return f"\\u{code:04x}"
    return character


def on_disk(folder: Path, path: str) -> Path:
    r"""The file below `folder` whose name `shown` wrote as `path`.

    A file that really has that name (with `\x` in it) comes first. Only what `shown` escapes is
    turned back: no `/` and no `..` can hide in a path.
    """
    plain = folder / path
    if "\\" not in path or plain.exists():
        return plain

    def raw(match: re.Match[str]) -> str:
        code = int(match[1] or match[2], 16)
        character = chr(code + 0xDC00 if match[1] and code >= 0x80 else code)
        return character if shown(character) == match[0] else match[0]

    return folder / ESCAPE.sub(raw, path)


def base_of(refs: str) -> Path:
    """Where the paths of a gallery's references start: `refs` itself, or the folder of a table."""
    path = Path(refs or ".")
    return path.parent if path.is_file() else path


def settle(entries: list[Entry]) -> tuple[tuple[Entry, ...], list[str]]:
    """Give every item one label: that of its first entry; a note for each label set aside."""
    labels: dict[str, str] = {}
    settled, notes = [], {}
    for entry in entries:
        reference = entry.reference
        label = labels.setdefault(reference.key, reference.label)
        if label != reference.label:
            other = reference.label
            notes[reference.key, other] = f"'{other}' and '{label}' are one item, named '{label}'"
            entry = Entry(replace(reference, label=label), entry.source)
        settled.append(entry)
    return tuple(settled), list(notes.values())
