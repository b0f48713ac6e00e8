"""Streams of frames: an item appears once and is gone once, whatever single frames say."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kenspeckle.errors import InputError, ServiceBusy
from kenspeckle.flows.identify import Answer
from kenspeckle.match.sighting import Rect
from kenspeckle.serve.access import Principal
from kenspeckle.serve.events import Bus
from kenspeckle.serve.glances import Glance, glances
from kenspeckle.serve.streams import FAR, IDLE, LATEST, Streams
from kenspeckle.types import Candidate, Decision, Reference, Region

BOX: Rect = (10, 10, 210, 210)


class Clock:
    """Time that passes when it is told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def answer(key: str, *, known: bool = True, confidence: float | None = 0.99) -> Decision:
    reference = Reference(key, key.title(), f"{key}.jpg")
    return Decision(
        known=known,
        key=key if known else "",
        label=key.title() if known else "",
        variant="",
        variant_certain=True,
        score=0.5,
        threshold=0.3,
        similarity=0.9,
        margin=0.4,
        confidence=confidence,
        region=Region((10, 10, 210, 210)),
        candidates=(Candidate(key, key.title(), 0.9, reference, 1),),
        reasons=("so",),
    )


def moving(step: int, key: str, **more: object) -> Glance:
    """A thing that is seen in ever another place, so that every frame says something new."""
    shift = 25.0 * step
    box = (BOX[0] + shift, BOX[1], BOX[2] + shift, BOX[3])
    return Glance(box, answer(key, **more))  # type: ignore[arg-type]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def streams(clock: Clock) -> Streams:
    return Streams(Bus(), patience=2.0, most=3, clock=clock)


def play(streams: Streams, clock: Clock, frames: list[list[Glance]], name: str = "cam") -> list:
    events = []
    for frame in frames:
        clock.now += 0.2
        events += streams.see("g", name, frame)
    return events


def test_an_item_appears_once_and_is_gone_once(streams, clock):
    frames = [[moving(step, "mug")] for step in range(12)]
    (appeared,) = play(streams, clock, frames)
    assert (appeared.kind, appeared.gallery) == ("appeared", "g")
    data = appeared.data
    assert (data["item"], data["label"], data["stream"]) == ("mug", "Mug", "cam")
    assert data["confidence"] == pytest.approx(0.99)
    assert "key" not in data, "nobody showed one"
    assert play(streams, clock, [[] for _ in range(9)]) == []
    (gone,) = play(streams, clock, [[] for _ in range(5)])
    assert (gone.kind, gone.data["item"]) == ("gone", "mug")
    assert gone.data["frames"] == 12
    assert gone.data["seconds"] == pytest.approx(2.2, abs=0.01)


def test_it_may_appear_again_after_it_was_gone(streams, clock):
    frames = [[moving(step, "mug")] for step in range(8)]
    pause = [[] for _ in range(12)]
    kinds = [one.kind for one in play(streams, clock, [*frames, *pause, *frames, *pause])]
    assert kinds == ["appeared", "gone", "appeared", "gone"]


def test_a_flicker_neither_ends_nor_begins_anything(streams, clock):
    frames = [
        [] if step % 5 == 4 else [moving(step, "mug" if step % 6 != 5 else "jar")]
        for step in range(30)
    ]
    assert [one.data["item"] for one in play(streams, clock, frames)] == ["mug"]


def test_a_stranger_never_appears(streams, clock):
    frames = [[moving(step, "mug", known=False, confidence=0.1)] for step in range(40)]
    assert play(streams, clock, frames) == []


def test_what_jumps_to_another_place_has_not_appeared_again(streams, clock):
    here = [[moving(step, "mug")] for step in range(8)]
    there = [[replace(one[0], box=(900.0, 700.0, 1100.0, 900.0 + n))] for n, one in enumerate(here)]
    assert [one.kind for one in play(streams, clock, here + there * 3)] == ["appeared"]


def test_streams_are_apart(streams, clock):
    frames = [[moving(step, "mug")] for step in range(8)]
    assert len(play(streams, clock, frames, "left") + play(streams, clock, frames, "right")) == 2


def test_a_stream_that_falls_silent_ends_and_is_forgotten(streams, clock):
    play(streams, clock, [[moving(step, "mug")] for step in range(8)])
    clock.now += 1.0
    assert streams.age() == []
    clock.now += 1.5
    assert [one.kind for one in streams.age()] == ["gone"]
    assert streams.age() == []
    assert len(streams) == 1
    clock.now += IDLE
    assert streams.age() == []
    assert len(streams) == 0


