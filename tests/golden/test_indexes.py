"""Index files of every format version must open and give the same answers for ever.

`python tests/golden/test_indexes.py` writes the files of the present formats where there are none
yet; a file that exists is never written again.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kenspeckle.store import Enrolled, Manifest, create_store, migrations, npz, open_store, peek
from kenspeckle.types import Calibration, Feedback, Fingerprint, Promise, Recipe, Reference

FOLDER = Path(__file__).parent / "index"
KEN = FOLDER / f"v{migrations.FORMAT}.ken"
NPZ = FOLDER / f"v{npz.FORMAT}.npz"
ORIGINAL = FOLDER / "original.npz"
FILES = ("v1.ken", "v2.ken", "v3.ken", "v1.npz", "v2.npz", "original.npz")
WIDTH, COUNT = 32, 12


def rows() -> np.ndarray:
    """Unit rows that float16 holds exactly enough to tell the answers apart."""
    grid = np.cos(np.outer(np.arange(1, COUNT + 1), np.arange(1, WIDTH + 1)) * 0.7)
    return (grid / np.linalg.norm(grid, axis=1, keepdims=True)).astype(np.float32)


def queries() -> np.ndarray:
    return np.stack([rows()[3], 0.6 * rows()[7] + 0.4 * rows()[2], -rows()[0]])


def write() -> None:
    """Write the files that are missing."""
    FOLDER.mkdir(exist_ok=True)
    fingerprint = Fingerprint("golden", "ab" * 32, Recipe(64, fit="letterbox"), WIDTH, "cd" * 32)
    manifest = Manifest(fingerprint, "cards", "pictures", "2026-01-31", {"views": "1"})
    promise = Promise("general", 0.01, 0.004, 0.02, 900, 300)
    for path in (KEN, NPZ):
        if path.exists():
            continue
        with create_store(path, manifest) as store:
            store.add([enrolled(n) for n in range(COUNT)])
            store.remove([2])
            store.add([enrolled(1)])
            store.set_calibration(
                Calibration(
                    *("margin", 0.25, 12.0, -3.0, (promise,), 0.01, "whole"),
                    fingerprint.space_id,
                    *(6, 11, store.standing().change, "2026-01-31", 20, 0.9),
                    notes=("a note",),
                    feedback=2,
                )
            )
            store.set_features("dots", {n: bytes([n]) * n for n in (1, 5, 9)})
            store.add_feedback(feedback("confirmed", 3))
            store.add_feedback(feedback("rejected", 5))
    if not ORIGINAL.exists():
        names = np.array([f"Card {n} Ur" for n in range(COUNT)], object)
        files = np.array([f"LOCH-JP{n:03}_card_{n}_ur.jpg" for n in range(COUNT)], object)
        np.savez(ORIGINAL, embeddings=rows(), names=names, filenames=files)
    for path in (KEN, NPZ, ORIGINAL):
        answer = path.with_suffix(f"{path.suffix}.json")
        if not answer.exists():
            answer.write_text(json.dumps(answers(path), indent=1) + "\n", encoding="utf-8")


def enrolled(n: int) -> Enrolled:
    odd = "\udcff" if n == 5 else ""
    reference = Reference(
        key=f"card {n // 2}",
        label=f"Card {n // 2} é",
        path=f"set/LOCH-JP{n:03}_card{odd}.jpg" if n else "http://example.org/0.jpg",
        variant="UR" if n % 2 else "",
        sha256=f"{n:064x}",
        size=1000 + n,
        mtime_ns=10**18 + n,
        view="1" if n == 9 else "",
        origin="added" if n == 4 else "",
        metadata={"stored_name": f"Card {n // 2} é", "price": str(n)} if n % 3 else {},
    )
    return Enrolled(reference, rows()[n], b"\xff\xd8" + bytes([n]))


def feedback(kind: Any, n: int) -> Feedback:
    name = f"/photos/{n}é\udcff.jpg"
    return Feedback(
        kind, f"card {n}", name, f"{n:064x}", "2026-02-01", "whole+center", rows()[n : n + 2]
    )


def answers(path: Path) -> dict[str, Any]:
    """Everything a file says, as plain data."""
    summary = peek(path)
    with open_store(path) as store:
        hits = store.search(queries(), 4)
        calibration = store.calibration()
        found = list(store.references())
        return {
            "manifest": store.manifest.to_dict(),
            "calibration": calibration and calibration.to_dict(),
            "summary": [summary.kind, summary.format, summary.items, summary.references],
            "change": store.standing().change,
            "items": [[i.key, i.label, list(i.variants), i.references] for i in store.items()],
            "references": [
                [
                    *(identifier, one.key, one.label, one.path, one.variant, one.sha256),
                    *(one.size, one.mtime_ns, one.view, one.origin, dict(one.metadata)),
                    store.thumbnail(identifier).hex(),
                ]
                for identifier, one in found
            ],
            "feedback": [
                [
                    *(one.id, one.kind, one.key, one.name, one.sha256, one.date, one.regions),
                    np.round(one.rows.astype(float), 5).tolist(),
                ]
                for one in store.feedback()
            ],
            "feedback_change": store.standing().feedback,
            "features": {
                kind: {
                    str(n): data.hex()
                    for n, data in store.features([n for n, _ in found], kind).items()
                }
                for kind in store.feature_kinds()
            },
            "ids": hits.ids.tolist(),
            "scores": np.round(hits.scores.astype(float), 6).tolist(),
        }


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("write_", [False, True])
def test_it_opens_and_answers_as_ever(name: str, write_: bool, tmp_path: Path) -> None:
    path = Path(shutil.copy(FOLDER / name, tmp_path))
    if write_:
        open_store(path, write=True).close()  # brings an older format to the present one
    expected = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    found = answers(path)
    for name_, none in (("feedback", []), ("feedback_change", 0), ("features", {})):
        expected.setdefault(name_, none)  # format 1 had no place for them
    if write_ and path.suffix == ".ken":
        expected["summary"][1] = migrations.FORMAT
    for one in (found, expected):  # as values, to which a later release may have added fields
        one["manifest"] = Manifest.from_dict(one["manifest"])
        one["calibration"] = one["calibration"] and Calibration.from_dict(one["calibration"])
    np.testing.assert_allclose(found.pop("scores"), expected.pop("scores"), atol=2e-6)
    assert found == expected


@pytest.mark.parametrize("name", FILES)
def test_it_can_be_added_to(name: str, tmp_path: Path) -> None:
    path = Path(shutil.copy(FOLDER / name, tmp_path))
    with open_store(path, write=True) as store:
        width = store.manifest.fingerprint.width
        new = Enrolled(Reference("new", "New", "new.jpg"), np.eye(width, dtype=np.float32)[0])
        (identifier,) = store.add([new])
    with open_store(path) as store:
        assert store.get([identifier]) == [new.reference]


def test_there_is_a_golden_file_of_every_format() -> None:
    assert {f"v{n + 1}.ken" for n in range(migrations.FORMAT)} <= {p.name for p in FOLDER.iterdir()}
    assert {f"v{n + 1}.npz" for n in range(npz.FORMAT)} <= {p.name for p in FOLDER.iterdir()}


if __name__ == "__main__":
    write()
