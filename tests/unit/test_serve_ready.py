"""How galleries are named and what is said of them before they are served."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from drawing import draw, draw_folder

from kenspeckle import Gallery
from kenspeckle.config import IdentifySettings, IndexSettings, ModelSettings, Settings
from kenspeckle.errors import IndexMissing, SettingError
from kenspeckle.serve.ready import calibrated, lost, named, remarks, searched
from kenspeckle.serve.service import open_service

DUMMY = Settings(models=ModelSettings(name="dummy"), index=IndexSettings(calibrate=False))


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.create(tmp_path / "things.ken", settings=DUMMY) as made:
        made.index(draw_folder(tmp_path / "things"))
        yield made


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["cards.ken"], {"cards": "cards.ken"}),
        (["/srv/a.ken", "b.npz"], {"a": "/srv/a.ken", "b": "b.npz"}),
        (["shelf=a.ken"], {"shelf": "a.ken"}),
        (["shelf=a=b.ken"], {"shelf": "a=b.ken"}),
        (["my shelf=a.ken"], {"my shelf": "a.ken"}),
    ],
)
def test_galleries_are_called_as_said_or_after_their_files(
    words: list[str], found: dict[str, str]
) -> None:
    assert named(DUMMY, words) == {name: Path(path) for name, path in found.items()}


def test_a_file_with_an_equals_sign_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a=b.ken").touch()
    assert named(DUMMY, ["a=b.ken"]) == {"a=b": Path("a=b.ken")}


def test_a_folder_of_references_that_is_not_there_is_told(gallery: Gallery, tmp_path: Path) -> None:
    def notes(refs: str) -> list[str]:
        return list(lost(replace(DUMMY, index=IndexSettings(refs=refs))))

    assert notes("") == notes(str(tmp_path / "things")) == []
    (said,) = notes("nope")
    assert said.startswith("index.refs: nope is not there")
    asked = replace(DUMMY, index=IndexSettings(refs="nope", calibrate=False))
    service = open_service(asked, [gallery.store.path])
    asyncio.run(service.close())
    assert said in service.notes


@pytest.mark.parametrize("word", ["", "=a.ken", "-=a.ken", "a/b=c.ken", "a\nb=c.ken", "a="])
def test_a_name_that_no_address_could_hold_is_refused(word: str) -> None:
    with pytest.raises(SettingError, match="index"):
        named(DUMMY, [word])


def test_two_of_one_name_are_refused_with_the_way_out() -> None:
    with pytest.raises(SettingError, match=r"two galleries are called a.*OTHER=b/a\.ken"):
        named(DUMMY, ["a.ken", "b/a.ken"])


@pytest.mark.parametrize("second", ["a.ken", "./a.ken", "link.ken", "hard.ken"])
def test_one_file_under_two_names_is_refused(
    second: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.ken").touch()
    Path("link.ken").symlink_to("a.ken")
    Path("hard.ken").hardlink_to("a.ken")
    with pytest.raises(SettingError, match=f"a and other are one file.*other={second}"):
        named(DUMMY, ["a.ken", f"other={second}"])


def test_without_a_word_the_usual_one_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IndexMissing, match="kenspeckle index"):
        named(DUMMY, [])
    Path("gallery.ken").touch()
    assert named(DUMMY, []) == {"gallery": Path("gallery.ken")}
    assert named(DUMMY, [], needed=False) == {"gallery": Path("gallery.ken")}


def test_where_none_is_needed_only_one_that_is_named_has_to_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert named(DUMMY, [], needed=False) == {}
    assert named(DUMMY, ["none.ken"], needed=False) == {"none": Path("none.ken")}
    asked = replace(DUMMY, index=IndexSettings(path="none.ken"))
    with pytest.raises(IndexMissing, match=r"none\.ken: no such file here\. .*--out none\.ken"):
        named(asked, [], needed=False)
    with pytest.raises(IndexMissing, match="--surface analyze"):
        named(DUMMY, [])


def test_a_calibration_that_no_longer_fits_is_said(gallery: Gallery, tmp_path: Path) -> None:
    assert list(remarks(gallery)) == []
    gallery.calibrate(60)
    draw(70).save(tmp_path / "new.png")
    gallery.add(tmp_path / "new.png")
    (said,) = remarks(gallery)
    assert "out of date (references were added or removed since)" in said
    assert f"kenspeckle calibrate {gallery.store.path}" in said


def test_what_is_asked_for_otherwise_goes_with_the_command_that_renews(gallery: Gallery) -> None:
    gallery.calibrate(60)
    path = gallery.store.path
    gallery.close()
    asked = replace(DUMMY, identify=IdentifySettings(fpir=0.4, regions="center"))
    with Gallery.open(path, settings=asked) as other:
        (said,) = remarks(other)
    command = f"kenspeckle calibrate {shlex.quote(path)} --fpir 0.4 --regions center"
    assert f"`{command}` renews it." in said


def test_a_calibration_made_at_the_start_is_stored_where_it_may_be(gallery: Gallery) -> None:
    path = gallery.store.path
    gallery.close()
    with Gallery.open(path, settings=DUMMY) as reading:
        assert calibrated(reading) == "a quick calibration was made and stored"
        assert reading.calibration is not None
    with Gallery.open(path, settings=DUMMY) as again:
        assert again.calibration is not None


def test_an_empty_gallery_is_searched_for_nothing(tmp_path: Path) -> None:
    with Gallery.create(tmp_path / "empty.ken", settings=DUMMY) as gallery:
        searched(gallery)
        assert "offers no strangers" in calibrated(gallery)


def test_a_region_rule_without_its_part_is_said(gallery: Gallery) -> None:
    asked = Settings(models=DUMMY.models, identify=IdentifySettings(regions="auto"))
    with Gallery.open(gallery.store.path, settings=asked) as other:
        assert all("quad" in remark for remark in remarks(other))
