"""Arrays of text that numpy wrote as objects, which means as a pickle.

Such a pickle holds three globals: the function that makes an array, and the classes of the array
and of its type. Stand-ins of our own are put in their place, so not even numpy sees what a file
says; they keep the list of elements and nothing else.
"""

from __future__ import annotations

from typing import Any

from kenspeckle._foreign.unpickle import Sealed, restricted_load
from kenspeckle.errors import UnsafeFile


class _ArrayClass(Sealed):
    """Stands for the class `numpy.ndarray`, which a file names but need not call."""

    __slots__ = ()


class _Type:
    """Stands for a type: keeps its code."""

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


class _TypeClass(Sealed):
    """Stands for the class `numpy.dtype`."""

    __slots__ = ()

    def __call__(self, *arguments: object) -> _Type:
        return _Type(*arguments)


class _Reconstruct(Sealed):
    """Stands for numpy's function that makes an array."""

    __slots__ = ()

    def __call__(self, *_: object) -> _Array:
        return _Array()


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Reconstruct(),
    ("numpy._core.multiarray", "_reconstruct"): _Reconstruct(),
    ("numpy", "ndarray"): _ArrayClass(),
    ("numpy", "dtype"): _TypeClass(),
}


def read_texts(pickled: bytes, count: int, thing: str) -> list[str]:
    """The elements of a pickled object array `(count,)` of text. Nothing in it is executed.

    `thing` names the file and member in errors. Raises UnsafeFile for any other global than the
    array's own three, and for anything but that many texts.
    """
    found = restricted_load(pickled, _ALLOWED, thing)
    expected = f"{count} texts"
    if type(found) is not _Array or found.code not in ("O8", "O4", "O", "|O"):
        raise UnsafeFile(thing, "a pickle that is not an array of objects", expected=expected)
    shape, elements = found.shape, found.elements
    if type(shape) is not tuple or not all(type(size) is int for size in shape):
        raise UnsafeFile(thing, "an array whose shape is no tuple of sizes", expected=expected)
    if shape != (count,) or type(elements) is not list or len(elements) != count:
        raise UnsafeFile(thing, "an array of another shape", expected=expected)
    if not all(type(element) is str for element in elements):
        raise UnsafeFile(thing, "elements that are not text", expected=expected)
    return elements
