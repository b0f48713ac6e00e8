"""`kenspeckle data logodet prepare`: what it makes, names, leaves alone and takes back."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from labelled import logodet, picture, voc
from PIL import Image

from kenspeckle.cli.main import run
from kenspeckle.errors import CatalogError
from kenspeckle.evaluate.datasets import read
from kenspeckle.evaluate.prepare import prepare


def state(out: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(p.relative_to(out)): (p.stat().st_mtime_ns, p.read_bytes())
        for p in out.rglob("*")
        if p.is_file()
    }


def test_crops_tables_and_splits_and_a_second_run_does_nothing(tmp_path: Path) -> None:
    data, out = logodet(tmp_path / "LogoDet-3K"), tmp_path / "out"
    done = prepare(tmp_path, out)
    assert (done.items, done.pictures, done.crops) == (4, 11, 12)
    assert dict(done.excluded) == {
        "Food/Star/3.xml": "broken XML (no element found: line 1, column 20)",
        "Clothes/Moon/2.jpg (2, 3, 99, 21)": "a box outside its picture",
    }
    assert sum(done.splits.values()) == 4
    with closing(sqlite3.connect(out / "test_data_mapping.db")) as database:
        names = [n for (n,) in database.execute("SELECT name FROM logo_names ORDER BY name")]
        crops = database.execute(
            "SELECT r.filename, p.filename, x0, y0, x1, y1 FROM reference_logos r "
            "JOIN test_images p ON p.id = test_image_id ORDER BY 1"
        ).fetchall()
    assert names == ["Clothes/Moon", "Clothes/Star", "Food/Star", "Leisure/Sun"]
    for crop, source, *box in crops:
        with (
            Image.open(out / "reference_logos" / crop) as a,
            Image.open(out / "test_images" / source) as b,
        ):
            assert a.tobytes() == b.crop(tuple(box)).tobytes()
    before = state(out)
    again = prepare(data, out)
    assert (again.added, again.same, again.removed) == (0, 12, 0)
    assert again.excluded == done.excluded
    assert state(out) == before


def test_a_prepared_folder_is_read_with_boxes_and_sources(tmp_path: Path) -> None:
    raw = read(logodet(tmp_path / "raw"))
    prepare(tmp_path / "raw", tmp_path / "out")
    made = read(tmp_path / "out")
    assert (raw.layout, made.layout) == ("logodet", "mapping")
    assert raw.items == made.items
    told = {q.name.removeprefix("test_images/").replace("__", "/"): q.truths for q in made.queries}
    assert told == {q.name: tuple(sorted(q.truths, key=str)) for q in raw.queries}
    for reference in made.references:
        assert reference.capture in {query.capture for query in made.queries}
    assert not made.excluded


def test_what_changed_is_done_again_and_what_vanished_goes(tmp_path: Path) -> None:
    data, out = logodet(tmp_path / "data"), tmp_path / "out"
    prepare(data, out)
    voc(data / "Food/Star/3.xml", ("Star", (0, 0, 9, 9)))
    (data / "Leisure/Sun/1.xml").unlink()
    (data / "Leisure/Sun/1.jpg").unlink()
    done = prepare(data, out)
    assert (done.added, done.same, done.removed) == (1, 10, 1)
    fresh = prepare(data, tmp_path / "fresh")
    assert done.excluded == fresh.excluded
    assert done.splits == fresh.splits
    assert {p.name for p in out.rglob("*")} == {p.name for p in fresh.folder.rglob("*")}


def test_a_stopped_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, out = logodet(tmp_path / "data"), tmp_path / "out"
    monkeypatch.setattr("kenspeckle.evaluate.prepare.EACH", 2)

    def stop(done: int, total: int, name: str) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(data, out, progress=stop)
    done = prepare(data, out)
    assert (done.added, done.same) == (8, 4)
    fresh = prepare(data, tmp_path / "fresh")
    assert {p.name for p in out.rglob("*")} == {p.name for p in fresh.folder.rglob("*")}


def test_the_command_tells_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = logodet(tmp_path / "data"), tmp_path / "out"
    words = ["data", "logodet", "prepare", str(data), "--out", str(out)]
    assert run(words) == 0
    shown = capsys.readouterr()
    assert "4 items" in shown.out
    assert "Food/Star/3.xml: broken XML" in shown.err
    assert run([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["added"] == 0
    assert run(words) == 0
    assert "Nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize("help_of", [["data"], ["data", "logodet"], ["data", "help"]])
def test_the_groups_list_their_commands(
    help_of: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(help_of) == 0
    assert "logodet" in capsys.readouterr().out


def test_another_database_is_not_touched(tmp_path: Path) -> None:
    data, out = logodet(tmp_path / "data"), tmp_path / "out"
    out.mkdir()
    with closing(sqlite3.connect(out / "test_data_mapping.db")) as database:
        database.execute("CREATE TABLE logo_names (id INTEGER PRIMARY KEY, name TEXT)")
        database.commit()
    with pytest.raises(CatalogError, match="of another program"):
        prepare(data, out)


def test_a_folder_without_data_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "data/a/b/1.jpg")
    with pytest.raises(CatalogError, match="no picture with XML"):
        prepare(tmp_path / "data", tmp_path / "out")
    assert run(["data", "logodet", "prepare", str(tmp_path / "no"), "--out", "x"]) == 1


def test_a_folder_of_another_data_set_or_inside_it_is_refused(tmp_path: Path) -> None:
    data, out = logodet(tmp_path / "data"), tmp_path / "out"
    prepare(data, out)
    before = state(out)
    picture(tmp_path / "other/Games/Dice/1.jpg")
    voc(tmp_path / "other/Games/Dice/1.xml", ("Dice", (0, 0, 9, 9)))
    with pytest.raises(CatalogError, match="prepared from another data set"):
        prepare(tmp_path / "other", out)
    with pytest.raises(CatalogError, match="a folder in the data set"):
        prepare(data, data / "out")
    assert state(out) == before
