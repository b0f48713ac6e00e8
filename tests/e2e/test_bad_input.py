"""Too little, too much of the same, and tables full of mistakes: an answer or one sentence."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kenspeckle.vectors.admit import drawn_pictures

if TYPE_CHECKING:
    from commands import Command

ROWS = (
    ("reference", "a", "0.png", ""),
    ("reference", "d", "9.png", ""),
    ("query", "a", "1.png", ""),
    ("query", "d", "10.png", ""),
    ("query", "b", "2.png", ""),  # a label that only queries have
    ("query", "a", "3.png", "0 0 5000 5000"),
    ("query", "a", "4.png", "200 200 300 300"),
    ("stranger", "", "5.png", ""),
    ("sideways", "a", "6.png", ""),
    ("query", "a", "missing.png", ""),
    ("reference", "", "7.png", ""),
    ("query", "a", "8.png", "NaN 0 1 2"),
    ("query", "a", "broken.png", ""),
)
LEFT_OUT = {
    "a box outside its picture": 2,
    "no such file": 1,
    "a query of 'b', without a reference": 1,
    "a reference without a label": 1,
    "a box 'NaN 0 1 2' that is not x0 y0 x1 y1": 1,
    "unknown role 'sideways'": 1,
}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A dozen pictures, one that is none, and a table with every mistake."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, image in enumerate(drawn_pictures(12, side=80)):
        image.save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("role", "label", "path", "box"), *ROWS])
    return folder


def test_everything_left_out_of_a_table_is_counted(command: Command, pictures: Path) -> None:
    table = pictures / "table.csv"
    found = command("evaluate", table, "--draws", 1, "--no-cache", "--json", "-").told
    assert LEFT_OUT.items() <= found["excluded"].items()
    told = command("evaluate", table, "--draws", 1, "--no-cache").out
    swept = command("sweep", table, "--no-cache", "--min-matching-refs", 1).err
    for why, count in LEFT_OUT.items():
        assert f"  {count} × {why}" in told
        assert f"Left out: {count} × {why}." in swept


def test_a_picture_that_cannot_be_read_is_counted(command: Command, pictures: Path) -> None:
    with (pictures / "table.csv").open("w", newline="") as file:
        picked = [row for row in ROWS if row[2] in ("0.png", "1.png", "5.png", "broken.png")]
        csv.writer(file).writerows([("role", "label", "path", "box"), *picked])
    found = command("evaluate", pictures, "--draws", 1, "--no-cache", "--json", "-").told
    assert found["excluded"] == {"photo that could not be read": 1}
    assert len(found["answers"]) == 2


def test_a_table_without_strangers_says_what_it_cannot_tell(
    command: Command, pictures: Path
) -> None:
    with (pictures / "table.csv").open("w", newline="") as file:
        rows = [(r, f"t{n // 2}", f"{n}.png") for n, r in enumerate(["reference", "query"] * 2)]
        csv.writer(file).writerows([("role", "label", "path"), *rows])
    for words in ((), ("--method", "margin", "-t", 0.5), ("--score", "cosine")):
        done = command("evaluate", pictures, "--draws", 1, "--no-cache", "--json", "-", *words)
        rates = done.told["rates"]
        assert "fpir" not in rates or rates["fpir"]["n"] > 0
        json.dumps(done.told, allow_nan=False)


def test_one_item_of_one_reference(command: Command, pictures: Path) -> None:
    folder = pictures.parent / "one"
    folder.mkdir()
    (pictures / "0.png").rename(folder / "cup.png")
    assert "It holds 1 reference of 1 item." in command("index", folder).out
    answer = command("identify", folder / "cup.png", "--json").told
    assert (answer["label"], answer["margin"]) == ("cup", None)
    assert "no stranger" in command("calibrate", code=1).err
    assert "expected at least 59" in command("calibrate", "--fpir", "0.05", code=1).err
    assert "one item, so no margin" in command("verify", "--perturbed", 3).out


def test_references_that_are_all_the_same(command: Command, pictures: Path) -> None:
    folder = pictures.parent / "same"
    folder.mkdir()
    (image,) = drawn_pictures(1, side=80)
    for number in range(5):
        image.putpixel((0, number), (1, 2, number))
        image.save(folder / f"thing_{number}.png")
    command("index", folder)
    (answer,) = map(
        json.loads, command("identify", folder / "thing_1.png", "--json").out.splitlines()
    )
    assert abs(answer["margin"]) < 1e-3
    assert "no stranger" in command("calibrate", code=1).err
    said = command("verify", "--perturbed", 5, code=1).out
    assert "-0.000" not in said
    assert "items lie too close" in said


@pytest.mark.parametrize("rate", ["0", "1", "-0.1", "nan", "1e-9", "five"])
@pytest.mark.parametrize("words", [("evaluate", "pictures"), ("calibrate", "gallery.ken")])
def test_rates_that_none_can_have(
    command: Command, pictures: Path, words: tuple[str, str], rate: str
) -> None:
    refused = command(*words, "--fpir", rate, code=2)
    assert "--fpir" in refused.err
    assert refused.out == ""
