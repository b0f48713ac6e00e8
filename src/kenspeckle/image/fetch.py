"""Pictures from addresses."""

from __future__ import annotations

from kenspeckle.config import ImageSettings
from kenspeckle.errors import FetchError


def fetch(url: str, limits: ImageSettings) -> bytes:
    """The body at an http(s) address. Raises FetchError."""
    raise FetchError(url, "addresses are not fetched")
