"""Printed codes and printed text as further evidence, where the setting asks for them.

The rule is stated, not fitted; `docs/explanation/second-look.md` has it in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from kenspeckle.config import IdentifySettings
from kenspeckle.engines import codes, ocr
from kenspeckle.flows.looks import Found, Reader, read_of
from kenspeckle.flows.opened import Opened
from kenspeckle.flows.second_look import best_references
from kenspeckle.match.reading import by_codes, by_text, front, shown
from kenspeckle.match.second_look import shortlist
from kenspeckle.store.base import Hits
from kenspeckle.types import Candidate, Decision, Evidence, Picture, Reference, Region

Pairs = list[tuple[int, Reference]]

SHORTLIST = 10
"""Items whose references are read where nobody asks for another number: reading takes longer than
comparing features."""


class Codes:
    """Printed codes, read of photos and references alike."""

    kind = codes.KIND
    extract = staticmethod(codes.read)
    pack = staticmethod(codes.to_bytes)
    unpack = staticmethod(codes.from_bytes)


class Text:
    """Printed text, read of photos and references alike."""

    kind = ocr.KIND
    extract = staticmethod(ocr.read)
    pack = staticmethod(ocr.to_bytes)
    unpack = staticmethod(ocr.from_bytes)


@dataclass(frozen=True, slots=True)
class Seen:
    """A photo, its regions `(Q)`, their hits, and the nearest references of the shortlist by item.

    `winner` is the item that the decision puts first; it is always among them.
    """

    opened: Opened
    picture: Picture
    regions: Sequence[Region]
    found: Hits
    winner: int
    nearest: Mapping[int, Pairs] = field(repr=False)

    def read(self, reader: Reader[Found], items: Sequence[int]) -> dict[int, list[Found]]:
        """What is read of the references of some items; one without a readable one has none."""
        pairs = [pair for item in items for pair in self.nearest[item]]
        opened = self.opened
        known = read_of(opened.store, opened.looks, reader, pairs, opened.settings.image)
        return {item: [known[n] for n, _ in self.nearest[item] if n in known] for item in items}

    def candidate(self, item: int) -> tuple[Candidate, Region]:
        """An item of the shortlist by its nearest reference, and the region that is nearest."""
        number, reference = self.nearest[item][0]
        row, place = divmod(
            int((self.found.scores - 4.0 * (self.found.ids != number)).argmax()),
            self.found.ids.shape[1],
        )
        cosine = float(self.found.scores[row, place])
        return (
            Candidate(reference.key, reference.label, cosine, reference, number),
            self.regions[row],
        )


def read_too(
    opened: Opened, picture: Picture, regions: Sequence[Region], found: Hits, decision: Decision
) -> Decision:
    """The decision after codes and text were read, as far as the setting asks for them.

    Raises MissingExtra, ModelMissing.
    """
    settings = opened.settings.identify
    if not settings.evidence or not decision.candidates:
        return decision
    winner = int(opened.store.owners([decision.candidates[0].reference_id])[0])
    deep = depth(settings)
    items = list(dict.fromkeys([winner, *shortlist(found, deep)]))
    seen = Seen(opened, picture, regions, found, winner, best_references(opened, found, items))
    if "codes" in settings.evidence:
        decision = _after_codes(seen, decision)
    if "text" in settings.evidence:
        decision = _after_text(seen, decision)
    return decision


def depth(asked: IdentifySettings) -> int:
    """How many items are read; 0 where the setting asks for nothing."""
    return (asked.shortlist or SHORTLIST) if asked.evidence else 0


def _after_codes(seen: Seen, decision: Decision) -> Decision:
    """An equal code names its item; a different one of the best candidate makes it unknown."""
    ours = codes.read(seen.picture.image)
    if not ours:
        return _told(decision, Evidence("code", "abstains", {"photo": 0.0}), "no code was read")
    theirs = {
        item: {code for each in read for code in each}
        for item, read in seen.read(Codes(), list(seen.nearest)).items()
    }
    said = {item: by_codes(ours, own) for item, own in theirs.items()}
    item, own = front(said), said[seen.winner]
    if item is not None:
        equal = min(set(ours) & theirs[item])
        moved = _moved(seen, decision, item)
        winner = moved.candidates[0]
        sentence = f"the photo and {winner.label} show the same code ({shown(equal)}): it decides"
        named = _named(seen, moved, item)
        return _told(replace(named, confidence=None), said[item], sentence, first=True)
    label = decision.candidates[0].label
    if own.verdict == "disagrees":
        kinds = {kind for kind, _ in theirs[seen.winner]}
        ours_shown = shown(min(code for code in ours if code[0] in kinds))
        sentence = f"the photo shows {ours_shown}, {label} another code of this kind: it decides"
        return _told(_unnamed(decision), own, sentence, first=True)
    several = sum(one.verdict == "agrees" for one in said.values())
    if several:
        sentence = f"the code in the photo is on {several} of the nearest items: it tells nothing"
        return _told(decision, replace(own, verdict="abstains"), sentence)
    return _told(decision, own, f"no code of {label} to compare with the one in the photo")


def _after_text(seen: Seen, decision: Decision) -> Decision:
    """Text tells of the best candidate, and which one of look-alikes comes first."""
    ours = ocr.read(seen.picture.image)
    coded = any(one.kind == "code" and one.verdict != "abstains" for one in decision.evidence)
    winner = int(seen.opened.store.owners([decision.candidates[0].reference_id])[0])
    items = [winner] if coded else _look_alikes(seen, decision)
    said = {item: _best(ours, read) for item, read in seen.read(Text(), items).items()}
    first = front(said)
    if first is not None and first != winner and said[winner].verdict == "disagrees":
        known, before = decision.known, decision.candidates[0].label
        decision = _moved(seen, decision, first)
        decision = _named(seen, decision, first) if known else decision
        sentence = f"of look-alikes, the text fits {decision.candidates[0].label}, not {before}"
        return _told(replace(decision, confidence=None), said[first], sentence)
    own, label = said[winner], decision.candidates[0].label
    sentence = {
        "agrees": f"the text fits {label}",
        "disagrees": f"the text does not fit {label}",
        "abstains": "too little text was read to compare",
    }[own.verdict]
    return _told(decision, own, sentence)


def _best(ours: Sequence[ocr.Line], theirs: Sequence[Sequence[ocr.Line]]) -> Evidence:
    """What the text says of the reference that it fits best."""
    every = [by_text(ours, one) for one in theirs] or [by_text(ours, ())]
    return max(every, key=lambda one: (one.verdict == "agrees", one.numbers.get("similarity", -1)))


def _look_alikes(seen: Seen, decision: Decision) -> list[int]:
    """The best candidate and those whose cosine is so near to its that a photo can hardly tell."""
    calibration = seen.opened.store.calibration()
    if calibration is None or calibration.view_level is None:
        return [seen.winner]
    least = decision.similarity - (1 - calibration.view_level)
    near = [item for item in seen.nearest if seen.candidate(item)[0].similarity >= least]
    return list(dict.fromkeys([seen.winner, *near]))


def _moved(seen: Seen, decision: Decision, item: int) -> Decision:
    """The decision with one item of the shortlist in front, neither named nor unnamed by it.

    Evidence so far told of the item that was in front.
    """
    if item == seen.winner:
        return decision
    candidate, region = seen.candidate(item)
    others = [one for one in decision.candidates if one.key != candidate.key]
    return replace(
        decision,
        similarity=candidate.similarity,
        margin=candidate.similarity - max(one.similarity for one in others) if others else None,
        region=region,
        candidates=(candidate, *others)[: len(decision.candidates)],
        evidence=(),
    )


def _named(seen: Seen, decision: Decision, item: int) -> Decision:
    """The decision that names its best candidate."""
    winner = decision.candidates[0]
    if decision.known and decision.key == winner.key:
        return decision
    return replace(
        decision,
        known=True,
        key=winner.key,
        label=winner.label,
        variant=winner.reference.variant,
        variant_certain=seen.opened.store.prints(item) == 1,
    )


def _unnamed(decision: Decision) -> Decision:
    """The same candidates, and none of them named."""
    return replace(
        decision, known=False, key="", label="", variant="", variant_certain=False, confidence=None
    )


def _told(decision: Decision, evidence: Evidence, sentence: str, first: bool = False) -> Decision:
    """The decision with one more evidence and its sentence: the first one where it decided."""
    reasons = (sentence, *decision.reasons) if first else (*decision.reasons, sentence)
    return replace(decision, evidence=(*decision.evidence, evidence), reasons=reasons)