def test_so_many_streams(streams, clock):
    for name in "abc":
        streams.see("g", name, [])
    with pytest.raises(ServiceBusy, match="3 are open"):
        streams.admit("g", "d")
    streams.admit("g", "a")
    clock.now += IDLE + 1
    streams.age()
    streams.admit("g", "d")


def test_to_ask_for_a_stream_takes_no_place(streams, clock):
    for number in range(20):
        streams.admit("g", f"s{number}")
    assert len(streams) == 0
    streams.see("g", "d", [])
    assert len(streams) == 1


def test_no_asker_has_all_streams_and_its_silent_ones_make_room(clock):
    streams = Streams(Bus(), patience=2.0, most=8, clock=clock)
    for number in range(4):
        clock.now += 0.1
        streams.see("g", f"s{number}", [], asker="me")
    for ask in (streams.admit, lambda *args, **more: streams.see(*args, [], **more)):
        with pytest.raises(ServiceBusy, match="4 of yours are open"):
            ask("g", "s4", asker="me")
    streams.admit("g", "s0", asker="me")
    streams.see("g", "door", [], asker="you")
    clock.now += 2.5
    streams.see("g", "s1", [], asker="me")
    streams.see("g", "s4", [], asker="me")
    names = [watch.name for watch in streams._watches.values()]
    assert names == ["s1", "s2", "s3", "door", "s4"], "the stalest of its own went"


def test_a_stream_that_makes_room_tells_what_is_gone(clock):
    streams = Streams(Bus(), patience=2.0, most=2, clock=clock)
    play(streams, clock, [[moving(step, "mug")] for step in range(8)], "cam")
    streams.see("g", "other", [])
    clock.now += 2.5
    streams.see("g", "other", [])
    streams.see("g", "new", [])
    assert [one.kind for one in streams._bus._log] == ["appeared", "gone"]
    assert [watch.name for watch in streams._watches.values()] == ["other", "new"]


def test_frames_may_have_times_of_their_own(streams, clock):
    events = []
    for step in range(40):
        events += streams.see("g", "clip", [moving(step, "mug")], at=step / 30)
    for step in range(40, 160):
        events += streams.see("g", "clip", [], at=step / 30)
    assert [one.kind for one in events] == ["appeared", "gone"]
    assert streams.see("g", "clip", [moving(0, "mug")], at=0.5) == [], "it came too late"
    assert clock.now == 100.0


@pytest.mark.parametrize(
    ("name", "at"),
    [
        *[("", None), ("x" * 101, None), ("a\nb", None), ("\x1b[2J", None)],
        *[("a", at) for at in (math.nan, math.inf, -math.inf, 1e300, -1e300, 2.6e11)],
    ],
)
def test_a_bad_name_or_time_is_refused(streams, name, at):
    with pytest.raises(InputError):
        streams.see("g", name, [], at)
    assert len(streams) == 0


def clip(streams: Streams, first: float | None, name: str = "clip") -> list[str]:
    """What fifteen frames of a moving thing lead to, their times counted from `first`."""
    events = []
    for step in range(15):
        at = None if first is None else first + step / 5
        events += streams.see("g", name, [moving(step, "mug")], at)
    return [one.kind for one in events]


@pytest.mark.parametrize("wrong", [LATEST, 2e9, 100.0 + FAR + 40, -LATEST])
@pytest.mark.parametrize("first", [0.0, None])
def test_one_frame_with_a_wrong_time_deafens_nothing(streams, clock, wrong, first):
    streams.see("g", "clip", [], wrong)
    assert clip(streams, first) == ["appeared"]


def test_a_wrong_time_in_between_ends_what_is_there_and_no_more(streams):
    assert clip(streams, 0.0) == ["appeared"]
    assert [one.kind for one in streams.see("g", "clip", [], 1e9)] == ["gone"]
    assert clip(streams, 4.0) == ["appeared"]


def test_a_count_may_begin_anew(streams, clock):
    """A recording that is played again; while frames are counted, late ones are left out."""
    assert clip(streams, 10.0) == ["appeared"]
    assert clip(streams, 0.0) == []
    clock.now += 2.5
    assert clip(streams, 0.0) == ["gone", "appeared"]


