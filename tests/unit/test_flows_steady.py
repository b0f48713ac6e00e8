"""An index that is exchanged in the midst of an answer: the answer is of one of the two."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kenspeckle import Gallery
from kenspeckle.config import ModelSettings, Settings
from kenspeckle.store.base import Hits

SETTINGS = Settings(models=ModelSettings(name="dummy"))


def picture(number: int) -> Image.Image:
    coarse = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize((160, 120), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("kind", ["ken", "npz"])
@pytest.mark.parametrize("way", ["identify", "answer", "search", "nearest"])
def test_an_answer_never_mixes_two_files(tmp_path: Path, monkeypatch, kind: str, way: str):
    """The other file has the same pictures under other ids: names by its ids would be wrong."""
    places = [tmp_path / f"one.{kind}", tmp_path / f"other.{kind}"]
    for place, numbers in zip(places, (range(6), range(5, -1, -1)), strict=True):
        folder = tmp_path / place.stem
        folder.mkdir()
        for order, number in enumerate(numbers):
            picture(number).save(folder / f"{order}_{place.stem}_{number}.png")
        with Gallery.create(place, settings=SETTINGS) as made:
            made.index(folder)
    swapped = []
    with Gallery.open(places[0], settings=SETTINGS) as gallery:
        search = gallery.store.search

        def exchanged(*words: object, **more: object) -> Hits:
            found = search(*words, **more)  # type: ignore[arg-type]
            if not swapped:
                swapped.append(places[1].replace(places[0]))
                gallery.store.refresh()
            return found

        monkeypatch.setattr(gallery.store, "search", exchanged)
        asked = np.asarray(picture(2))
        if way == "answer":
            name = gallery.answer(asked).decision.candidates[0].label
        elif way == "identify":
            name = gallery.identify(asked).candidates[0].label
        elif way == "search":
            name = gallery.search(asked)[0].label
        else:
            name = gallery.nearest(gallery.vector(asked))[0].label
    assert swapped
    assert name == "3 other 2"
