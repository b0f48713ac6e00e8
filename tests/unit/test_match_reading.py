"""What readings of two sides say: agrees, disagrees, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kenspeckle.match.reading import (
    by_codes,
    by_text,
    edits,
    front,
    shown,
    similarity,
    words,
)
from kenspeckle.types import Evidence

A, B, Q, R = ("ean13", "4006381333931"), ("ean13", "5901234123457"), ("qr", "a"), ("qr", "b")


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        ([A], [A], "agrees"),
        ([A], [B], "disagrees"),
        ([A], [Q], "abstains"),
        ([], [A], "abstains"),
        ([A], [], "abstains"),
        ([], [], "abstains"),
        ([A, B], [A], "agrees"),  # one of two in the photo is enough
        ([A], [A, B], "agrees"),
        ([A, Q], [A, Q], "agrees"),
        ([A, Q], [B, Q], "abstains"),  # the same address on another thing
        ([A, Q], [B, R], "disagrees"),
        ([A, Q], [A], "agrees"),
    ],
)
def test_codes(ours, theirs, verdict):
    told = by_codes(ours, theirs)
    assert (told.kind, told.verdict) == ("code", verdict)
    assert told.numbers["photo"] == len(ours)
    assert told.numbers["equal"] == len(set(ours) & set(theirs))


def lines(*texts: str, sure: float = 0.97) -> list[tuple[str, float]]:
    return [(text, sure) for text in texts]


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        (lines("Vanilla Yogurt"), lines("YOGURT", "vanilla"), "agrees"),
        (lines("Vanilla Yogurt"), lines("Vanila Yogurt"), "agrees"),
        (lines("ACME Vanilla Yogurt"), lines("ACME Cherry Yogurt"), "disagrees"),
        (lines("Vanilla"), lines("Engine oil"), "disagrees"),
        (lines("short"), lines("short"), "abstains"),
        (lines("Vanilla Yogurt", sure=0.6), lines("Vanilla Yogurt"), "abstains"),
        (lines("Vanilla Yogurt"), lines("Vanilla Yogurt", sure=0.6), "abstains"),
        ([], lines("Vanilla"), "abstains"),
        (lines("!!! ... ---"), lines("!!! ... ---"), "abstains"),
        (lines("Fine print number 41"), lines("Fine print number 17"), "disagrees"),
        (lines("Fine print number 41"), lines("Fine print number"), "agrees"),
        (lines("Fine print number 41"), lines("Fine print number 4l"), "disagrees"),
    ],
)
def test_text(ours, theirs, verdict):
    told = by_text(ours, theirs)
    assert (told.kind, told.verdict) == ("text", verdict)
    assert ("similarity" in told.numbers) == (verdict != "abstains")


WORDS = st.lists(st.text(st.characters(codec="utf-8"), max_size=12), max_size=8)


@given(WORDS, WORDS)
def test_text_says_the_same_from_both_sides(ours, theirs):
    one, other = by_text(lines(*ours), lines(*theirs)), by_text(lines(*theirs), lines(*ours))
    assert one.verdict == other.verdict
    assert 0 <= similarity(words(lines(*ours)), words(lines(*theirs))) <= 1 + 1e-9


@given(WORDS)
def test_text_never_disagrees_with_itself(texts):
    assert by_text(lines(*texts), lines(*texts)).verdict != "disagrees"


@given(st.text(max_size=9), st.text(max_size=9), st.text(max_size=9))
def test_edits_are_a_distance(one, other, third):
    assert edits(one, other) == edits(other, one) <= max(len(one), len(other))
    assert (edits(one, other) == 0) == (one == other)
    assert edits(one, third) <= edits(one, other) + edits(other, third)


@pytest.mark.parametrize(
    ("verdicts", "item"),
    [
        ({}, None),
        ({1: "agrees", 2: "abstains"}, 1),
        ({1: "disagrees", 2: "agrees"}, 2),
        ({1: "agrees", 2: "agrees"}, None),
        ({1: "disagrees", 2: "abstains"}, None),
    ],
)
def test_one_that_agrees_alone_comes_first(verdicts, item):
    assert front({n: Evidence("code", said, {}) for n, said in verdicts.items()}) == item


def test_a_code_that_is_shown_moves_no_terminal():
    assert shown(("qr", "\x1b[31mred\n")) == "QR code ?[31mred?"
    assert len(shown(("qr", "a" * 900))) < 60
