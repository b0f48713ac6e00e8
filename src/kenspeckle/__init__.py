"""Kenspeckle: show it a picture and it says which of your things it is, or none of them, and why.

    >>> import kenspeckle
    >>> sorted(kenspeckle.__all__)
    ['Gallery', 'KenspeckleError', '__version__']

Importing the package loads nothing heavy; `Gallery` is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kenspeckle.errors import KenspeckleError

if TYPE_CHECKING:
    from kenspeckle.gallery import Gallery

__version__ = "0.1.0"
__all__ = ["Gallery", "KenspeckleError", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Gallery":
        from kenspeckle.gallery import Gallery

        return Gallery
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
