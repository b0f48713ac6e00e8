"""`kenspeckle calibrate`: a promise kept or refused, and what the other commands say of it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest


@pytest.fixture
def others(tmp_path: Path, drawn) -> Path:
    """Sixty strangers."""
    folder = tmp_path / "others"
    folder.mkdir()
    for number in range(60):
        drawn(500 + number, 120).save(folder / f"{number}.png")
    return folder


def info(run) -> dict:
    return json.loads(run("info", "--json").stdout)


def test_a_rate_is_promised_or_refused_and_every_command_says_so(run, things, others, drawn):
    assert run("index", things, "--no-calibrate").returncode == 0
    photo = things / "thing_0.png"
    assert "not calibrated" in run("identify", photo, "--json").stdout
    assert "Not calibrated" in info(run)["promise"]

    refused = run("calibrate", "gallery.ken", "--fpir", "0.01", "--strangers", others)
    assert refused.returncode == 1
    assert "60 independent strangers (given); expected at least 299" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert info(run)["calibration"] is None

    done = run("calibrate", "gallery.ken", "--fpir", "0.05", "--strangers", others)
    assert done.returncode == 0, done.stderr
    assert "60 photos of 60 things" in done.stdout
    assert "of the strangers that you gave" in done.stdout
    told = info(run)
    assert told["calibration"]["method"] == "full"
    assert told["calibration"]["fpir"] == 0.05
    assert told["stale"] == ""
    (answer,) = map(json.loads, run("identify", photo, "--json").stdout.splitlines())
    assert answer["known"]
    assert any("the strangers that you gave" in reason for reason in answer["reasons"])

    drawn(9).save(things / "late.png")
    added = run("add", things / "late.png")
    assert added.returncode == 0
    assert "`kenspeckle calibrate`, with the same photos, renews it." in added.stdout
    assert "references were added" in info(run)["stale"]
    assert "Out of date" in info(run)["promise"]
    assert "kenspeckle calibrate" in info(run)["promise"]
    assert "out of date" in run("identify", photo, "--json").stdout


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--fpir", "0"), 2, "above 0 and below 1"),
        (("--fpir", "1"), 2, "above 0 and below 1"),
        (("--fpir", "-0.1"), 2, "above 0 and below 1"),
        (("--views", "-1"), 2, "--views"),
        (("--strangers", "nowhere"), 1, "nowhere: not a folder"),
        (("--photos", "nowhere.csv"), 1, "nowhere.csv: no such file"),
        (("--fpir", "0.05"), 1, "6 independent strangers (like your items); expected at least 59"),
        (("--index", "gallery.ken"), 2, "once"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_changes_nothing(run, things, words, code, told):
    assert run("index", things, "--no-calibrate").returncode == 0
    done = run("calibrate", "gallery.ken", *words)
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert info(run)["calibration"] is None


def test_what_renews_a_calibration_is_a_command_that_does(run, things, drawn):
    for number, method in enumerate(("index", "calibrate")):
        drawn(90 + number).save(things.parent / f"{method}.png")
        assert run("index", things, "--out", "my.ken").returncode == 0
        if method == "calibrate":
            assert run("calibrate", "my.ken").returncode == 0
        added = run("add", f"{method}.png", "--index", "my.ken")
        said = added.stdout.splitlines()[-1]
        assert "out of date" in said
        command = shlex.split(said.split("`")[1])
        assert command[:2] == ["kenspeckle", method]
        assert said.endswith("` renews it.")
        assert run(*command[1:]).returncode == 0
        assert json.loads(run("info", "my.ken", "--json").stdout)["stale"] == ""


def test_json_is_the_calibration(run, things):
    assert run("index", things, "--no-calibrate").returncode == 0
    done = run("calibrate", "gallery.ken", "--views", "3", "--json")
    assert done.returncode == 0, done.stderr
    (said,) = map(json.loads, done.stdout.splitlines())
    assert said["calibration"] == info(run)["calibration"]
    assert said["promise"]
