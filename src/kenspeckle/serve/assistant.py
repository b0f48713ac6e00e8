"""A gallery for assistants, over the Model Context Protocol: what they may ask, and the answers.

Every answer is a sentence or a few for people, and the same as data. What cannot be done is one
sentence too, marked as an error. Nothing here knows how the protocol is carried.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from kenspeckle.errors import AccessRefused, InputError
from kenspeckle.flows.feedback import find_item
from kenspeckle.flows.like import like
from kenspeckle.gallery import Gallery
from kenspeckle.image.decode import read
from kenspeckle.serve.schemas.assistant import Confirmation, Photo, Similar, Wanted
from kenspeckle.types import Candidate, Decision, Item, in_percent

_NAMED = {"extra_forbidden": "no such field", "missing": "it is needed"}
"""Faults that the names of all fields are told with."""


@dataclass(frozen=True, slots=True)
class Said:
    """An answer: for people, and as data."""

    text: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tool:
    """One thing that an assistant may ask for. `changes` says that it writes to the gallery."""

    name: str
    title: str
    about: str
    asked: type[BaseModel]
    answer: Callable[[Assistant, Any], Said]
    changes: bool = False


class Assistant:
    """A gallery and the folders out of which pictures may be read.

    The gallery is open for reading; it is changed for as long as one confirmation takes, so that
    other programs may write meanwhile.
    """

    def __init__(self, gallery: Gallery, folders: Sequence[Path] = ()) -> None:
        self.gallery, self._limits = gallery, gallery.settings.image
        self._folders = tuple(folder.resolve() for folder in folders)

    def ask(self, name: str, arguments: dict[str, Any]) -> Said:
        """The answer of the tool of that name. Raises KenspeckleError."""
        tool = next((one for one in TOOLS if one.name == name), None)
        if tool is None:
            known = ", ".join(one.name for one in TOOLS)
            raise InputError(f"tool {name[:100]!r}", "there is none", expected=f"one of {known}")
        try:
            asked = tool.asked.model_validate(arguments)
        except ValidationError as error:
            found, named = _faults(error)
            fields = ", ".join(tool.asked.model_fields) if named else ""
            raise InputError(name, found, expected=fields) from error
        return tool.answer(self, asked)

    def identify(self, photo: Photo) -> Said:
        """Which item a picture shows."""
        decision = self.gallery.identify(self.bytes_of(photo))
        told = decision.confidence is not None
        sure = f" (confidence {in_percent(decision.confidence)})" if told else ""
        name = f"{decision.label}{f', {decision.variant}' if decision.variant else ''}"
        first = f"This is {name}{sure}." if decision.known else "None of the items in the gallery."
        text = f"{first} Because: {'; '.join(decision.reasons)}."
        return Said(text, {**_decided(decision), "stale": self.gallery.stale})

    def items(self, wanted: Wanted) -> Said:
        """What is in the gallery."""
        part = wanted.matching.casefold()
        found = [
            one
            for one in self.gallery.items()
            if part in one.label.casefold() or part in one.key.casefold()
        ]
        shown = found[wanted.first : wanted.first + wanted.most]
        text = f"{len(found)} {'item' if len(found) == 1 else 'items'}"
        text += f" with {wanted.matching!r}" if part else ""
        text += f", {len(shown)} listed" if len(shown) < len(found) else ""
        text += ": " + ", ".join(one.label for one in shown) if shown else ""
        data = {"total": len(found), "items": [_item(one) for one in shown]}
        return Said(text + ".", data)

    def similar(self, asked: Similar) -> Said:
        """The items most like a picture, or like an item."""
        if asked.item is None:
            found = self.gallery.search(self.bytes_of(asked), asked.most)
            subject = "the picture"
        else:
            if asked.path is not None or asked.base64 is not None:
                raise InputError("similar_items", "an item and a picture", expected="one of them")
            found = like(self.gallery.store, asked.item, asked.most)
            subject = find_item(self.gallery.store, asked.item).label
        near = ", ".join(f"{one.label} ({one.similarity:.2f})" for one in found)
        text = f"Most like {subject}: {near}." if near else f"Nothing is like {subject}."
        return Said(text, {"items": [_candidate(one) for one in found]})

    def confirm(self, asked: Confirmation) -> Said:
        """Keep a picture as one of an item."""
        data = self.bytes_of(asked)
        seen = self.gallery.look(data, "confirmed", asked.item)
        with self.gallery.writing():
            said = self.gallery.keep(seen, variant=asked.variant)
            label, stale = find_item(self.gallery.store, said.key).label, self.gallery.stale
        told = {"number": said.id, "key": said.key, "label": label, "stale": stale}
        return Said(f"Kept: the picture shows {label}, and is a reference of it now.", told)

    def bytes_of(self, photo: Photo) -> bytes:
        """The file of a picture. Raises InputError, PictureError, AccessRefused."""
        if photo.path is not None and photo.base64 is not None:
            raise InputError("picture", "both path and base64", expected="one of them")
        if photo.path is not None:
            return read(self._inside(photo.path), self._limits)
        if photo.base64 is None:
            raise InputError("picture", "neither path nor base64", expected="one of them")
        most, length = self._limits.max_bytes, len(photo.base64)
        if length > most * 4 // 3 + 4:
            raise InputError("base64", f"{length} characters", expected=f"{most} bytes at most")
        try:
            return base64.b64decode(photo.base64, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InputError("base64", "none", expected="a picture file in base64") from error

    def _inside(self, path: str) -> Path:
        """The file itself, links followed. Refused before anything is said of what is there."""
        try:
            file = Path(path).resolve()
        except (OSError, ValueError, RuntimeError):
            file = None
        if file is None or not any(file.is_relative_to(one) for one in self._folders):
            allowed = ", ".join(map(str, self._folders))
            raise AccessRefused(
                path[:200],
                "outside of the folders that may be read",
                expected=f"a picture in {allowed}" if allowed else "the picture itself in base64",
                do="Whoever starts `kenspeckle mcp` allows folders by --allow",
            )
        return file


TOOLS = (
    Tool(
        "identify_picture",
        "Identify a picture",
        "Say which item of the gallery a picture shows, or that it is none of them, and why.",
        Photo,
        Assistant.identify,
    ),
    Tool(
        "list_items",
        "List the items",
        "List what is in the gallery: items with their key, label and number of references.",
        Wanted,
        Assistant.items,
    ),
    Tool(
        "similar_items",
        "Find similar items",
        "Name the items that look most like a picture, or like an item; nothing is decided.",
        Similar,
        Assistant.similar,
    ),
    Tool(
        "confirm",
        "Confirm what a picture shows",
        "Keep a picture as a reference of the item that it shows, once a person has said so.",
        Confirmation,
        Assistant.confirm,
        changes=True,
    ),
)


def _decided(one: Decision) -> dict[str, Any]:
    return {
        "known": one.known,
        "key": one.key,
        "label": one.label,
        "variant": one.variant,
        "variant_certain": one.variant_certain,
        "confidence": one.confidence,
        "reasons": list(one.reasons),
        "candidates": [_candidate(each) for each in one.candidates],
    }


def _candidate(one: Candidate) -> dict[str, Any]:
    return {
        "key": one.key,
        "label": one.label,
        "similarity": round(one.similarity, 4),
        "reference": one.reference.path,
    }


def _item(one: Item) -> dict[str, Any]:
    return {
        "key": one.key,
        "label": one.label,
        "variants": list(one.variants),
        "references": one.references,
    }


def _faults(error: ValidationError) -> tuple[str, bool]:
    """What is wrong with arguments, in one sentence that repeats none of their values, and whether
    one has another name than is known, or is not there."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    told = [
        f"{'.'.join(map(str, one['loc']))[:80]}: {_NAMED.get(one['type'], one['msg'])}"
        for one in faults[:3]
    ]
    more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
    return "; ".join(told) + more, any(one["type"] in _NAMED for one in faults)
