"""Which print of a card a mask is told to show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stored import MANIFEST, WIDTH

from kenspeckle.serve.routes.falcon_print import Print, print_seen
from kenspeckle.store import create_store
from kenspeckle.store.base import Enrolled
from kenspeckle.types import Candidate, Decision, Reference, Region

PSCR, UR = "LOCH-JP001_x_pscr.jpg", "LOCH-JP002_x_ur.jpg"


def indexed(path: str, variant: str = "", rarity: str = "") -> Reference:
    return Reference("x", "X", path, variant, metadata={"rarity": rarity} if rarity else {})


def by_hand(origin: str, variant: str = "") -> Reference:
    return Reference("x", "X", f"{origin}.jpg", variant, origin=origin)


PRINT_1 = indexed(PSCR, "LOCH-JP001 PScR", "PScR")
PRINT_2 = indexed(UR, "LOCH-JP002 UR", "UR")
PLAIN = indexed("x.jpg")
ADDED, CONFIRMED = by_hand("added"), by_hand("confirmed", "LOCH-JP001 PScR")


@pytest.mark.parametrize(
    ("certain", "winner", "others", "seen"),
    [
        (True, PRINT_1, [], ("LOCH-JP001", "PScR")),
        (True, CONFIRMED, [PRINT_1], ("LOCH-JP001", "PScR")),
        (False, CONFIRMED, [PRINT_1, PRINT_2], ("LOCH-JP001", "")),
        (False, ADDED, [PRINT_1], ("LOCH-JP001", "PScR")),
        (False, PRINT_1, [ADDED], ("LOCH-JP001", "PScR")),
        (True, ADDED, [PRINT_1, PRINT_2], ("", "")),
        (False, ADDED, [PRINT_1, PLAIN], ("", "")),
        (False, PRINT_1, [PRINT_2], ("LOCH-JP001", "")),
        (False, PLAIN, [PRINT_1], ("", "")),
        (True, ADDED, [], ("", "")),
    ],
)
def test_the_print_that_all_references_agree_on(
    tmp_path: Path, certain: bool, winner: Reference, others: list[Reference], seen: Print
) -> None:
    rows = np.eye(WIDTH, dtype=np.float32)
    with create_store(tmp_path / "g.ken", MANIFEST) as store:
        stranger = Reference("y", "Y", "ABCD-JP001_y_sr.jpg", "ABCD-JP001 SR")
        references = [winner, *others, stranger]
        store.add([Enrolled(one, row) for one, row in zip(references, rows, strict=False)])
        candidate = Candidate("x", "X", 0.9, winner, 1)
        decision = Decision(
            known=True, key="x", label="X", variant=winner.variant, variant_certain=certain,
            score=0.9, threshold=None, similarity=0.9, margin=0.5, confidence=None,
            region=Region((0, 0, 1, 1)), candidates=(candidate,), reasons=(),
        )  # fmt: skip
        assert print_seen(store, decision) == seen
