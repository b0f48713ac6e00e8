"""Arrays of text that numpy wrote as objects, which means as a pickle.

Such a pickle holds three globals: the function that makes an array, and the classes of the array
and of its type. Stand-ins of our own are put in their place, so not even numpy sees what a file
says; they keep the list of elements and nothing else.
"""

from __future__ import annotations

from typing import Any

from kenspeckle._foreign.unpickle import restricted_load
from kenspeckle.errors import UnsafeFile


class _ArrayClass:
    """Stands for the class `numpy.ndarray`, which a file names but need not call."""


class _Type:
    """Stands for `numpy.dtype`: keeps its code."""

    def __init__(self, code: object = "", *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """The state of a type of objects says nothing that is needed."""


class _Array:
    """Stands for an array: keeps its shape and elements."""

    shape: object = ()
    code: object = ""
    elements: object = ()

    def __setstate__(self, state: tuple[object, ...]) -> None:
        _, self.shape, kind, _, self.elements = state
        self.code = kind.code if isinstance(kind, _Type) else ""


def _reconstruct(*_: object) -> _Array:
    return _Array()


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _ArrayClass,
    ("numpy", "dtype"): _Type,
}


def read_texts(pickled: bytes, count: int, thing: str) -> list[str]:
    """The elements of a pickled object array `(count,)` of text. Nothing in it is executed.

    `thing` names the file and member in errors. Raises UnsafeFile for any other global than the
    array's own three, and for anything but that many texts.
    """
    found = restricted_load(pickled, _ALLOWED, thing)
    expected = f"{count} texts"
    if not isinstance(found, _Array) or found.code not in ("O8", "O4", "O", "|O"):
        raise UnsafeFile(thing, "a pickle that is not an array of objects", expected=expected)
    elements = found.elements
    if found.shape != (count,) or not isinstance(elements, list) or len(elements) != count:
        raise UnsafeFile(thing, f"an array of shape {found.shape!r:.60}", expected=expected)
    if not all(type(element) is str for element in elements):
        raise UnsafeFile(thing, "elements that are not text", expected=expected)
    return elements
