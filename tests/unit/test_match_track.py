"""Names over frames, on scenes drawn by a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kenspeckle.errors import InputError
from kenspeckle.match.sighting import Rules, Sighting, sighted
from kenspeckle.match.track import MAX_VIEWS, Scene, Track, advance, follow
from kenspeckle.types import Candidate, Decision, Reference, Region

STEP = 0.1
Frames = list[tuple[float, list[Sighting]]]


def box(x: float, y: float = 0.0, side: float = 120.0) -> tuple[float, float, float, float]:
    return x, y, x + side, y + side


def unit(seed: int, noise: float = 0.0, by: int = 0) -> np.ndarray:
    row = np.random.default_rng(seed).normal(size=32)
    row = row / np.linalg.norm(row) + noise * np.random.default_rng(by).normal(size=32)
    return (row / np.linalg.norm(row)).astype(np.float32)


def clip(seed: int, things: int = 3, frames: int = 60, flicker: float = 0.0) -> Frames:
    """Things on their own lanes, each seen anew in every frame; `flicker` of the names wrong."""
    draw = random.Random(seed)
    made: Frames = []
    for n in range(frames):
        seen = []
        for thing in range(things):
            wrong = draw.random() < flicker
            key = f"other {draw.randrange(50)}" if wrong else f"item {thing}"
            x = 6 * n * (1 - 2 * (thing % 2)) + draw.gauss(0, 2)
            look = unit(thing, 0.08, 1000 * n + thing)
            vote = draw.uniform(0.5, 3)
            seen.append(Sighting(box(x, 300 * thing), key, key, vote, 1.0, look))
        made.append((STEP * n, seen))
    return made


def names(tracks: tuple[Track, ...]) -> list[str]:
    return sorted(track.name for track in tracks)


@pytest.mark.parametrize("seed", range(5))
def test_each_thing_is_one_track_with_one_name(seed):
    tracks = follow(clip(seed))
    assert names(tracks) == ["item 0", "item 1", "item 2"]
    assert [track.seen for track in tracks] == [60] * 3
    assert [track.label for track in sorted(tracks, key=lambda t: t.key)] == names(tracks)


@pytest.mark.parametrize("seed", range(8))
def test_the_order_of_sightings_does_not_matter(seed):
    draw = random.Random(seed)
    scene, shuffled = Scene(), Scene()
    for at, seen in clip(seed, flicker=0.3):
        order = list(range(len(seen)))
        draw.shuffle(order)
        scene = advance(scene, at, seen)
        shuffled = advance(shuffled, at, [seen[n] for n in order])
        assert [shuffled.seen[order.index(n)] for n in range(len(seen))] == list(scene.seen)
        assert [(t.id, t.key, t.votes) for t in shuffled.tracks] == [
            (t.id, t.key, t.votes) for t in scene.tracks
        ]


@pytest.mark.parametrize("seed", range(20))
def test_a_name_that_is_held_survives_flicker(seed):
    scene, held = Scene(), dict[int, str]()
    for at, seen in clip(seed, flicker=0.25):
        scene = advance(scene, at, seen)
        for track in scene.tracks:
            if track.id in held:
                assert track.key == held[track.id]
            elif track.key:
                held[track.id] = track.key
    assert sorted(held.values()) == ["item 0", "item 1", "item 2"]


@pytest.mark.parametrize("seed", range(8))
def test_dropped_frames_change_no_name(seed):
    draw = random.Random(seed)
    kept = [frame for frame in clip(seed, flicker=0.1) if draw.random() > 0.4]
    tracks = follow(kept)
    assert names(tracks) == ["item 0", "item 1", "item 2"]


@pytest.mark.parametrize("seed", range(8))
def test_a_thing_that_is_missed_now_and_then_stays_one_track(seed):
    draw = random.Random(seed)
    missed = [(at, [one for one in seen if draw.random() > 0.3]) for at, seen in clip(seed)]
    assert names(follow(missed)) == ["item 0", "item 1", "item 2"]


@given(
    votes=st.lists(st.floats(0.1, 5), min_size=1, max_size=30),
    bad=st.floats(-1e6, 1e6),
    sharpness=st.floats(0, 1e3),
)
@settings(max_examples=60, deadline=None)
def test_one_frame_never_gives_another_name(votes, bad, sharpness):
    scene = Scene()
    for n, vote in enumerate(votes):
        look = unit(1, 0.1, n)
        scene = advance(scene, STEP * n, [Sighting(box(0), "a", "A", vote, 1.0, look)])
    before = scene.tracks[0].key
    worst = Sighting(box(0), "b", "B", bad, sharpness, unit(1, 0.1, 99))
    scene = advance(scene, STEP * len(votes), [worst])
    assert len(scene.tracks) == 1
    assert scene.tracks[0].key in (before, "")
    assert advance(Scene(), 0, [worst]).tracks[0].key == ""


@pytest.mark.parametrize("seed", range(10))
def test_a_stranger_stays_unknown(seed):
    """Every twentieth frame gives it some name; the others say unknown."""
    draw = random.Random(seed)
    scene = Scene()
    for n in range(300):
        named = draw.random() < 0.05
        vote = 3.0 if named else -draw.uniform(0, 3)
        one = Sighting(box(n), f"item {draw.randrange(4)}", "", vote, 1.0, unit(7, 0.2, n))
        scene = advance(scene, STEP * n, [one])
        assert scene.tracks[0].key == ""
    assert scene.tracks[0].name == ""
    assert scene.tracks[0].seen == 300


def test_a_name_is_lost_when_it_is_long_denied_and_another_can_come():
    scene = Scene()
    story = [("a", 2.0)] * 6 + [("a", -2.0)] * 18 + [("b", 2.0)] * 6
    keys = []
    for n, (key, vote) in enumerate(story):
        one = Sighting(box(0), key, key.upper(), vote, 1.0, unit(3, 0.2, n))
        scene = advance(scene, STEP * n, [one])
        keys.append(scene.tracks[0].key)
    assert keys[0] == ""
    assert keys[5:18] == ["a"] * 13
    assert keys[23] == ""
    assert keys[-1] == "b"
    assert scene.tracks[0].label == "B"


def once(keys: list[str], rules: Rules, frames: int = 6) -> list[str]:
    """The names of things side by side that are each named so."""
    scene = Scene()
    for n in range(frames):
        seen = [
            Sighting(box(300 * place), key, key, 2.0 - 0.1 * place, 1.0, unit(place, 0.1, n))
            for place, key in enumerate(keys)
        ]
        scene = advance(scene, STEP * n, seen, rules)
    return [next(t.key for t in scene.tracks if t.id == number) for number in scene.seen]


def test_an_item_that_exists_once_is_in_a_frame_once():
    assert once(["a", "a", "b"], Rules(), 3) == ["a", "", "b"]
    assert once(["a", "a", "b"], Rules(repeated=None)) == ["a", "a", "b"]
    assert once(["a", "a", "b", "b"], Rules(repeated=frozenset("a"))) == ["a", "a", "b", ""]


def test_who_has_the_name_keeps_it_from_a_newcomer():
    scene = Scene()
    for n in range(20):
        seen = [Sighting(box(0), "a", "A", 1.5, 1.0, unit(1, 0.1, n))]
        if n >= 10:
            seen.append(Sighting(box(500), "a", "A", 2.0, 1.0, unit(2, 0.1, n)))
        scene = advance(scene, STEP * n, seen)
        assert [track.key for track in scene.tracks][1:] in ([], [""])
    assert scene.tracks[0].key == "a"


@pytest.mark.parametrize(("gap", "tracks"), [(0.9, 1), (1.2, 2)])
def test_a_track_ends_and_another_begins(gap, tracks):
    frames: Frames = [(STEP * n, [Sighting(box(0), "a", "A", 2.0)]) for n in range(10)]
    frames += [(at + 1 + gap, seen) for at, seen in frames]
    found = follow(frames)
    assert len(found) == tracks
    assert [track.id for track in found] == list(range(1, tracks + 1))
    assert {track.name for track in found} == {"a"}
    scene = advance(advance(Scene(), 0, [Sighting(box(0))]), 5, [])
    assert (scene.tracks, [track.id for track in scene.ended], scene.seen) == ((), [1], ())
    assert advance(scene, 6, []).ended == ()


@pytest.mark.parametrize("looks", [True, False])
def test_things_that_cross_keep_their_tracks(looks):
    scene = Scene()
    for n in range(31):
        look = [unit(k, 0.05, n) if looks else None for k in range(2)]
        left = Sighting(box(20 * n, 0), "a", "A", 2.0, 1.0, look[0])
        right = Sighting(box(600 - 20 * n, 30), "b", "B", 2.0, 1.0, look[1])
        scene = advance(scene, STEP * n, [left, right] if n % 2 else [right, left])
    found = {track.key: track for track in scene.tracks}
    assert (found["a"].seen, found["b"].seen) == (31, 31)


def test_a_jump_is_followed_by_looks_and_not_without():
    for look, count in ((unit(4), 1), (None, 2)):
        scene = advance(Scene(), 0, [Sighting(box(0), vector=look)])
        scene = advance(scene, STEP, [Sighting(box(170), vector=look)])
        assert len(scene.tracks) == count


@pytest.mark.parametrize(
    "worse",
    [
        lambda one, n: replace(one, sharpness=0.2),
        lambda one, n: replace(one, box=box(0, side=30)),
        lambda one, n: replace(one, vector=unit(1)),
    ],
    ids=["blurred", "small", "the same view"],
)
def test_a_worse_sighting_weighs_less(worse: Callable[[Sighting, int], Sighting]):
    def votes(change: Callable[[Sighting, int], Sighting]) -> float:
        sharp = Sighting(box(900), sharpness=1.0)
        scene = Scene()
        for n in range(3):
            one = Sighting(box(0), "a", "A", 1.0, 1.0, unit(1, 0.2, n))
            scene = advance(scene, STEP * n, [change(one, n), sharp])
        return next(t.votes["a"] for t in scene.tracks if t.votes)

    full = votes(lambda one, n: one)
    assert full == pytest.approx(3)
    assert votes(worse) < 0.65 * full


def test_without_vectors_a_box_that_stays_is_one_view():
    still, moving = (
        follow((STEP * n, [Sighting(box(by * n), "a", "A", 0.5)]) for n in range(5))
        for by in (0, 30)
    )
    assert still[0].votes["a"] == pytest.approx(0.5 * (1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5))
    assert moving[0].votes["a"] == pytest.approx(0.5 * 5)


def test_a_long_clip_needs_no_more_room():
    scene = Scene()
    for n in range(2000):
        one = Sighting(box(n % 50), f"k{n % 97}", "", 2.0, 1.0, unit(1, 0.5, n))
        scene = advance(scene, STEP * n, [one])
    (track,) = scene.tracks
    assert len(track.views) == MAX_VIEWS
    assert len(track.votes) < 10
    assert len(track.labels) < 10


def decided(known: bool, confidence: float | None, candidates: int = 1) -> Decision:
    some = tuple(
        Candidate(f"k{n}", f"K{n}", 0.9, Reference(f"k{n}", "K", "k.jpg"), n)
        for n in range(candidates)
    )
    whole, key = Region((0, 0, 9, 9)), "k0" if known else ""
    return Decision(
        *(known, key, key, "", False, 0.4, 0.3, 0.9, None, confidence, whole, some),
        reasons=("because",),
    )


@pytest.mark.parametrize(
    ("decision", "key", "vote"),
    [
        (decided(True, 0.9), "k0", 2.1972),
        (decided(True, 0.4), "k0", 0.0),
        (decided(False, 0.1), "k0", -2.1972),
        (decided(False, 0.6), "k0", 0.0),
        (decided(True, 1.0), "k0", 13.8155),
        (decided(True, None), "k0", 1.0),
        (decided(False, None), "k0", -1.0),
        (decided(False, None, 0), "", 0.0),
    ],
)
def test_an_answer_becomes_a_vote(decision, key, vote):
    one = sighted(box(0), decision, sharpness=3.0)
    assert (one.key, one.sharpness) == (key, 3.0)
    assert one.vote == pytest.approx(vote, abs=1e-3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"box": (0, 0, 0, 5)},
        {"box": (0, 0, float("nan"), 5)},
        {"box": (0, 0, float("inf"), 5)},
        {"vote": float("nan")},
        {"vote": float("inf")},
        {"sharpness": -1.0},
        {"sharpness": float("nan")},
    ],
)
def test_a_sighting_that_is_none_is_refused(wrong):
    with pytest.raises(InputError, match="sighting"):
        Sighting(**{"box": box(0), **wrong})


def test_time_goes_on_and_rules_hold_together():
    scene = advance(Scene(), 1.0, [])
    for at in (1.0, 0.5, float("nan"), float("inf")):
        with pytest.raises(InputError, match="after the last one"):
            advance(scene, at, [])
    for wrong in ({"most": 5.0}, {"held": 2.0}, {"most": 0.0}):
        with pytest.raises(InputError, match="most < enough"):
            Rules(**wrong)


def test_a_frame_without_sharpness_or_size_says_nothing():
    scene = Scene()
    for n in range(9):
        dark = Sighting(box(0), "a", "A", 2.0, 0.0)
        scene = advance(scene, STEP * n, [dark, Sighting(box(900), sharpness=5.0)])
    assert all(track.votes == {} for track in scene.tracks)
