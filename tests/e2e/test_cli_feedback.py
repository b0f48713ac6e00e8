"""`kenspeckle confirm`, `reject`, `rename` and `feedback`, as people run them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def photo(drawn, tmp_path: Path) -> Path:
    drawn(3).rotate(8).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def indexed(run, things: Path) -> Path:
    done = run("index", things)
    assert done.returncode == 0, done.stderr
    return things


def ok(done) -> str:
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return str(done.stdout)


def test_a_photo_is_confirmed_listed_and_taken_back(run, indexed, photo):
    told = ok(run("confirm", "photo.png", "thing 3"))
    assert "photo.png shows 'thing 3'" in told
    assert "out of date (feedback was given since)" in told
    assert "feedback was given since" in ok(run("info"))
    assert "confirmed" in ok(run("list", "--references"))
    assert str(photo) in ok(run("feedback"))
    again = run("confirm", "photo.png", "thing 3")
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.count("\n") == 1
    assert "kenspeckle feedback --undo 1" in again.stderr
    assert "taken back" in ok(run("feedback", "--undo", "1"))
    assert str(photo) not in ok(run("list", "--references"))


def test_programs_read_one_line_of_json(run, indexed, photo):
    data = json.loads(ok(run("reject", "photo.png", "--json")))
    assert (data["number"], data["said"], data["key"]) == (1, "rejected", "thing 3")
    assert (data["photo"], data["stale"]) == (str(photo), "feedback was given since")
    (listed,) = ok(run("feedback", "--json")).splitlines()
    assert json.loads(listed)["sha256"] == data["sha256"]
    renamed = json.loads(ok(run("rename", "thing 3", "Tower", "--json")))
    assert (renamed["key"], renamed["label"]) == ("thing 3", "Tower")
    data = json.loads(ok(run("feedback", "--undo", "1", "--json")))
    assert data["number"] == 1


def test_a_new_name_stays(run, indexed):
    assert "is 'Tower' now, key 'tower'" in ok(run("rename", "thing 3", "Tower", "--key", "tower"))
    assert "6 unchanged" in run("index", indexed).stdout
    assert "Tower" in ok(run("list"))


def test_names_and_feedback_are_taken_over(run, indexed, photo):
    ok(run("rename", "thing 3", "Tower"))
    ok(run("confirm", "photo.png", "Tower"))
    photo.unlink()
    assert run("index", indexed, "--out", "new.ken").returncode == 0
    told = ok(run("feedback", "--from", "gallery.ken", "--index", "new.ken"))
    assert "feedback on 1 photo taken over from gallery.ken, 1 reference renamed" in told
    assert "Tower" in ok(run("list", "--index", "new.ken"))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("confirm", "photo.png"), 2, "KEY"),
        (("confirm", "photo.png", "thinh 3"), 1, "Did you mean 'thing 3'"),
        (("confirm", "none.png", "thing 3"), 1, "no such file"),
        (("reject", "photo.png", "x", "--index", "none.ken"), 1, "none.ken"),
        (("rename", "thing 3"), 1, "no new name"),
        (("rename", "thing 3", "--key", "thing 4"), 1, "--merge"),
        (("feedback", "--undo", "7"), 1, "no such feedback"),
        (("feedback", "--undo", "x"), 2, "undo"),
        (("feedback", "--undo", "1", "--from", "gallery.ken"), 2, "not together"),
        (("feedback", "--from", "none.ken"), 1, "none.ken"),
    ],
)
def test_wrong_use_is_told_in_a_line(run, indexed, photo, words, code, said):
    done = run(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    if code == 1:
        assert done.stderr.count("\n") == 1


def test_an_index_of_the_former_kind_takes_feedback(run, things, photo):
    assert run("index", things, "--out", "g.npz").returncode == 0
    ok(run("confirm", "photo.png", "thing 3", "--index", "g.npz"))
    assert "confirmed" in ok(run("feedback", "--index", "g.npz"))


def test_a_rejection_says_what_it_does_and_when(run, indexed, photo):
    told = ok(run("reject", "photo.png"))
    assert "photo.png does not show 'thing 3'. The answer stays" in told
    assert "a calibration with --strangers" in told
    assert "100 labelled photos" in told
