"""Sentences about a calibration."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kenspeckle.cli.wording import confidence, second_look, shared, stale
from kenspeckle.config import IdentifySettings
from kenspeckle.flows.remarks import unseen
from kenspeckle.match.promise import promise_lines
from kenspeckle.types import Calibration, Decision, Promise, Region, SecondLookRule

RULE = Calibration(
    score="margin",
    threshold=0.1,
    slope=9.0,
    intercept=-1.0,
    promises=(Promise("given", 0.049, 0.01, 0.1, 120, 60), Promise("general", 0.3, 0.2, 0.4, 9, 9)),
    fpir=0.05,
    regions="whole",
    space_id="space",
    items=20,
    references=20,
    change=1,
    date="2026-01-01",
    mated_trials=40,
    named_right=0.5,
    method="full",
)


def test_the_rate_was_asked_for_the_strangers_that_were_given() -> None:
    lines = promise_lines(RULE)
    assert "of the strangers that you gave about 4.9 % get a name" in lines[0]
    assert not any("sked for" in line for line in lines)
    only_general = replace(RULE, promises=RULE.promises[1:])
    assert any("takes 59" in line for line in promise_lines(only_general))


def test_a_stale_rule_says_what_to_do() -> None:
    assert promise_lines(RULE, "feedback was given since")[-1] == (
        "Out of date: feedback was given since; run `kenspeckle calibrate`."
    )


LOOK = SecondLookRule("sift", "magsac", 10, 0.2)
NONE_GIVEN = replace(RULE, promises=RULE.promises[1:])


@pytest.mark.parametrize(
    ("rule", "path", "refs", "renewed"),
    [
        (RULE, "gallery.ken", "things", "`kenspeckle calibrate`, with the same photos,"),
        (NONE_GIVEN, "gallery.ken", "things", "`kenspeckle calibrate`"),
        (NONE_GIVEN, "my things.ken", "", "`kenspeckle calibrate 'my things.ken'`"),
        (
            replace(NONE_GIVEN, labelled=9, second_look=LOOK),
            "my.ken",
            "things",
            "`kenspeckle calibrate my.ken --second-look`, with the same photos,",
        ),
        (
            replace(NONE_GIVEN, labelled=9, feedback=3),
            "card_index.npz",
            "",
            "`kenspeckle calibrate card_index.npz`, with the same photos if it had any,",
        ),
        (replace(NONE_GIVEN, method="quick"), "gallery.ken", "a b", "`kenspeckle index 'a b'`"),
        (
            replace(NONE_GIVEN, method="quick"),
            "my.ken",
            "things",
            "`kenspeckle index things --out my.ken`",
        ),
        (replace(NONE_GIVEN, method="quick"), "my.ken", "", "`kenspeckle calibrate my.ken`"),
    ],
)
def test_what_renews_a_stale_rule_is_what_made_it(
    rule: Calibration, path: str, refs: str, renewed: str
) -> None:
    said = f"The calibration is out of date (why); {renewed} renews it."
    assert stale("why", path, rule, refs) == said


def test_what_is_asked_for_otherwise_goes_with_the_command() -> None:
    asked = IdentifySettings(fpir=0.01, regions="center", second_look="sift")
    said = stale("why", "my.ken", replace(RULE, fpir=0.05, method="full"), asked=asked)
    assert "`kenspeckle calibrate my.ken --fpir 0.01 --regions center --second-look`" in said


def test_what_the_confidence_rests_on() -> None:
    assert confidence(RULE) == "from camera views, not from photos: synthetic"
    photos = replace(RULE, confidence_from="photos", labelled=120)
    assert confidence(photos) == "from 120 labelled photos"
    assert confidence(replace(RULE, slope=0.0)).startswith("none")


def test_the_second_look_in_words() -> None:
    assert second_look(RULE) == "none"
    looked = replace(RULE, second_look=SecondLookRule("sift", "magsac", 10, 0.2))
    assert second_look(looked) == "sift on the 10 nearest items, weight 0.2"


def test_strangers_that_are_unrelated_pictures_alone_give_no_confidence() -> None:
    general = replace(RULE, promises=RULE.promises[1:], slope=0.0)
    assert "unrelated pictures" in confidence(general)
    assert "--strangers" in confidence(general)
    assert "no name was right" in confidence(replace(RULE, slope=0.0))
    photos = replace(general, confidence_from="photos", labelled=100)
    assert "no name was right" in confidence(photos)


def test_strangers_of_any_kind_had_no_second_look() -> None:
    look = SecondLookRule("sift", "magsac", 10, 0.2)
    (told,) = unseen(replace(RULE, second_look=look))
    assert "had no second look" in told
    assert list(unseen(RULE)) == []
    assert list(unseen(replace(RULE, promises=RULE.promises[:1], second_look=look))) == []


def decided(known: bool, *reasons: str) -> Decision:
    region = Region((0, 0, 9, 9), "whole")
    return Decision(known, "", "", "", True, 0, None, 0, None, None, region, (), reasons)


def test_what_holds_for_all_is_told_once() -> None:
    promise, source = "strangers: at most 22 %", "the confidence is from camera views"
    answers = [
        decided(True, "margin 0.4", promise, source),
        decided(False, "margin 0.1", promise),
        decided(True, "margin 0.3", promise, source),
    ]
    assert list(shared(answers)) == [("For every photo", promise), ("For every name", source)]
    assert list(shared(answers[:2])) == [("For every photo", promise)]
    assert list(shared(answers[::2])) == [("For every photo", one) for one in (promise, source)]
    assert list(shared(answers[:1])) == list(shared([])) == []
