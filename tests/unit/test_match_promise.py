"""What is said about strangers: a bound is not called an estimate, and a shortfall is explained."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kenspeckle.match.promise import VIEWS, is_bound, promised, promises, shortfall
from kenspeckle.stats import supported_rate
from kenspeckle.types import Calibration, Promise


def bound(items: int) -> Promise:
    return Promise("like your items", supported_rate(items), 0.0, 0.3, 10 * items, items)


def rule(fpir: float, *promises: Promise) -> Calibration:
    return Calibration(
        "margin", 0.1, 1.0, 0.0, promises, fpir, "whole", "0" * 16, 9, 9, 1, "2026-01-01", 0, 0.0
    )


@pytest.mark.parametrize("items", [1, 14, 59, 2723])
def test_the_least_that_so_few_items_support_is_called_at_most(items):
    said = promised(bound(items))
    assert is_bound(bound(items))
    assert "at most" in said
    assert "about" not in said
    assert f"{items:,} item" in said


def test_a_measured_rate_is_called_about_and_has_its_interval():
    said = promised(Promise("given", 0.08, 0.031, 0.14, 200, 50))
    assert said == (
        "of the strangers that you gave about 8 % get a name "
        "(of as many others 3.1 % to 14 %, 200 trials of 50 items)"
    )


def test_a_rate_found_on_camera_views_says_that_photos_differ():
    seen, (given, like) = (
        rule(0.05, bound(14)),
        (Promise("given", 0.08, 0.03, 0.1, 9, 9), bound(14)),
    )
    assert "twice as often" in promised(like, by_views=True)
    assert "twice as often" not in promised(given, by_views=True)
    assert "twice as often" not in promises(seen)
    assert "twice as often" in promises(replace(seen, notes=(VIEWS,)))


def test_where_only_unrelated_pictures_were_tried_that_is_said():
    general = Promise("general", 0.012, 0.008, 0.019, 2723, 2723)
    alone, beside = promises(rule(0.05, general)), promises(rule(0.05, bound(14), general))
    assert "of unrelated pictures about 1.2 % get a name" in alone
    assert "what looks like your items was not tried" in alone
    assert "not tried" not in beside


def test_a_rate_above_the_one_asked_for_says_what_it_would_take():
    assert shortfall(rule(0.05, bound(14))) == "asked for were 5 %, which takes 59 items"
    assert shortfall(rule(0.05, bound(59))) == ""
    enough = Promise("general", 0.2, 0.1, 0.3, 500, 500)
    assert shortfall(rule(0.05, enough)) == "asked for were 5 %"
    assert shortfall(rule(0.05)) == ""
