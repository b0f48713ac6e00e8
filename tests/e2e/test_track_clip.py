"""A real clip: things pass on a conveyor, three of them enrolled from one crop each."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kenspeckle import Gallery
from kenspeckle.match.sighting import Sighting, sighted
from kenspeckle.match.track import Scene, advance, follow

CLIP = "data/videos/fruit-and-vegetable-detection.gif"
SECONDS = 0.07
ENROLLED = {"apple": 10, "broccoli": 30, "orange": 96}
"""The frame that each is cut out of; the cauliflower between them is a stranger."""

Box = tuple[int, int, int, int]


def moving(pixels: np.ndarray, empty: np.ndarray) -> list[Box]:
    """Boxes of what stands before the empty conveyor, from left to right."""
    changed = np.abs(pixels.astype(float) - empty).max(axis=2) > 45
    columns = np.concatenate([[0], changed.sum(axis=0) > 4, [0]]).astype(int)
    edges = np.flatnonzero(np.diff(columns))
    runs: list[list[int]] = []
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if runs and start - runs[-1][1] < 12:
            runs[-1][1] = stop
        else:
            runs.append([start, stop])
    found = []
    for start, stop in runs:
        rows = np.flatnonzero(changed[:, start:stop].sum(axis=1) > 3)
        if stop - start >= 25:
            found.append((start, int(rows[0]), stop, int(rows[-1]) + 1))
    return found


def sharpness(crop: Image.Image) -> float:
    return float(np.abs(np.diff(np.asarray(crop.convert("L"), float), axis=1)).mean())


@pytest.fixture(scope="module")
def seen(
    assets: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[float, list[Sighting]]]:
    """Every frame's sightings, named by a gallery of three crops."""
    frames = []
    with Image.open(assets / CLIP) as clip:
        for number in range(clip.n_frames):  # type: ignore[attr-defined]
            clip.seek(number)
            frames.append(clip.convert("RGB"))
    empty = np.median(np.stack([np.asarray(frame) for frame in frames]), axis=0)
    boxes = [moving(np.asarray(frame), empty) for frame in frames]
    folder = tmp_path_factory.mktemp("crops")
    for name, number in ENROLLED.items():
        frames[number].crop(boxes[number][-1]).save(folder / f"{name}.png")
    found = []
    with Gallery.create(folder / "g.ken") as gallery:
        gallery.index(folder)
        for number, (frame, places) in enumerate(zip(frames, boxes, strict=True)):
            crops = [frame.crop(box) for box in places]
            told = [
                sighted(
                    box,
                    gallery.identify(np.asarray(crop)),
                    sharpness=sharpness(crop),
                    vector=gallery.embedder.vector(crop),
                )
                for box, crop in zip(places, crops, strict=True)
            ]
            found.append((SECONDS * number, told))
    return found


@pytest.mark.assets
@pytest.mark.slow
def test_each_thing_has_one_track_and_its_name(seen):
    tracks = follow(seen)
    assert [track.name for track in tracks] == ["apple", "broccoli", "", "orange"]
    assert all(set(track.held) <= {track.name} for track in tracks)


@pytest.mark.assets
@pytest.mark.slow
def test_a_wrong_frame_in_six_changes_no_name(seen):
    others = {"apple": "orange", "broccoli": "apple", "orange": "broccoli"}
    scene, names = Scene(), dict[int, set[str]]()
    for number, (at, told) in enumerate(seen):
        if number % 6 == 5:
            told = [replace(one, key=others[one.key], vote=2.0) for one in told]
        scene = advance(scene, at, told)
        for track in scene.tracks:
            names.setdefault(track.id, set()).add(track.key)
    found = [names[number] - {""} for number in sorted(names)]
    assert found == [{"apple"}, {"broccoli"}, set(), {"orange"}]


@pytest.mark.assets
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_third_of_the_frames_may_be_missing(seen, seed):
    draw = random.Random(seed)
    tracks = follow([frame for frame in seen if draw.random() > 1 / 3])
    assert [track.name for track in tracks] == ["apple", "broccoli", "", "orange"]
