"""`identify --method`: a rule with numbers somebody chose, and an answer that says so."""

from __future__ import annotations

import json

import pytest

from kenspeckle.match.methods import METHODS


@pytest.fixture
def gallery(run, tmp_path, drawn):
    """Six things of two pictures each, the second hardly another."""
    folder = tmp_path / "refs"
    for number in range(6):
        (folder / f"thing_{number}").mkdir(parents=True)
        for side in (240, 200):
            drawn(number, side).save(folder / f"thing_{number}" / f"{side}.png")
    assert run("index", folder, "--no-calibrate").returncode == 0
    return folder


def answer(run, *words):
    done = run("identify", "--json", *words)
    assert done.returncode in (0, 3), done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("method", [m for m in METHODS if m != "margin"])
def test_every_method_names_a_reference_and_promises_nothing(run, gallery, method):
    words = ("--method", method, "--threshold", "0.01")
    if method == "cohort":
        done = run("identify", gallery / "thing_3" / "240.png", *words)
        assert done.returncode == 1
        assert "no level of unrelated pictures" in done.stdout + done.stderr
        return
    found = answer(run, gallery / "thing_3" / "240.png", *words)
    assert (found["known"], found["label"]) == (True, "thing 3")
    assert found["confidence"] is None
    assert found["threshold"] == 0.01
    assert found["reasons"][0].startswith(f"fixed rule ({method}")
    assert found["reasons"][0].endswith("it promises nothing about strangers")


def test_the_reason_says_what_was_short(run, gallery):
    photo = gallery / "thing_3" / "240.png"
    cases = (
        (("margin", "--margin", "1"), "is at T or above but leads by"),
        (("simple", "--threshold", "1.5"), "is below T"),
        (
            ("multi-ref", "--min-matching-refs", "9", "--threshold", "0.1"),
            "references at T or above, asked are 9",
        ),
        (
            ("multi-ref", "--min-matching-refs", "9", "--rule", "legacy"),
            "no item has 9 references at T or above",
        ),
    )
    for words, why in cases:
        found = answer(run, photo, "--method", *words)
        assert not found["known"]
        assert found["label"] == ""
        assert why in found["reasons"][0]
        assert found["reasons"][1].startswith("nearest is thing 3 (cosine")
        assert found["candidates"][0]["label"] == "thing 3"


def test_simple_says_all_names(run, gallery):
    found = answer(run, gallery / "thing_0" / "240.png", "--method", "simple", "--threshold", "-1")
    also = next(r for r in found["reasons"] if r.startswith("the rule names these as well"))
    assert also.count("thing") == 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--threshold", "0.7"), "--method"),
        (("--rule", "legacy"), "--method"),
        (("--method", "best"), "expected one of simple"),
        (("--method", "simple", "--margin", "0.1"), "does not look at it"),
        (("--method", "margin", "--min-matching-refs", "2"), "multi-ref does"),
        (("--method", "margin", "--threshold", "nan"), "between -2 and 2"),
        (("--method", "margin", "--margin", "-1"), "between 0 and 2"),
        (("--method", "multi-ref", "--min-matching-refs", "0"), "at least 1"),
        (("--method", "multi-ref", "--rule", "mine"), "ours or legacy"),
        (("--method", "cohort"), "no usual threshold"),
    ],
)
def test_a_wrong_rule_is_a_wrong_option(run, tmp_path, words, said):
    done = run("identify", "photo.png", *words)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
