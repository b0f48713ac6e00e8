"""copy(gallery, file): everything an index holds into a new file, whatever its kind."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import islice
from pathlib import Path

from kenspeckle.store.base import Enrolled, Store
from kenspeckle.store.open import create_store

ROWS = 4096
"""References copied at once, so that memory stays small whatever the gallery's size."""


def copy(store: Store, path: str | os.PathLike[str]) -> int:
    """Write references, vectors, thumbnails and calibration to a new index; how many references.

    `.npz` by that suffix (which holds no thumbnails), an index file by any other name. A copy
    that fails leaves no file behind. Raises GalleryError if there is a file already,
    IndexReadOnly.
    """
    made = create_store(path, store.manifest)
    try:
        pairs = iter(store.references())
        while batch := list(islice(pairs, ROWS)):
            vectors = store.rows([number for number, _ in batch])
            made.add(
                [
                    Enrolled(reference, vector, store.thumbnail(number))
                    for (number, reference), vector in zip(batch, vectors, strict=True)
                ]
            )
        calibration = store.calibration()
        if calibration is not None:
            fits = calibration.change == store.change()
            made.set_calibration(replace(calibration, change=made.change() if fits else -1))
        count = len(made)
        made.close()
    except BaseException:
        made.close()
        Path(path).unlink(missing_ok=True)
        raise
    return count
