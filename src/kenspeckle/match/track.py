"""One name for one thing over the frames of a video or webcam. Pure: sightings in, tracks out.

A frame's sightings are paired with the tracks so far by where they are and how they look. Each
sighting then votes for the item it was named: log-odds of its confidence, weighted by how sharp,
how large and how new the view is. A track takes a name when the votes for it suffice, and keeps it
until those for another are clearly more, so no single frame changes a name. An item that exists
once is given to one track of a frame, by the best assignment.

The weights and limits of `Rules` are set by judgement, not fitted; nothing is promised about
strangers over a whole video beyond what each frame's answer promises.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from kenspeckle.errors import InputError
from kenspeckle.match.assign import assign
from kenspeckle.match.sighting import USUAL, Rect, Rules, Sighting, centre, distance, overlap
from kenspeckle.types import NO_METADATA, Float32

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class View:
    """A way in which a thing was seen: its first box and vector, and how often."""

    box: Rect
    vector: Float32 | None
    seen: int = 1


@dataclass(frozen=True, slots=True)
class Track:
    """One thing over time.

    `key` is its name, empty while unknown; `votes` are what has been said for each item, above 0
    but for its name, which outlives some contradiction.
    `held` counts the sightings under each name, `seen` all of them. `speed` is that of the box's
    centre, pixels in the unit of time.
    """

    id: int
    box: Rect
    first: float
    last: float
    key: str = ""
    label: str = ""
    seen: int = 0
    votes: Mapping[str, float] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=lambda: NO_METADATA)
    views: tuple[View, ...] = ()
    speed: tuple[float, float] = (0.0, 0.0)

    @property
    def name(self) -> str:
        """The one name of the whole track: the last, or one that it had for most of its time."""
        most = max(self.held, key=lambda key: (self.held[key], key), default="")
        return self.key or (most if 2 * self.held.get(most, 0) > self.seen else "")


@dataclass(frozen=True, slots=True)
class Scene:
    """The tracks after a frame: those that go on, those that ended with it, and which track each
    of the frame's sightings belongs to, in the order they were given."""

    tracks: tuple[Track, ...] = ()
    ended: tuple[Track, ...] = ()
    seen: tuple[int, ...] = ()
    at: float = -math.inf
    next_id: int = 1
    sharpest: float = 0.0


MAX_VIEWS = 16
"""Views remembered of a track; the oldest is forgotten."""
SAME_PLACE = 0.9


def advance(scene: Scene, at: float, sightings: Sequence[Sighting], rules: Rules = USUAL) -> Scene:
    """The scene after one more frame, taken at time `at`. In whatever order the sightings come,
    the tracks are the same. InputError if `at` is not after the last frame."""
    if not at > scene.at or not math.isfinite(at):
        raise InputError("frame", f"time {at:g}", expected=f"after the last one, {scene.at:g}")
    going = tuple(one for one in scene.tracks if at - one.last <= rules.patience)
    ended = tuple(one for one in scene.tracks if at - one.last > rules.patience)
    order = sorted(range(len(sightings)), key=lambda n: _rank(sightings[n]))
    ranked = [sightings[n] for n in order]
    pairs = {column: row for row, column in assign(_gains(going, ranked, at, rules))}
    gone = 0.0 if scene.at == -math.inf else at - scene.at
    sharpest = scene.sharpest * 0.5 ** (gone / rules.sharp_for)
    sharpest = max([sharpest, *(one.sharpness for one in ranked)])
    next_id, now, mine = scene.next_id, {one.id: one for one in going}, []
    for place, one in enumerate(ranked):
        if place in pairs:
            track = going[pairs[place]]
        else:
            track, next_id = Track(next_id, one.box, at, at), next_id + 1
        now[track.id] = _voted(track, one, at, sharpest, rules)
        mine.append(track.id)
    now |= _named([now[number] for number in mine], rules)
    seen = [0] * len(order)
    for place, number in zip(order, mine, strict=True):
        seen[place] = number
    return Scene(tuple(now.values()), ended, tuple(seen), at, next_id, sharpest)


def follow(
    frames: Iterable[tuple[float, Sequence[Sighting]]], rules: Rules = USUAL
) -> tuple[Track, ...]:
    """All tracks of a clip, by the time of their first sighting; see `Track.name`."""
    scene, done = Scene(), list[Track]()
    for at, sightings in frames:
        scene = advance(scene, at, sightings, rules)
        done += scene.ended
    return tuple(sorted((*done, *scene.tracks), key=lambda track: track.id))


def _rank(one: Sighting) -> tuple[object, ...]:
    return one.box, one.key, one.vote, one.sharpness


