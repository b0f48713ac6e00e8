"""A run over the references folder while another file is put in the place of the index."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kenspeckle import Gallery
from kenspeckle.catalog.sync import Plan
from kenspeckle.config import IndexSettings, ModelSettings, Settings
from kenspeckle.errors import IndexBusy
from kenspeckle.flows import index
from kenspeckle.flows.index import Step

SETTINGS = Settings(models=ModelSettings(name="dummy"), index=IndexSettings(calibrate=False))
ITEMS = 6


@pytest.fixture(params=["ken", "npz"])
def kind(request) -> str:
    return request.param


@pytest.fixture
def folder(drawn, tmp_path) -> Path:
    return filled(tmp_path / "things", "thing", drawn)


@pytest.fixture
def path(kind, folder, tmp_path) -> Path:
    return indexed(tmp_path / f"g.{kind}", folder)


@pytest.fixture
def other(kind, drawn, tmp_path) -> Path:
    """Another index of the same model and size, and so with the same numbers."""
    return indexed(tmp_path / f"other.{kind}", filled(tmp_path / "others", "other", drawn))


def filled(folder: Path, name: str, drawn) -> Path:
    folder.mkdir()
    for place in range(ITEMS):
        drawn(place + 100 * len(name)).save(folder / f"{name} {place}.png")
    return folder


def indexed(path: Path, folder: Path) -> Path:
    with Gallery.create(path, settings=SETTINGS) as made:
        made.index(folder)
    return path


def held(path: Path) -> object:
    """All that an index says of its references and of itself."""
    with Gallery.open(path, settings=SETTINGS) as gallery:
        return list(gallery.store.references()), gallery.store.manifest


def disarranged(folder: Path) -> None:
    """Pictures that vanished, one that moved, one whose time alone is another."""
    (folder / "thing 0.png").unlink()
    (folder / "thing 1.png").unlink()
    (folder / "thing 2.png").rename(folder / "else.png")
    os.utime(folder / "thing 3.png", (1, 1))


@pytest.mark.parametrize("writer", [False, True])
def test_a_run_that_is_overtaken_leaves_the_other_index_as_it_is(
    folder, path, other, drawn, writer
):
    disarranged(folder)
    drawn(50).save(folder / "new.png")
    before = held(other)

    def exchange(_: Step) -> None:
        if other.exists():
            other.replace(path)

    with (
        Gallery.open(path, settings=SETTINGS, write=writer) as gallery,
        pytest.raises(IndexBusy, match=r"another file was put in its place|replaced it"),
        gallery.writing(),
    ):
        gallery.index(folder, progress=exchange)
    assert held(path) == before


@pytest.mark.parametrize("part", ["touch", "relabel", "remove"])
def test_what_needs_no_model_is_not_done_to_the_other_index(folder, path, other, part):
    disarranged(folder)
    before = held(other)
    with Gallery.open(path, settings=SETTINGS, write=True) as gallery:
        whole, edition = gallery.plan(folder), gallery.store.edition
        own = Plan(**{part: getattr(whole, part)})
        assert own
        other.replace(path)
        with pytest.raises(IndexBusy, match=r"another file was put in its place|replaced it"):
            index.rearrange(gallery.store, own, edition)
    assert held(path) == before


def test_no_folder_is_noted_in_the_other_index(folder, path, other):
    before = held(other)
    with Gallery.open(path, settings=SETTINGS, write=True) as gallery:
        edition = gallery.store.edition
        other.replace(path)
        with pytest.raises(IndexBusy, match=r"another file was put in its place|replaced it"):
            index.note(gallery.store, "plain", "/elsewhere", edition)
    assert held(path) == before


def test_an_overtaken_run_does_not_calibrate_the_other_index(folder, path, other, drawn):
    drawn(50).save(folder / "new.png")

    def exchange(step: Step) -> None:
        if not step.path and other.exists():
            other.replace(path)

    calibrating = Settings(models=SETTINGS.models)
    with (
        pytest.raises(IndexBusy, match=r"while it was calibrated|replaced it"),
        Gallery.open(path, settings=calibrating, write=True) as gallery,
    ):
        gallery.index(folder, progress=exchange)
    with Gallery.open(path, settings=SETTINGS) as now:
        assert now.calibration is None
