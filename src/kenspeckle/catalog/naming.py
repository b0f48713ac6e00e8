"""From a file name to an item: its key, its label and its variant.

Two schemes. `cards` is for files named like `LOCH-JP001_dark_magician_pscr.jpg`: set code, name
and rarity, title-cased. `plain` is for everyone else and changes as little as it can.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from kenspeckle.catalog.entry import shown
from kenspeckle.errors import SettingError
from kenspeckle.types import NO_METADATA, Reference

Scheme = Literal["cards", "plain"]

RARITIES = {
    rarity.lower(): rarity for rarity in ("PScR", "ScR", "UR", "SR", "OP", "UtR", "CR", "EA", "GMR")
}
"""Rarity as the last word of a card's name, in any case → the form that is displayed."""

_CODE = re.compile(r"[A-Z]+-[A-Z]+[0-9]+")
_PREFIX = re.compile(rf"{_CODE.pattern}_")
_CODE_ALONE = re.compile(rf"{_CODE.pattern}(?=_|$)")
_POSSESSIVE = re.compile(r"(\w) S(?!\S)")
_FURTHER = re.compile(r"(?P<name>.*[^_])__[0-9]{1,3}", re.DOTALL)
_GATHERED = re.compile(r"[A-Za-z0-9.-]+(?:_[A-Za-z0-9.-]+)*_(?P<hex>[0-9a-f]{12})")


@dataclass(frozen=True, slots=True)
class Name:
    """What a name says: the item's key and label, the variant, and what else is kept."""

    key: str
    label: str
    variant: str = ""
    metadata: Mapping[str, str] = field(default_factory=lambda: NO_METADATA)


def stem(filename: str) -> str:
    """A file name without its last extension: `foo.bar.jpg` → `foo.bar`."""
    head, _, _ = filename.rpartition(".")
    return head or filename


def tidy(text: str) -> str:
    """Text fit for a label: composed Unicode, single spaces, no control codes or broken bytes."""
    if not text.isprintable():
        text = shown("".join(" " if unicodedata.category(c) == "Cc" else c for c in text))
    return " ".join(unicodedata.normalize("NFC", text).split())


def key_of(label: str) -> str:
    """The stable key of a label: the same for any case, spacing or Unicode composition.

    >>> key_of("Blue-Eyes  White Dragon")
    'blue-eyes white dragon'
    """
    return tidy(unicodedata.normalize("NFD", label).casefold())


def set_code(filename: str) -> str:
    """The set code that a file name starts with, or nothing: `LOCH-JP001_x.jpg` → `LOCH-JP001`."""
    found = _CODE.match(filename)
    return found[0] if found else ""


def print_of(variant: str) -> tuple[str, str]:
    """Set code and rarity of a card's variant; what is neither, or more than them, says nothing.

    >>> print_of("LOCH-JP001 pscr"), print_of("UR"), print_of("LOCH-JP001"), print_of("blue UR")
    (('LOCH-JP001', 'PScR'), ('', 'UR'), ('LOCH-JP001', ''), ('', ''))
    """
    words = variant.split()
    code = words.pop(0) if words and _CODE.fullmatch(words[0]) else ""
    rarity = RARITIES.get(words.pop().lower(), "") if len(words) == 1 else ""
    return ("", "") if words else (code, rarity)


def cards_name(stem: str) -> str:
    """The name that an index of cards stores: no set code, title case, rarity still in it.

    A name that would be empty falls back to the stem (`LOCH-JP001_` → `LOCH-JP001`).

    >>> cards_name("LOCH-JP001_pharaoh_s_servant_pscr")
    "Pharaoh's Servant Pscr"
    """
    text = unicodedata.normalize("NFC", shown(stem))
    name = _PREFIX.sub("", text, count=1) if _PREFIX.match(text) else text
    if not name.strip("_ "):
        return text.strip("_ ") or text
    return _POSSESSIVE.sub(r"\1's", name.replace("_", " ").title())


def served(stored: str, code: str = "") -> tuple[str, str]:
    """Split a stored name into the name to show and the rarity, which may be empty.

    A name that is nothing but a rarity is split only when a set code can stand in for the name.

    >>> served("Dark Magician Pscr")
    ('Dark Magician', 'PScR')
    >>> served("Ur"), served("Ur", "LOCH-JP001")
    (('Ur', ''), ('LOCH-JP001', 'UR'))
    """
    name, *last = stored.rsplit(maxsplit=1)[-2:] or [""]
    if last and last[0].lower() in RARITIES:
        return name, RARITIES[last[0].lower()]
    if not last and code and name.lower() in RARITIES:
        return code, RARITIES[name.lower()]
    return stored, ""


def plain_name(stem: str) -> str:
    """The label of the plain scheme: underscores become spaces; case and hyphens stay.

    >>> plain_name("dragon's_egg_10mm")
    "dragon's egg 10mm"
    """
    return tidy(stem.replace("_", " ")) or tidy(stem) or "?"


def first_of(stem: str) -> str:
    """The stem without the mark of a further reference: `mug__2` → `mug`."""
    found = _FURTHER.fullmatch(stem)
    return found["name"] if found else stem


def gathered(stem: str) -> bool:
    """Whether a stem is `<source>_<12 hex digits>`, which says nothing about the item.

    Twelve decimal digits are taken for a date and time.
    """
    found = _GATHERED.fullmatch(stem)
    return found is not None and not found["hex"].isdecimal()


def choose_scheme(filenames: Iterable[str], asked: str = "auto") -> Scheme:
    """The scheme asked for; with `auto`, `cards` if any name carries a set code, else `plain`.

    Raises SettingError for any other word.
    """
    match asked:
        case "cards" | "plain":
            return asked
        case "auto":
            return "cards" if carries_code(filenames) else "plain"
    raise SettingError("naming", repr(asked), expected="cards, plain or auto")


def carries_code(filenames: Iterable[str]) -> str:
    """The first file name whose set code ends at `_` or at the end of the stem, or nothing."""
    return next((name for name in filenames if _CODE_ALONE.match(stem(name))), "")


def name_item(text: str, scheme: Scheme) -> Name:
    """What the stem of a file, or the name of an item's folder, says about the item.

    Under `cards` the metadata hold `stored_name`, and `set_code` and `rarity` where there are any.
    """
    if scheme == "plain":
        label = plain_name(first_of(text))
        return Name(key_of(label), label)
    return _card(cards_name(first_of(text)), cards_name(text), set_code(text))


def named_by_file(stored: str, filename: str) -> Reference:
    """The reference that a stored name and a file name tell of, where an index holds only these.

    >>> one = named_by_file("Dark Magician Pscr", "LOCH-JP001_dark_magician_pscr.jpg")
    >>> one.label, one.variant
    ('Dark Magician', 'LOCH-JP001 PScR')
    """
    name = _card(stored, stored, set_code(filename))
    return Reference(name.key, name.label, filename, name.variant, metadata=name.metadata)


def _card(name: str, stored: str, code: str) -> Name:
    """A card: prints of one card differ in set code and rarity, and share the key."""
    name, rarity = served(name, code)
    label = tidy(name) or "?"
    metadata = {"stored_name": stored, "set_code": code, "rarity": rarity}
    variant = " ".join(part for part in (code, rarity) if part)
    return Name(key_of(label), label, variant, {k: v for k, v in metadata.items() if v})
