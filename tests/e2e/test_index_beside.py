"""A run over the references folder while others rename and erase: what they did stays done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kenspeckle import Gallery
from kenspeckle.config import IndexSettings, ModelSettings, Settings
from kenspeckle.flows.enrol import Newcomer
from kenspeckle.flows.index import IndexReport, Step

SETTINGS = Settings(
    models=ModelSettings(name="dummy"), index=IndexSettings(calibrate=False, views=1)
)
ITEMS = 4


@pytest.fixture
def folder(drawn, tmp_path) -> Path:
    made = tmp_path / "things"
    made.mkdir()
    for place in range(ITEMS):
        drawn(place).save(made / f"thing {place}.png")
    return made


@pytest.fixture(params=["ken", "npz"])
def gallery(request, folder, tmp_path):
    with Gallery.create(tmp_path / f"g.{request.param}", settings=SETTINGS) as made:
        made.index(folder)
        yield made


@pytest.fixture
def beside(gallery, folder, drawn) -> Callable[[Callable[[], object]], IndexReport]:
    """Run over the folder, one picture of which is new, and do something in the midst of it."""

    def run(change: Callable[[], object]) -> IndexReport:
        drawn(50).save(folder / "new.png")
        done: list[object] = []

        def step(_: Step) -> None:
            if not done:
                done.append(change())

        return gallery.index(folder, progress=step)

    return run


def keys(gallery: Gallery) -> list[str]:
    return [item.key for item in gallery.items()]


def settled(gallery: Gallery, folder: Path) -> bool:
    """Whether another run would find nothing to do."""
    return not gallery.plan(folder)


def test_a_picture_that_changed_is_stored_under_the_name_given_meanwhile(
    gallery, folder, drawn, beside
):
    drawn(60).save(folder / "thing 3.png")
    report = beside(lambda: gallery.rename("thing 3", "Tower", new_key="tower"))
    assert (report.added, report.changed) == (1, 1)
    assert keys(gallery) == ["new", "thing 0", "thing 1", "thing 2", "tower"]
    assert gallery.item("tower").label == "Tower"
    assert gallery.identify(folder / "thing 3.png").candidates[0].key == "tower"
    assert settled(gallery, folder)


def test_a_new_picture_of_a_renamed_item_joins_it(gallery, folder, drawn, beside):
    drawn(61).save(folder / "thing 3__2.png")
    beside(lambda: gallery.rename("thing 3", "Tower", new_key="tower"))
    assert gallery.item("tower").references == 2
    assert "thing 3" not in keys(gallery)
    assert settled(gallery, folder)


@pytest.mark.parametrize("new_key", ["", "tower"])
def test_a_file_that_moved_does_so_under_the_name_given_meanwhile(gallery, folder, beside, new_key):
    (folder / "thing 3.png").rename(folder / "thing 3__2.png")
    report = beside(lambda: gallery.rename("thing 3", "Tower", new_key=new_key))
    assert (report.added, report.relabelled, report.removed) == (1, 1, 0)
    (one,) = gallery.references(new_key or "thing 3")
    assert (one.path, one.label) == ("thing 3__2.png", "Tower")
    assert len(gallery.store) == 2 * (ITEMS + 1)
    assert settled(gallery, folder)


def test_a_file_that_moved_is_passed_over_where_its_reference_is_erased_meanwhile(
    gallery, folder, beside
):
    for place in (2, 3):
        (folder / f"thing {place}.png").rename(folder / f"thing {place}__2.png")
    report = beside(lambda: gallery.remove("thing 3"))
    assert (report.added, report.relabelled, report.removed) == (1, 1, 0)
    assert keys(gallery) == ["new", "thing 0", "thing 1", "thing 2"]
    assert [one.path for one in gallery.references("thing 2")] == ["thing 2__2.png"]
    assert gallery.index(folder).added == 1  # the next run finds it where it lies
    assert settled(gallery, folder)


def test_a_picture_that_changed_stays_erased_where_it_is_erased_meanwhile(
    gallery, folder, drawn, beside
):
    for place in (2, 3):
        drawn(60 + place).save(folder / f"thing {place}.png")
    report = beside(lambda: gallery.remove("thing 3"))
    assert (report.added, report.changed, report.removed) == (1, 1, 0)
    assert keys(gallery) == ["new", "thing 0", "thing 1", "thing 2"]
    assert len(gallery.store) == 2 * ITEMS
    assert gallery.index(folder).added == 1  # what lies there is found by the next run
    assert settled(gallery, folder)


def test_a_run_whose_changed_pictures_are_all_erased_meanwhile_stores_none(gallery, folder, drawn):
    drawn(63).save(folder / "thing 3.png")
    report = gallery.index(folder, progress=lambda _: gallery.remove("thing 3"))
    assert (report.added, report.changed, report.removed) == (0, 0, 0)
    assert keys(gallery) == ["thing 0", "thing 1", "thing 2"]


def test_what_vanished_goes_whatever_it_is_called_by_then(gallery, folder, beside):
    (folder / "thing 3.png").unlink()
    (folder / "thing 2.png").unlink()

    def change() -> None:
        gallery.rename("thing 3", "Tower", new_key="tower")
        gallery.remove("thing 2")

    report = beside(change)
    assert (report.added, report.removed) == (1, 1)
    assert keys(gallery) == ["new", "thing 0", "thing 1"]
    assert settled(gallery, folder)


@pytest.mark.parametrize("new_key", ["", "tower"])
def test_by_hand_keeps_the_name_given_meanwhile(gallery, folder, drawn, beside, new_key, tmp_path):
    drawn(70).save(tmp_path / "photo.png")
    gallery.add(tmp_path / "photo.png", key="thing 3")
    (folder / "labels.csv").write_text(
        "filename,key,label\nthing 3.png,thing 3,Turm\n", encoding="utf-8"
    )
    beside(lambda: gallery.rename("thing 3", "Tower", new_key=new_key))
    assert {one.label for one in gallery.references(new_key or "thing 3")} == {"Tower"}
    assert gallery.item(new_key or "thing 3").references == 2
    assert settled(gallery, folder)


def test_another_picture_put_in_the_place_of_one_that_vanished_stays(
    gallery, folder, drawn, beside, tmp_path
):
    (folder / "thing 3.png").unlink()
    drawn(71).save(tmp_path / "photo.png")

    def change() -> None:
        ids = gallery.store.select({"key": "thing 3"}).tolist()
        (path,) = {one.path for one in gallery.store.get(ids)}
        gallery.remove("thing 3")
        data = (tmp_path / "photo.png").read_bytes()
        gallery.enrol([gallery.prepare(Newcomer(data, path=path, key="thing 3"))])

    report = beside(change)
    assert report.removed == 0
    assert gallery.item("thing 3").references == 1
