"""What is enrolled: items and their references; and what people said about answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from kenspeckle.types.arrays import Float32


class _Empty(dict[str, str]):
    """A table that takes no entry, yet is copied, pickled and written as JSON like any other."""

    def __setitem__(self, key: str, value: str) -> None:
        raise TypeError("a reference cannot be changed: make another")


NO_METADATA: Mapping[str, str] = _Empty()


@dataclass(frozen=True, slots=True)
class Reference:
    """One enrolled picture of an item.

    `path` identifies it inside a gallery: relative to the references folder with `/`, or an
    address. `filename` is its last part. `view` names the camera view it was made by, empty for
    the picture itself; a view is never counted as a reference. `size` and `mtime_ns` are those of
    the file when it was embedded. `origin` is empty for what the references folder or table lists
    and `added` for what was added by hand, which a later sync with the folder leaves alone.
    """

    key: str
    label: str
    path: str
    variant: str = ""
    sha256: str = ""
    size: int = -1
    mtime_ns: int = -1
    view: str = ""
    origin: str = ""
    metadata: Mapping[str, str] = field(default_factory=lambda: NO_METADATA)

    @property
    def filename(self) -> str:
        """The last part of the path, without folder."""
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Item:
    """One thing with an identity. `references` counts its pictures, views left out."""

    key: str
    label: str
    variants: tuple[str, ...] = ()
    references: int = 0


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person said about an answer.

    `confirmed`: the photo shows the item `key`. `rejected`: it does not, though it was named so.
    `rows` are the unit vectors `(k, D)` of the photo's regions under the rule `regions`; `name` is
    what the photo was called, `sha256` of its bytes. `id` is the store's number, 0 before.
    """

    kind: Literal["confirmed", "rejected"]
    key: str
    name: str
    sha256: str
    date: str
    regions: str
    rows: Float32
    id: int = 0
