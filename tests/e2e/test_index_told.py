"""What `index` and `remove` tell of what they could not do, and of what comes after."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from drawing import draw, draw_folder
from started import DUMMY

from kenspeckle import Gallery
from kenspeckle.errors import CatalogError
from kenspeckle.flows import index as flow

if TYPE_CHECKING:
    from commands import Command


@pytest.fixture
def things(tmp_path: Path) -> Path:
    return draw_folder(tmp_path / "things")


@pytest.mark.parametrize("name", ["gallery.ken", "gallery.npz"])
def test_a_changed_picture_that_is_broken_is_told_of(command: Command, things: Path, name: str):
    words = ("index", things, "--out", name, "--no-calibrate")
    command(*words)
    (things / "thing_2.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (things / "new.png").write_bytes(b"broken from the start")
    told = command(*words).out
    assert (
        "thing_2.png has changed and cannot be used now, so the former picture still answers"
        in told
    )
    assert "new.png has" not in told
    for number in (0, 1, 3, 4):
        (things / f"thing_{number}.png").write_bytes(b"broken")
    data = command(*words, "--json").told
    (note,) = data["notes"]
    assert note == (
        "thing_0.png, thing_1.png, thing_2.png and 2 more have changed and cannot be used now, so "
        "the former pictures still answer"
    )
    assert data["unchanged"] == 1
    assert len(Gallery.open(name, settings=DUMMY)) == 6


def vanishing(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let the folder vanish when it has been listed and nothing of it is read."""
    guard = flow.guard

    def checked(*given: object) -> None:
        guard(*given)
        shutil.rmtree(folder)

    monkeypatch.setattr(flow, "guard", checked)


@pytest.mark.parametrize("name", ["gallery.ken", "gallery.npz"])
def test_a_folder_that_vanishes_in_the_middle_of_a_run_is_an_error(
    command: Command, things: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    command("index", things, "--out", name, "--no-calibrate")
    for seed in (20, 21, 22):
        draw(seed).save(things / f"thing_{seed}.png")
    vanishing(monkeypatch, things)
    done = command("index", things, "--out", name, code=1)
    assert "it vanished while it was indexed, so 3 of 3 pictures could not be read" in done.err
    assert "What was read before is kept" in done.err
    with Gallery.open(name, settings=DUMMY) as gallery:
        assert len(gallery) == 6


def test_a_table_whose_folder_vanishes_is_an_error_too(things: Path, tmp_path: Path, monkeypatch):
    table = tmp_path / "things.csv"
    rows = [f"{one.name},{one.stem}\n" for one in sorted(things.iterdir())]
    table.write_text("path,label\n" + "".join(rows[:3]))
    with Gallery.create(tmp_path / "g.ken", settings=DUMMY) as gallery:
        gallery.index(things, table=table)
        table.write_text("path,label\n" + "".join(rows))
        vanishing(monkeypatch, things)
        with pytest.raises(CatalogError, match="3 of 3 pictures could not be read"):
            gallery.index(things, table=table)
        assert len(gallery) == 3


def test_single_broken_pictures_end_with_0_as_the_page_of_exit_codes_says(
    command: Command, things: Path
):
    (things / "broken.png").write_bytes(b"no picture")
    assert "1 picture could not be used" in command("index", things, "--no-calibrate", code=0).out
    page = Path(__file__).parents[2] / "docs" / "reference" / "commands.md"
    said = page.read_text(encoding="utf-8").replace("\n", " ")
    assert "Pictures that `index` cannot use are named and do not make it fail" in said


def test_remove_says_what_comes_of_it(command: Command, things: Path, tmp_path: Path):
    command("index", things)
    draw(60).save(tmp_path / "extra.png")
    command("add", "extra.png", "--label", "Blue Mug")
    added = command("remove", "blue mug").out
    assert "enrols again" not in added  # it lies in no folder that is indexed
    listed = command("remove", "thing_0.png").out
    assert f"The next `kenspeckle index` of {things} enrols again what is still there" in listed
    assert "The calibration is out of date (" in listed
    assert f"`kenspeckle index {things}` renews it." in listed
    assert command("remove", "thing_1.png", "--json").told["stale"]
    assert command("index", things, "--json").told["added"] == 2
