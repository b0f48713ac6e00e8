"""A calibration at the start of the service, while others calibrate or exchange the index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from drawing import draw_folder

from kenspeckle import Gallery
from kenspeckle.config import IndexSettings, ModelSettings, Settings
from kenspeckle.flows.calibrate import quick
from kenspeckle.flows.opened import Opened
from kenspeckle.serve import ready
from kenspeckle.serve.ready import calibrated
from kenspeckle.types import Calibration

DUMMY = Settings(models=ModelSettings(name="dummy"), index=IndexSettings(calibrate=False))
Meanwhile = Callable[[Callable[[], object]], list[object]]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    with Gallery.create(tmp_path / "things.ken", settings=DUMMY) as made:
        made.index(draw_folder(tmp_path / "things"))
    return tmp_path / "things.ken"


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Do something once, as soon as a quick calibration is made and not yet kept."""

    def once(change: Callable[[], object]) -> list[object]:
        done: list[object] = []

        def fitted(opened: Opened, *, seconds: float) -> Calibration | None:
            made = quick(opened, seconds=min(seconds, 0.3))
            if not done:
                done.append(change())
            return made

        monkeypatch.setattr(ready, "quick", fitted)
        return done

    return once


def marked(path: Path, note: str) -> Calibration | None:
    """Store a rule as another process would, with a note to know it by."""
    with Gallery.open(path, settings=DUMMY, write=True) as other:
        made = other.calibrate(0.3)
        assert made is not None
        other.store.set_calibration(replace(made, notes=(note,)))
        return other.calibration


def test_a_rule_that_is_stored_meanwhile_stays(index: Path, meanwhile: Meanwhile) -> None:
    done = meanwhile(lambda: marked(index, "of another process"))
    with Gallery.open(index, settings=DUMMY) as reading:
        assert calibrated(reading) == "somebody else made one just now"
        assert [reading.calibration] == done


@pytest.mark.parametrize("rule", [False, True])
@pytest.mark.parametrize("kind", ["ken", "npz"])
def test_a_file_put_in_the_place_of_the_index_gets_a_rule_of_its_own(
    index: Path, tmp_path: Path, meanwhile: Meanwhile, kind: str, rule: bool
) -> None:
    path, other = tmp_path / f"served.{kind}", tmp_path / f"other.{kind}"
    with Gallery.open(index, settings=DUMMY) as gallery:
        gallery.export(path)
    with Gallery.create(other, settings=DUMMY) as made:
        made.index(draw_folder(tmp_path / "others", count=4))
    if rule:
        marked(other, "its own")
    meanwhile(lambda: other.replace(path))
    with Gallery.open(path, settings=DUMMY) as reading:
        said = calibrated(reading)
        found = reading.calibration
        assert found is not None
        assert found.items == 4
        assert ("its own" in found.notes, "somebody else" in said) == (rule, rule)
