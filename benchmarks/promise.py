"""Does the calibration keep the rate that it was asked for, on strangers it has not seen?

    python -m benchmarks.promise [DATA] [--cache FOLDER] [--draws N]

In each draw labels are dealt to three groups: the gallery, strangers whose photos are given to the
calibration, strangers whose photos are then asked about. The score is chosen, the threshold and the
confidence are fitted by the code that `kenspeckle calibrate` runs. FPIR is counted by item.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._galleries import Draw, World, draw
from benchmarks._harness import Report, save
from benchmarks._labelled_sets import SETS, load
from kenspeckle import stats
from kenspeckle.errors import PromiseRefused
from kenspeckle.match.aggregate import SCORES, ScoreKind, usual_score
from kenspeckle.match.calibrate import Subject, fit
from kenspeckle.match.choose import choose
from kenspeckle.match.confidence import chance
from kenspeckle.match.trials import Strangers, Trials, joined
from kenspeckle.types import Calibration
from kenspeckle.vectors.embed import open_embedder

DRAWS = 40
GIVEN = ("stamps", "logos", "emoji-styles", "union")
"""Sets with enough labels to give 59 strangers and to report on as many others."""
RATES = (0.05, 0.01)
SUBJECT = Subject("whole", "", 0, 0, 0, "")
ALONE: tuple[tuple[str, tuple[Strangers, ...]], ...] = (
    ("gallery only", ("like your items",)),
    ("cohort only", ("general",)),
    ("both", ("like your items", "general")),
)


def calibrated(
    world: World, one: Draw, rate: float, *, photos: bool = False, strict: bool = True
) -> Calibration:
    """The rule for a draw with its strangers given, and labelled photos of half of its items.

    Raises PromiseRefused."""
    known = one.labelled if photos else None
    materials = {kind: world.material(kind, one.gallery, one.fitting, known) for kind in SCORES}
    kind, _ = choose(materials, rate, usual_score(True, len(one.gallery)))
    material = materials[kind]
    rule = fit(
        SUBJECT,
        kind,
        material.known,
        material.strangers(),
        rate,
        strict=strict,
        method="full",
        labelled=material.labelled,
    )
    assert rule is not None
    return rule


def sizes(labels: int, rate: float) -> list[int]:
    """Galleries from 20 labels to the largest that leaves the strangers the rate takes, twice."""
    most = labels - 2 * stats.trials_needed(rate)
    return sorted({20, round((20 * most) ** 0.5), most}) if most >= 20 else []


def kept(world: World, size: int, rate: float, draws: int) -> dict[str, Any]:
    """Asked against measured on strangers given, and how often the stated interval holds it."""
    rows: list[dict[str, Any]] = []
    for seed in range(draws):
        one = draw(len(world.labels), size, seed)
        rule = calibrated(world, one, rate)
        promise = next(p for p in rule.promises if p.strangers == "given")
        seen = world.judge(rule.score, one.gallery, one.reporting)
        photos = world.judge(rule.score, one.gallery, one.gallery)
        measured = stats.fpir_by_item(seen.scores, seen.items, rule.threshold)
        rows.append(
            {
                "measured": measured,
                "by photo": stats.fpir(seen.scores, rule.threshold),
                "promised": promise.fpir,
                "covered": promise.low <= measured <= promise.high,
                "low": promise.low,
                "high": promise.high,
                "named": stats.tpir(photos.scores, photos.right, rule.threshold),
                "score": rule.score,
                "strangers": (len(one.fitting), len(one.reporting)),
            }
        )
    return {
        "gallery": size,
        "strangers given, reported": rows[0]["strangers"],
        "scores": {kind: sum(row["score"] == kind for row in rows) for kind in SCORES},
        **{
            name: [round(float(f([row[name] for row in rows])), 4) for f in (np.mean, min, max)]
            for name in ("measured", "by photo", "promised", "low", "high", "named")
        },
        "covered": round(float(np.mean([row["covered"] for row in rows])), 4),
        "ratio": round(float(np.mean([row["measured"] for row in rows])) / rate, 3),
    }


def refused(world: World, rate: float) -> str:
    """What a set with too few strangers is told: all but 20 labels given."""
    order = np.random.default_rng(0).permutation(len(world.labels)).astype(np.int64)
    one = Draw(np.sort(order[:20]), order[:0], np.sort(order[20:]), order[:0])
    try:
        calibrated(world, one, rate)
    except PromiseRefused as error:
        return str(error)
    raise SystemExit(f"{world.name}: {rate} was not refused on {len(order) - 20} strangers")


def alone(world: World, draws: int) -> dict[str, Any]:
    """Without strangers given: half of the labels enrolled, real photos of the others asked.

    Beside these stands the rate on the kind of stranger that the rule is fitted for: of the cohort,
    the half that took no part in the fit."""
    table: dict[str, Any] = {}
    size = (len(world.labels) + 1) // 2
    kind = usual_score(True, size)
    for seed in range(draws):
        order = np.random.default_rng(seed).permutation(len(world.labels)).astype(np.int64)
        items, others = np.sort(order[:size]), np.sort(order[size:])
        material = world.material(kind, items)
        strangers = material.strangers()
        seen = world.judge(kind, items, others)
        photos = world.judge(kind, items, items)
        for rate in RATES:
            for name, parts in ALONE:
                rule = fit(SUBJECT, kind, material.mated, {p: strangers[p] for p in parts}, rate)
                if rule is None:
                    continue
                cell = table.setdefault(f"{rate:.0%}", {}).setdefault(name, {})
                measured = stats.fpir(seen.scores, rule.threshold)
                of_kind = measured
                if name == "cohort only":
                    of_kind = _other_half(material.general, material.mated, kind, rate, seed)
                named = stats.tpir(photos.scores, photos.right, rule.threshold)
                for what, value in (
                    ("measured", measured),
                    ("of its kind", of_kind),
                    ("named", named),
                ):
                    cell.setdefault(what, []).append(value)
    return {
        rate: {
            name: {k: [round(float(f(v)), 4) for f in (np.mean, min, max)] for k, v in cell.items()}
            for name, cell in rules.items()
        }
        for rate, rules in table.items()
    }


def _other_half(general: Trials, mated: Trials, kind: ScoreKind, rate: float, seed: int) -> float:
    """FPIR on half of the cohort at the threshold fitted to the other half."""
    fitting = np.random.default_rng(seed).permutation(len(general)) % 2 == 0
    part = Trials(general.scores[fitting], general.items[fitting], general.right[fitting])
    rule = fit(SUBJECT, kind, mated, {"general": part}, rate)
    assert rule is not None
    return stats.fpir(general.scores[~fitting], rule.threshold)


def confident(world: World, draws: int) -> dict[str, Any]:
    """ECE and Brier on photos of enrolled labels and of strangers that took no part in the fit.

    Half of the labels is enrolled; photos of half of these, and of half of the others, are given to
    the fit, and the photos of all the rest are reported.
    """
    found: dict[str, Any] = {}
    for name, photos in (("photos", True), ("views", False)):
        stated: list[Any] = []
        true: list[Any] = []
        each: list[float] = []
        labelled = []
        for seed in range(draws):
            one = draw(len(world.labels), (len(world.labels) + 1) // 2, seed)
            rule = calibrated(world, one, 0.05, photos=photos, strict=False)
            assert rule.confidence_from == name
            labelled.append(rule.labelled)
            seen = joined(
                world.judge(rule.score, one.gallery, shown)
                for shown in (one.unlabelled, one.reporting)
            )
            if rule.slope == 0:
                continue
            chances = chance(seen.scores, rule.slope, rule.intercept)
            stated.append(chances)
            true.append(seen.right)
            each.append(stats.ece_by_mass(chances, seen.right, 10))
        pooled, right = np.concatenate(stated), np.concatenate(true)
        found[name] = {
            "ece": round(stats.ece_by_mass(pooled, right, 10), 4),
            "ece of a draw, mean": round(float(np.mean(each)), 4),
            "of a perfect one": round(noise(stated), 4),
            "brier": round(stats.brier(pooled, right), 4),
            "brier of the base rate": round(float(right.mean() * (1 - right.mean())), 4),
            "n of a draw": len(stated[0]),
            "draws": len(stated),
            "labelled": [min(labelled), max(labelled)],
        }
    return found


def noise(stated: Sequence[Any]) -> float:
    """The ECE of a draw that chance alone gives when every stated chance is the true one."""
    rng = np.random.default_rng(0)
    return float(
        np.mean([stats.ece_by_mass(one, rng.random(len(one)) < one, 10) for one in stated])
    )


def worlds(data: Path, cache: Path, names: Sequence[str]) -> Iterator[World]:
    """The sets one after another, then their union."""
    embedder = open_embedder()
    assert embedder.cohort is not None
    sets = [load(data / name, embedder, cache) for name in names]
    for one in sets:
        yield World(one.name, [one], embedder.cohort)
    if len(sets) > 1:
        yield World("union", sets, embedder.cohort)


def arguments(doc: str | None) -> argparse.Namespace:
    """The command line."""
    assets = os.environ.get("KENSPECKLE_TEST_ASSETS", "")
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("data", nargs="?", default=str(Path(assets) / "data") if assets else "")
    parser.add_argument("--cache", default=str(Path(tempfile.gettempdir()) / "ken-accuracy"))
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--quick", action="store_true", help="stamps only, 3 draws; no claim")
    return parser.parse_args()


def main() -> int:
    asked = arguments(__doc__)
    if not asked.data or not (Path(asked.data) / SETS[0]).is_dir():
        print("promise: skipped, no labelled sets (KENSPECKLE_TEST_ASSETS)", file=sys.stderr)
        return 0
    draws = 3 if asked.quick else asked.draws
    found: dict[str, Any] = {}
    for world in worlds(Path(asked.data), Path(asked.cache), SETS[2:3] if asked.quick else SETS):
        one: dict[str, Any] = {"labels": len(world.labels), "alone": alone(world, draws)}
        if world.name in GIVEN:
            one["confidence"] = confident(world, draws)
            one["kept"] = {
                f"{rate:.0%}": [
                    kept(world, size, rate, draws) for size in sizes(len(world.labels), rate)
                ]
                or refused(world, rate)
                for rate in RATES
            }
        found[world.name] = one
        print(f"{world.name}: done", file=sys.stderr, flush=True)
    report(found, draws, quick=asked.quick)
    return 0


def report(found: dict[str, Any], draws: int, *, quick: bool) -> None:
    """A row a set, rate and gallery; the other tables as notes."""
    rows, notes = [], []
    for name, one in found.items():
        for rate, table in one.get("kept", {}).items():
            if isinstance(table, str):
                notes.append(f"{name}, asked {rate}: refused: {table}")
                continue
            rows += [[name, rate, *_cells(row)] for row in table]
        for rate, rules in one["alone"].items():
            for rule, cell in rules.items():
                mean, least, most = cell["measured"]
                notes.append(
                    f"{name}, {rule}, asked {rate}: strangers' photos named {mean:.1%} "
                    f"({least:.1%}–{most:.1%}), strangers of its kind "
                    f"{cell['of its kind'][0]:.1%}, known named rightly {cell['named'][0]:.1%}"
                )
        for source, cell in one.get("confidence", {}).items():
            notes.append(
                f"{name}, confidence from {source}: ECE {cell['ece']:.3f} over {cell['draws']} "
                f"draws of n = {cell['n of a draw']} together, {cell['ece of a draw, mean']:.3f} "
                f"in the mean of a draw (a perfect one: {cell['of a perfect one']:.3f}), Brier "
                f"{cell['brier']:.3f} (base rate alone {cell['brier of the base rate']:.3f}), "
                f"{cell['labelled'][0]}–{cell['labelled'][1]} labelled photos"
            )
    save(
        Report(
            "promise",
            f"Strangers given, {draws} draws, items of gallery, fit and report disjoint. `ratio`: "
            "mean measured FPIR / asked. `covered`: draws whose stated interval (for as many other "
            "items) holds the measured FPIR.",
            [
                "set", "asked", "gallery", "given / reported", "measured, mean (least–most)",
                "ratio", "covered", "stated interval, mean", "known named rightly", "score",
            ],
            rows,
            found,
            notes=notes,
        ),
        quick=quick,
    )  # fmt: skip


def _cells(row: dict[str, Any]) -> list[str]:
    mean, least, most = row["measured"]
    given, reported = row["strangers given, reported"]
    scores = ", ".join(f"{kind} {count}" for kind, count in row["scores"].items() if count)
    return [
        str(row["gallery"]),
        f"{given} / {reported}",
        f"{mean:.2%} ({least:.1%}–{most:.1%})",
        f"{row['ratio']:.2f}",
        f"{row['covered']:.0%}",
        f"{row['low'][0]:.1%}–{row['high'][0]:.1%}",
        f"{row['named'][0]:.1%}",
        scores,
    ]


if __name__ == "__main__":
    sys.exit(main())
