"""Scores side by side: the steadiest one, and of equals the one that names most."""

from __future__ import annotations

import numpy as np
import pytest

from kenspeckle.match.aggregate import ScoreKind
from kenspeckle.match.choose import FAVOURITE, Material, Tried, choose, tried
from kenspeckle.match.trials import NO_TRIALS, Trials

Materials = dict[ScoreKind, Material]


def made(centre: float, items: int, seed: int, right: bool = False) -> Trials:
    rng = np.random.default_rng(seed)
    return Trials(rng.normal(centre, 1, items), np.arange(items), np.full(items, right))


def material(shift: float, named: float, items: int = 300) -> Material:
    """A score whose real strangers lie `shift` above the views, and labelled photos `named`."""
    return Material(
        photos=made(named, items, 1, True),
        left_out=made(0, items, 2),
        given=made(shift, items, 3),
    )


def test_the_score_that_moves_least_is_kept() -> None:
    tries: Materials = {"cosine": material(2.0, 9.0), "margin": material(0.0, 3.0)}
    kind, rows = choose(tries, 0.05, "cosine")
    assert kind == "margin"
    assert {row.kind: row.least for row in rows} == {"cosine": False, "margin": True}
    assert rows[0].moved_to > 0.3
    assert abs(rows[1].moved_to - 0.05) < 0.04


def test_of_scores_that_move_alike_the_one_that_surely_names_more_is_kept() -> None:
    tries: Materials = {"cosine": material(0.0, 4.0), "margin": material(0.0, 1.0)}
    kind, rows = choose(tries, 0.05, "margin")
    assert all(row.least for row in rows)
    assert kind == "cosine"


def test_a_gain_within_its_error_is_no_gain() -> None:
    """Two photos gained and one lost are chance; twenty gained and none lost are not."""
    first = material(0.0, 0.0)
    plain = np.where(np.arange(300) < 100, 9.0, -9.0)

    def other(gained: int, lost: int) -> Material:
        scores = plain.copy()
        scores[:lost], scores[100 : 100 + gained] = -9.0, 9.0
        photos = Trials(scores, np.arange(300), np.ones(300, bool))
        return Material(photos=photos, left_out=first.left_out, given=first.given)

    assert choose({"cosine": other(2, 1), FAVOURITE: other(0, 0)}, 0.05, "cosine")[0] == FAVOURITE
    assert choose({"cosine": other(20, 0), FAVOURITE: other(0, 0)}, 0.05, "cosine")[0] == "cosine"


def test_equal_scores_and_nothing_to_tell_by_leave_the_usual_one() -> None:
    same = material(0.0, 3.0)
    assert choose({"cosine": same, "margin": same}, 0.05, "margin")[0] == "margin"
    bare = Material(mated=made(3, 50, 1, True), left_out=made(0, 50, 2))
    assert choose({"cosine": bare, "margin": bare}, 0.05, "margin")[0] == "margin"


def test_camera_views_do_not_tell_what_names_most() -> None:
    high, low = (
        Material(made(named, 300, 1, True), made(0, 300, 2), given=made(0, 300, 3))
        for named in (9.0, 1.0)
    )
    kind, rows = choose({"cosine": high, "margin": low, FAVOURITE: high}, 0.05, "margin")
    assert all(row.least for row in rows)
    assert kind == "margin"


def test_without_views_the_naming_alone_decides() -> None:
    low, high = (
        Material(photos=made(named, 100, 1, True), given=made(0, 100, 2)) for named in (1.0, 5.0)
    )
    kind, rows = choose({"cosine": low, "cohort": high}, 0.05, "cosine")
    assert all(np.isnan(row.moved_to) for row in rows)
    assert kind == "cohort"


def test_real_photos_stand_for_strangers_like_the_items_where_they_show_half_of_them() -> None:
    views, few, many = made(0, 50, 1), made(0, 24, 2), made(0, 25, 3)
    assert Material(left_out=views, photos_out=few).strangers()["like your items"] is views
    assert Material(left_out=views, photos_out=many).strangers()["like your items"] is many


def test_rejected_answers_count_with_strangers_that_were_given_and_never_alone() -> None:
    given, rejected = made(0, 60, 1), made(3, 4, 2)
    apart = Trials(rejected.scores, rejected.items - 1000, rejected.right)
    assert Material(given=given, rejected=apart).strangers()["given"].independent == 64
    assert Material(rejected=apart).strangers()["given"] is NO_TRIALS


def test_a_row_says_when_nothing_was_measured() -> None:
    (row,) = tried({"cosine": Material()}, 0.05)
    assert isinstance(row, Tried)
    assert np.isnan(row.moved_to)
    assert np.isnan(row.named)
    assert not row.least


@pytest.mark.parametrize(
    ("photos", "given", "expected"),
    [(19, 300, "margin"), (300, 19, "margin"), (20, 300, "cosine"), (300, 20, "cosine")],
)
def test_a_handful_of_photos_or_of_strangers_has_no_say(
    photos: int, given: int, expected: str
) -> None:
    def of(named: float) -> Material:
        shots = made(named, photos, 1, True)
        return Material(photos=shots, left_out=made(0, 300, 2), given=made(0, given, 3))

    tries: Materials = {"cosine": of(30.0), "margin": of(-9.0), FAVOURITE: of(-9.0)}
    assert choose(tries, 0.05, "margin")[0] == expected


def test_one_stranger_does_not_drop_the_usual_score() -> None:
    one = Trials(np.array([9.0]), np.array([0]), np.array([False]))
    low = Trials(np.array([-9.0]), np.array([0]), np.array([False]))
    views = made(0, 300, 2)
    tries: Materials = {
        "cosine": Material(left_out=views, given=low),
        "margin": Material(left_out=views, given=one),
    }
    assert choose(tries, 0.05, "margin")[0] == "margin"


def test_scores_are_compared_at_the_threshold_that_will_be_in_force() -> None:
    """Photos show 30 of 100 items, so views set the threshold; those of the cosine lie too high."""
    views, out = made(0, 100, 2), made(0, 30, 3)
    high = Trials(np.where(views.items < 12, 20.0, views.scores), views.items, views.right)
    tries: Materials = {
        "cosine": Material(photos=made(9, 30, 1, True), photos_out=out, left_out=high),
        FAVOURITE: Material(photos=made(2, 30, 1, True), photos_out=out, left_out=views),
    }
    kind, rows = choose(tries, 0.05, "cosine")
    assert all(row.least for row in rows)
    assert rows[0].named == 0
    assert kind == FAVOURITE


def test_few_photos_stand_beside_the_views_of_what_is_known() -> None:
    views, few, half = made(3, 40, 1, True), made(0, 19, 2, True), made(0, 20, 3, True)
    assert len(Material(mated=views, photos=few).known) == 59
    assert Material(mated=views, photos=half).known is half
    assert len(Material(mated=views).known) == 40