def _gains(
    tracks: Sequence[Track], sightings: Sequence[Sighting], at: float, rules: Rules
) -> Floats:
    """How well each sighting goes on each track `(tracks, sightings)`; 0 where it cannot."""
    gains = np.zeros((len(tracks), len(sightings)))
    for row, track in enumerate(tracks):
        passed = at - track.last
        ahead = _moved(track.box, track.speed[0] * passed, track.speed[1] * passed)
        for column, one in enumerate(sightings):
            shared = max(overlap(ahead, one.box), overlap(track.box, one.box))
            near = distance(ahead, one.box) <= rules.reach
            alike = _likeness(track, one) if near or shared else 0.0
            if shared >= rules.overlap or (near and alike >= rules.alike):
                gains[row, column] = shared + max(alike, 0.0)
    return gains


def _likeness(track: Track, one: Sighting) -> float:
    """The cosine of a sighting to the nearest view of a track; 0 without vectors."""
    if one.vector is None:
        return 0.0
    near = [float(view.vector @ one.vector) for view in track.views if view.vector is not None]
    return max(near, default=0.0)


def _voted(track: Track, one: Sighting, at: float, sharpest: float, rules: Rules) -> Track:
    """A track with one more sighting in it, its name left as it was.

    Whoever is not the best of a frame has at most the chance 1 - p of one that is named with p, and
    at most that of the best where that is unknown: its log-odds are -|v| or less.
    """
    place, views = _placed(track.views, one, rules)
    width, height = one.box[2] - one.box[0], one.box[3] - one.box[1]
    weight = max(1 / views[place].seen, rules.least) * min(min(width, height) / rules.side, 1.0)
    weight *= one.sharpness / sharpest if sharpest else 1.0
    vote = weight * min(max(one.vote, -rules.doubt), rules.most)
    votes = {key: value - abs(vote) for key, value in track.votes.items() if key != one.key}
    if one.key:
        votes[one.key] = min(track.votes.get(one.key, 0.0) + vote, rules.held)
    least = {track.key: -rules.enough}
    votes = {key: value for key, value in sorted(votes.items()) if value > least.get(key, 0.0)}
    labels = {**track.labels, one.key: one.label}
    return replace(
        track,
        box=one.box,
        last=at,
        seen=track.seen + 1,
        votes=votes,
        labels={key: label for key, label in labels.items() if key in votes or key in track.held},
        views=views,
        speed=_speed(track, one.box, at),
    )


def _placed(views: tuple[View, ...], one: Sighting, rules: Rules) -> tuple[int, tuple[View, ...]]:
    """The views with this sighting among them, and the place of its own."""
    for place, view in enumerate(views):
        if one.vector is not None and view.vector is not None:
            same = float(view.vector @ one.vector) >= rules.same_view
        else:
            same = overlap(view.box, one.box) >= SAME_PLACE
        if same:
            now = replace(view, seen=view.seen + 1)
            return place, (*views[:place], now, *views[place + 1 :])
    kept = (*views, View(one.box, one.vector))[-MAX_VIEWS:]
    return len(kept) - 1, kept


def _named(tracks: Sequence[Track], rules: Rules) -> dict[int, Track]:
    """The tracks of one frame with their names: each item once, unless it may be repeated."""
    tracks = sorted(tracks, key=lambda track: track.id)
    columns: dict[tuple[str, int], int] = {}
    worth: list[tuple[int, int, float]] = []
    for row, track in enumerate(tracks):
        for key, votes in track.votes.items():
            if votes >= rules.enough or key == track.key:
                several = rules.repeated is None or key in rules.repeated
                column = columns.setdefault((key, track.id if several else 0), len(columns))
                own = max(votes + rules.lead, 1e-6) if key == track.key else votes
                worth.append((row, column, own))
    gains = np.zeros((len(tracks), len(columns)))
    for row, column, value in worth:
        gains[row, column] = value
    names, given = [key for key, _ in columns], dict(assign(gains))
    return {
        track.id: _called(track, names[given[row]] if row in given else "")
        for row, track in enumerate(tracks)
    }


def _called(track: Track, key: str) -> Track:
    held = {**track.held, key: track.held.get(key, 0) + 1} if key else track.held
    return replace(track, key=key, label=track.labels.get(key, ""), held=held)


def _speed(track: Track, box: Rect, at: float) -> tuple[float, float]:
    """The speed of the centre, half of it what it was before."""
    passed = at - track.last
    if not track.seen or passed <= 0:
        return track.speed
    (x, y), (old_x, old_y) = centre(box), centre(track.box)
    own = 1.0 if track.seen == 1 else 0.5
    old, new = track.speed, ((x - old_x) / passed, (y - old_y) / passed)
    return old[0] + own * (new[0] - old[0]), old[1] + own * (new[1] - old[1])


def _moved(box: Rect, right: float, down: float) -> Rect:
    return box[0] + right, box[1] + down, box[2] + right, box[3] + down
