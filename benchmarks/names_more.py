"""Does the fitted decision name more than fixed rules, on the same vectors, at the same FPIR?

    python -m benchmarks.names_more [DATA] [--cache FOLDER] [--draws N]

Three rules with the numbers that their systems came with, and with a threshold fitted on other
items: of those with an expected FPIR of at most 5 % on the fitting strangers the one that names
most of the labelled photos. Ours is the score that the calibration chooses on the same photos. Both
answer the same photos of items that took no part in the fit. FPIR is what the rule has on the
reported strangers of the draw, and ours is asked to name as many of their photos: its threshold
lies between the last of these and the next, and both ends count half.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks._galleries import Draw, World, draw
from benchmarks._harness import Report, save
from benchmarks._labelled_sets import SETS
from benchmarks.promise import arguments, worlds
from kenspeckle import stats
from kenspeckle.match.aggregate import SCORES, usual_score
from kenspeckle.match.choose import choose
from kenspeckle.match.methods import Rule, compared, verdicts
from kenspeckle.match.trials import Trials

RATE = 0.05
GRID = 200
"""Thresholds that are tried when a rule is fitted."""
RULES = {
    "margin .70 / .04": Rule("margin", 0.70, 0.04),
    "cosine .75": Rule("item-margin", 0.75, 0.0),
    "multi-ref max .70 / .05": Rule("multi-ref", 0.70, 0.05, pool="max", legacy=True),
}
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Said:
    """What a rule says of all photos `(n,)`: the label it would name, the score of that and of what
    it is compared with, and how it decides at a threshold."""

    items: NDArray[np.int64]
    best: Floats
    second: Floats
    rule: Rule

    def named(self, threshold: float) -> Bools:
        """Which photos get a name. The legacy rule knows no rival below the threshold."""
        rival = self.second
        if self.rule.legacy:
            rival = np.where(rival >= threshold, rival, -np.inf)
        lead = np.where(np.isnan(rival), np.inf, self.best - rival)
        passes: Bools = (self.best >= threshold) & (lead >= self.rule.margin)
        return passes


def said(world: World, rule: Rule, one: Draw) -> Said:
    """Ask all photos about the gallery of a draw."""
    mine = np.isin(world.column, one.gallery)
    cosines = compared(rule, world.rows, world.references[mine], world.column[mine])
    plain = Rule(rule.method, rule.threshold, rule.margin, pool=rule.pool)
    told = verdicts(plain, cosines)
    found = Said(told.items, told.scores, told.seconds, rule)
    assert np.mean(found.named(rule.threshold) == verdicts(rule, cosines).named) > 0.999
    return found


def fitted(told: Said, labelled: Bools, right: Bools, fitting: Bools, shows: Any) -> float:
    """The threshold of a rule that names most of the labelled photos at the asked rate."""
    tries = np.quantile(told.best, np.linspace(0, 1, GRID))
    best, found = -1.0, float(tries[-1])
    for threshold in tries.tolist():
        named = told.named(threshold)
        if stats.expected_rate(named[fitting].astype(float), shows[fitting], 0.5) > RATE:
            continue
        share = float((named & right)[labelled].mean())
        if share > best:
            best, found = share, threshold
    return found


def at(strangers: Floats, scores: Floats, right: Bools, count: int) -> Floats:
    """1 for a photo that ours names rightly when it names `count` strangers, ½ where the threshold
    between two strangers decides."""
    ordered = np.sort(strangers)[::-1]
    low = ordered[count] if count < len(ordered) else -np.inf
    high = ordered[count - 1] if count else low
    hits: Floats = right * ((scores > low).astype(float) + (scores >= high)) / 2
    return hits if count else right * (scores > low).astype(float)


def chosen(world: World, one: Draw) -> tuple[str, Trials]:
    """Our score, chosen on the fitting photos, and what it says of all photos."""
    materials = {
        kind: world.material(kind, one.gallery, one.fitting, one.labelled) for kind in SCORES
    }
    kind, _ = choose(materials, RATE, usual_score(True, len(one.gallery)))
    everything = np.arange(len(world.labels))
    return kind, world.judge(kind, one.gallery, everything)


def measure(world: World, draws: int) -> dict[str, Any]:
    """rule → published or fitted → FPIR, what both name rightly, and the paired gain."""
    shows = world.photos.shows
    table: dict[tuple[str, str], dict[str, list[Any]]] = {}
    scores: dict[str, int] = {}
    for seed in range(draws):
        one = draw(len(world.labels), (len(world.labels) + 1) // 2, seed)
        kind, ours = chosen(world, one)
        scores[kind] = scores.get(kind, 0) + 1
        mated, labelled, fitting, reporting = (
            np.isin(shows, part)
            for part in (one.unlabelled, one.labelled, one.fitting, one.reporting)
        )
        for name, rule in RULES.items():
            told = said(world, rule, one)
            right = told.items == shows
            for which, threshold in (
                ("published", rule.threshold),
                ("fitted", fitted(told, labelled, right, fitting, shows)),
            ):
                named = told.named(threshold)
                count = int(named[reporting].sum())
                hits = at(ours.scores[reporting], ours.scores[mated], ours.right[mated], count)
                cell = table.setdefault((name, which), {})
                cell.setdefault("fpir", []).append(named[reporting].mean())
                cell.setdefault("rule", []).append((named & right)[mated])
                cell.setdefault("ours", []).append(hits)
                cell.setdefault("items", []).append(shows[mated])
                cell.setdefault("threshold", []).append(threshold)
    found: dict[str, Any] = {"scores": scores, "gallery": (len(world.labels) + 1) // 2}
    for (name, which), cell in table.items():
        theirs, mine, items = (np.concatenate(cell[k]) for k in ("rule", "ours", "items"))
        gain = stats.paired(mine, theirs, items)
        found.setdefault("rules", {}).setdefault(name, {})[which] = {
            "fpir": round(float(np.mean(cell["fpir"])), 4),
            "threshold": round(float(np.mean(cell["threshold"])), 3),
            "rule": round(float(theirs.mean()), 4),
            "ours": round(float(mine.mean()), 4),
            "gain": [round(float(v), 4) for v in gain],
        }
    return found


def sure(cell: dict[str, Any], test: Callable[[float, float], bool]) -> bool:
    """Whether an interval passes a test."""
    _, low, high = cell["gain"]
    return test(low, high)


def verdict(rules: dict[str, Any]) -> str:
    """Of one set: higher than both forms of every rule, lower than any, or neither."""
    cells = [cell for forms in rules.values() for cell in forms.values()]
    if any(sure(cell, lambda _, high: high < 0) for cell in cells):
        return "lower"
    return "higher" if all(sure(cell, lambda low, _: low > 0) for cell in cells) else "equal"


def main() -> int:
    asked = arguments(__doc__)
    if not asked.data or not (Path(asked.data) / SETS[0]).is_dir():
        print("names_more: skipped, no labelled sets (KENSPECKLE_TEST_ASSETS)", file=sys.stderr)
        return 0
    draws = 3 if asked.quick else asked.draws
    found = {}
    for world in worlds(Path(asked.data), Path(asked.cache), SETS[2:3] if asked.quick else SETS):
        found[world.name] = measure(world, draws)
        print(f"{world.name}: done", file=sys.stderr, flush=True)
    report(found, draws, quick=asked.quick)
    return 0


def report(found: dict[str, Any], draws: int, *, quick: bool) -> None:
    """A row a set and rule."""
    rows, notes = [], []
    for name, one in found.items():
        for rule, forms in one["rules"].items():
            cells = [_cell(forms[which]) for which in ("published", "fitted")]
            rows.append([name, rule, *cells[0], *cells[1]])
        higher = [
            rule
            for rule, forms in one["rules"].items()
            if all(sure(cell, lambda low, _: low > 0) for cell in forms.values())
        ]
        used = ", ".join(f"{kind} {count}" for kind, count in one["scores"].items())
        notes.append(
            f"{name}: {verdict(one['rules'])}; above both forms of {', '.join(higher) or 'none'}; "
            f"N = {one['gallery']}; score chosen in the draws: {used}"
        )
    header = ["set", "rule"]
    for which in ("published", "fitted"):
        header += [f"{which}: FPIR", "rule names", "ours names", "gain (95 %)"]
    save(
        Report(
            "names_more",
            f"Known things named rightly at the FPIR of the rule, {draws} draws, whole pictures, "
            "same vectors; + and −: beyond the paired interval over items.",
            header,
            rows,
            found,
            notes=notes,
        ),
        quick=quick,
    )


def _cell(cell: dict[str, Any]) -> list[str]:
    mean, low, high = cell["gain"]
    mark = "+" if low > 0 else "−" if high < 0 else ""
    return [
        f"{cell['fpir']:.1%}",
        f"{cell['rule']:.1%}",
        f"{cell['ours']:.1%}",
        f"{mean:+.3f} ({low:+.3f} … {high:+.3f}){mark}",
    ]


if __name__ == "__main__":
    sys.exit(main())
