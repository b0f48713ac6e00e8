"""Calibrations beside changes: fitted on one commit, told how far they are, stopped on the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from drawing import draw

from kenspeckle import Gallery
from kenspeckle.config import ModelSettings, Settings
from kenspeckle.errors import IndexBusy
from kenspeckle.flows.index import Step

SETTINGS = Settings(models=ModelSettings(name="dummy"))
ITEMS = 8


class Stopped(Exception):
    """Whoever asked wants no more of it."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "shelf"
    made.mkdir()
    for place in range(ITEMS):
        draw(place).save(made / f"thing {place}.png")
    return made


@pytest.fixture
def gallery(folder: Path, tmp_path: Path) -> Gallery:
    made = Gallery.create(tmp_path / "g.ken", settings=SETTINGS)
    made.index(folder)
    return made


@pytest.mark.parametrize("seconds", [None, 30.0])
def test_what_is_erased_meanwhile_is_in_the_trials_and_leaves_them_out_of_date(
    gallery: Gallery, seconds: float | None
) -> None:
    left = [item.key for item in gallery.items()]

    def erase(step: Step) -> None:
        if step.done % 2 and len(left) > 2:
            gallery.remove(left.pop())

    made = gallery.calibrate(seconds, views=None if seconds else 2, progress=erase)
    assert made is not None
    assert len(left) == 2
    assert made.items == ITEMS  # as many as there were
    assert gallery.stale == "references were added or removed since"
    again = gallery.calibrate(0.5)
    assert again is not None
    assert (again.items, gallery.stale) == (2, "")


@pytest.mark.slow
def test_a_full_one_looks_a_second_time_at_what_is_gone(gallery: Gallery) -> None:
    pytest.importorskip("cv2")
    left = [item.key for item in gallery.items()]

    def erase(step: Step) -> None:
        if step.done % 4 == 1 and len(left) > 4:
            gallery.remove(left.pop())

    made = gallery.calibrate(views=1, second_look="orb", progress=erase)
    assert made is not None
    assert made.items == ITEMS


def test_a_quick_one_is_stopped_at_its_next_step(gallery: Gallery) -> None:
    before, steps = gallery.calibration, []

    def stop(step: Step) -> None:
        steps.append(step)
        raise Stopped

    with pytest.raises(Stopped):
        gallery.calibrate(600.0, progress=stop)
    assert len(steps) == 1
    assert gallery.calibration == before


def test_trials_of_the_cohort_are_steps_too(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = gallery.embedder
    cohort = gallery.store.rows()
    monkeypatch.setattr(type(embedder), "cohort", property(lambda _: cohort), raising=False)
    steps: list[Step] = []
    gallery.calibrate(0.2, progress=steps.append)
    assert steps[0].done == 0
    assert [step.done for step in steps[1:]] == list(range(1, len(steps)))
    assert {step.total for step in steps} == {steps[0].total}


def test_a_run_that_closes_with_a_calibration_can_be_stopped_there(
    folder: Path, tmp_path: Path
) -> None:
    def stop(step: Step) -> None:
        if not step.path:
            assert step.done == step.total == ITEMS
            raise Stopped

    with Gallery.create(tmp_path / "other.ken", settings=SETTINGS) as gallery:
        with pytest.raises(Stopped):
            gallery.index(folder, progress=stop)
        assert len(gallery) == ITEMS
        assert gallery.calibration is None


@pytest.mark.parametrize("kind", ["ken", "npz"])
def test_the_rule_of_one_file_is_not_stored_in_another(
    folder: Path, tmp_path: Path, kind: str
) -> None:
    path, another = tmp_path / f"one.{kind}", tmp_path / f"another.{kind}"
    for one in (path, another):
        with Gallery.create(one, settings=SETTINGS) as made:
            made.index(folder)
            assert made.calibration is not None
            rule = replace(made.calibration, notes=(f"of {one.name}",))
            made.store.set_calibration(rule)

    def exchange(_: Step) -> None:
        if another.exists():
            another.replace(path)

    with Gallery.open(path, settings=SETTINGS, write=True) as gallery:
        with pytest.raises(IndexBusy, match="while it was calibrated"):
            gallery.calibrate(0.5, progress=exchange)
        assert gallery.calibration == rule
