"""`verify` in place of the former one: items 6 and 7 of the acceptance list of `identify`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kenspeckle.vectors.admit import drawn_pictures

if TYPE_CHECKING:
    from commands import Command


def former(path: Path, count: int, twice: int = 0) -> Path:
    """A former index of `count` rows, the last `twice` of which repeat the first ones."""
    rows = np.random.default_rng(4).standard_normal((count, 512)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    if twice:
        rows[-twice:] = rows[:twice]
    names = np.array([f"Card {number}" for number in range(count)], dtype=object)
    np.savez(path, embeddings=rows, names=names, filenames=names)
    return path


def test_item_6_the_former_lines_and_the_exit_rule(command: Command, tmp_path: Path) -> None:
    text = command("verify", "--index", former(tmp_path / "sound.npz", 200)).out
    for words in (
        "most confusable pairs:",
        "200/200 = 100.0% top-1 self-id",
        "median self similarity:       1.000",
        "median best wrong similarity: 0.",
        "margin (gap of the medians):  0.",
        "recommended similarity threshold: 0.",
    ):
        assert words in text
    assert text.count("↔") == 5
    one = command("verify", "--index", former(tmp_path / "one.npz", 200, twice=2))
    assert "198/200 = 99.0% top-1 self-id" in one.out, "each doubled row takes one away"
    more = command("verify", "--index", former(tmp_path / "more.npz", 200, twice=3), code=1)
    assert "197/200 = 98.5% top-1 self-id" in more.out


@pytest.mark.parametrize("count", [1, 2, 3])
def test_item_6_few_rows_and_no_pairs(command: Command, tmp_path: Path, count: int) -> None:
    path = former(tmp_path / "few.npz", count)
    text = command("verify", "--index", path, "--top-confusables", 0).out
    assert f"{count}/{count} = 100.0% top-1 self-id" in text
    assert "↔" not in text


def test_item_7_perturbed_queries_json_and_an_honest_margin(
    command: Command, tmp_path: Path
) -> None:
    for number, image in enumerate(drawn_pictures(5, side=120)):
        folder = tmp_path / "things" / f"thing {number}"
        folder.mkdir(parents=True)
        image.save(folder / "a.png")
        if number < 2:  # a second reference of these two
            image.rotate(4).save(folder / "b.png")
    command("index", "things", "--no-calibrate")
    said = command("verify", "--json", "--perturbed", 14).told
    assert json.dumps(said, allow_nan=False)
    asked = said["perturbed"]
    assert asked["queries"] == 14
    assert 0 <= asked["top1"] <= asked["top5"] <= 1
    assert -1 < asked["low_margin"] <= asked["median_margin"] < 1
    assert 0 < said["held_out"]["queries"] < 14, "those whose item has another reference"
    alone = [one for one in said["references"] if one["own"] is None]
    assert len(alone) == 3, "no other reference, so nothing to compare it with"
    assert all(one["margin"] is None for one in alone)
    assert all(one["own"] is None or one["own"] < 0.9999 for one in said["references"])
    assert said["round_trip"]["least"] == pytest.approx(1, abs=1e-3)
    assert said["next"]
    text = command("verify", "--perturbed", 14).out
    assert "perturbed queries (14 camera views of" in text
    assert "none of them fitted on" in text