def test_times_near_the_end_of_all_times_still_go_on(streams, clock):
    streams.see("g", "clip", [], LATEST - 1)
    watch = next(iter(streams._watches.values()))
    clock.now = LATEST - 1.5
    for step in range(3):
        before = watch.scene.at
        streams.see("g", "clip", [moving(step, "mug")])
        assert watch.scene.at > before


def test_a_stream_belongs_to_the_key_that_began_it(streams):
    one, other = (
        Principal(name, frozenset({"read"}), anonymous=False, id=f"{name} 1")
        for name in ("camera", "guest")
    )
    kinds = []
    for step in range(8):
        for by, frame in ((one, [moving(step, "mug")]), (other, [])):
            events = streams.see("g", "door", frame, step / 5, by=by)
            kinds += [(event.kind, event.data["key"]) for event in events]
    assert kinds == [("appeared", "camera")]
    assert len(streams) == 2
    for step in range(8):
        streams.see("g", "door", [moving(step, "mug")], 2 + step / 5, by=other)
    standing = [event.data["key"] for event in streams._bus._standing.values()]
    assert sorted(standing) == ["camera", "guest"], "each tells of its own"
    streams.admit("g", "door", by=one)


def test_what_an_answer_saw():
    """Each item once, where it is named best; the unknown only where nothing is named."""
    rows = np.eye(4, 8, dtype=np.float32)
    boxes = [(0, 0, 90, 90), (0, 0, 50, 50), (40, 40, 90, 90), (10, 10, 60, 60)]

    def regions(*said: tuple[str, bool, float]) -> tuple[Decision, ...]:
        return tuple(
            replace(answer(key, known=known), score=score, region=Region(box))
            for (key, known, score), box in zip(said, boxes, strict=True)
        )

    each = regions(("mug", True, 0.4), ("mug", True, 0.6), ("jar", True, 0.5), ("pot", False, 0.1))
    seen = glances(Answer(each[1], each, rows, (90, 90)))
    assert {one.decision.key: one.box for one in seen} == {"mug": boxes[1], "jar": boxes[2]}
    assert seen[0].vector is not None
    assert seen[0].vector.tolist() == rows[1].tolist()

    nothing = regions(*[("mug", False, score) for score in (0.1, 0.3, 0.2, 0.1)])
    (only,) = glances(Answer(nothing[1], nothing, rows, (90, 90)))
    assert (only.decision.known, only.box) == (False, boxes[1])

    by_code = replace(answer("pot"), region=Region((5, 5, 20, 20)))
    (only,) = glances(Answer(by_code, nothing, rows, (90, 90)))
    assert (only.decision.key, only.vector) == ("pot", None)


FRAME = st.lists(st.sampled_from(["mug", "jar", "pot", "?"]), max_size=3, unique=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(FRAME, st.sampled_from([0.1, 0.2, 0.5, 3.0])), max_size=60))
def test_appeared_and_gone_take_turns_and_nothing_stays_after_silence(frames):
    clock = Clock()
    streams = Streams(Bus(), patience=1.0, clock=clock)
    events = []
    for step, (keys, passed) in enumerate(frames):
        clock.now += passed
        glances_ = [
            replace(
                moving(step, key, known=key != "?"),
                box=(300.0 * place + step, 0, 300.0 * place + step + 200, 200),
            )
            for place, key in enumerate(["mug", "jar", "pot", "?"])
            if key in keys
        ]
        events += streams.see("g", "cam", glances_)
    clock.now += 100
    events += streams.age()
    for key in ("mug", "jar", "pot"):
        kinds = [one.kind for one in events if one.data["item"] == key]
        assert kinds == ["appeared", "gone"] * (len(kinds) // 2)
    assert all(one.data["item"] in ("mug", "jar", "pot") for one in events)
    assert [one.number for one in events] == list(range(1, len(events) + 1))
    assert len(streams) == 0


def test_silence_is_noticed_without_another_frame():
    bus = Bus()
    streams = Streams(bus, patience=0.2)
    for step in range(8):
        streams.see("g", "cam", [moving(step, "mug")])
    deadline = time.monotonic() + 30
    while not any(one.kind == "gone" for one in bus._log):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    streams.close()
    with pytest.raises(ServiceBusy, match="stopping"):
        streams.see("g", "cam", [])
