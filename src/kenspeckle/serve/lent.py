"""An embedder that several galleries hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kenspeckle.serve.resident import Resident
from kenspeckle.types import Fingerprint, Float32
from kenspeckle.vectors.base import Embedder

if TYPE_CHECKING:
    from PIL.Image import Image

    from kenspeckle.vectors.pipeline import StageTimes
    from kenspeckle.vectors.preprocess import Size


class Lent:
    """See `Embedder`. Each call uses what is resident, so its memory is the pool's to give back."""

    def __init__(self, inner: Embedder, resident: Resident[Embedder]) -> None:
        self._inner, self._resident = inner, resident

    @property
    def fingerprint(self) -> Fingerprint:
        """See `Embedder`."""
        return self._inner.fingerprint

    @property
    def space_id(self) -> str:
        """See `Embedder`."""
        return self._inner.space_id

    @property
    def width(self) -> int:
        """See `Embedder`."""
        return self._inner.width

    @property
    def device(self) -> str:
        """See `Embedder`."""
        with self._resident.use() as inner:
            return inner.device

    @property
    def note(self) -> str:
        """See `Embedder`."""
        with self._resident.use() as inner:
            return inner.note

    @property
    def joined(self) -> int:
        """See `Embedder`."""
        return self._inner.joined

    @property
    def cohort(self) -> Float32 | None:
        """See `Embedder`."""
        return self._inner.cohort

    def vector(
        self, image: Image, times: StageTimes | None = None, full: Size | None = None
    ) -> Float32:
        """See `Embedder`."""
        with self._resident.use() as inner:
            return inner.vector(image, times, full)

    def vectors(self, images: Sequence[Image], times: StageTimes | None = None) -> Float32:
        """See `Embedder`."""
        with self._resident.use() as inner:
            return inner.vectors(images, times)

    def close(self) -> None:
        """Nothing: others may hold it. The pool gives the memory back."""
