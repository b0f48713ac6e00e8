"""Are logos in scenes named better than by the best rule of the logo test bench?

    python -m benchmarks.logos [ASSETS] [--scenes FOLDER] [--draws N]

On made scenes (`_logo_scenes`), the same vectors for all: multi-ref max with its own numbers
(T .70, m .05, legacy pool of survivors, n 1 and 3) and with a T fitted, against our score, with the
references as they are, with camera views of them, and with a second look, which the bench did not
have. Scenes of the table `fit` alone choose every threshold, and all else of ours; the tables
`seen` (the same logos in other scenes) and `unseen` (other logos) are reported on. In each draw
half of the logos of a table are enrolled and the other half, with marks that are nobody's, are
strangers.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _logo_looks, _logo_scenes, _logo_views
from benchmarks._harness import Report, save
from benchmarks._logo_ways import (
    REFERENCES,
    Came,
    Part,
    References,
    Views,
    Way,
    best_threshold,
    came,
    figures,
    gain,
    gain_at,
    part,
    trials,
)
from kenspeckle.evaluate.cache import VectorCache
from kenspeckle.evaluate.datasets import read
from kenspeckle.evaluate.protocols import Plan, draws
from kenspeckle.evaluate.run import prepare
from kenspeckle.match.aggregate import SCORES, usual_score
from kenspeckle.match.choose import Material, choose
from kenspeckle.match.methods import Rule
from kenspeckle.match.second_look import WEIGHTS
from kenspeckle.stats import expected_rate, expected_threshold
from kenspeckle.vectors.base import Embedder
from kenspeckle.vectors.embed import open_embedder

PLAN = Plan(fitting=0.0, report=1.0, strangers=0.5)
DRAWS, FITTING, RATE, OWN = 8, 4, 0.05, 0.70
"""Draws that are reported on and that are fitted on, the FPIR asked for, and the rule's own T."""
TABLES = ("fit", "seen", "unseen")
REGIONS = ("truth", "auto")
GRID = [-1.0, *np.round(np.arange(-0.1, 0.801, 0.02), 2).tolist()]
"""Thresholds that are tried for a rule, whose names may come back at a higher one; at -1 its margin
alone decides."""
TRIES = 30
"""Thresholds that are tried for a score: quantiles of what it says of the fitting scenes."""
POINTS = ("best F1", "FPIR 5 %")
WORDS = (
    "FPIR counts each stranger item once; names: share of the queries of enrolled logos named "
    "rightly; a query is a true box, or the photo",
    "without true boxes a name that is said of the whole picture has no box and counts by name "
    "alone; the regions of `auto` are not made to frame logos: a detector is not part of this",
    "the views come from `kenspeckle.image.views`, the scenes from code of their own; both know "
    "perspective, light, blur and noise, so the gain by views is that of made scenes",
    "second look: SIFT and MAGSAC on the box enlarged to 256 pixels, against the nearest reference "
    "of each of the 10 nearest logos, its weight chosen on the fitting scenes; true boxes only",
    "rows with views in the name of the rule: what the rule would come to with our views; they are "
    "no part of the claim, and show how much of the gain is the views'",
)
NAMED: dict[str, References] = {"plain": "plain", "views": "with views"}
"""Ours as it is shown: with the references alone, and as `index --views 4` makes it."""


Ours = dict[str, dict[str, tuple[Way, float]]]
Theirs = dict[str, tuple[Way, dict[str, float]]]


def rules(regions: str) -> list[Way]:
    """The former bench's rule, which lets every region speak. Beside it the rule with what it did
    not have: our views, and without true boxes the best region alone."""
    one, three = (
        Rule("multi-ref", OWN, 0.05, least=least, pool="max", legacy=True) for least in (1, 3)
    )
    found = [Way(one, every=True), Way(three, every=True)]
    if regions != "truth":
        found.append(Way(one))
    return [*found, Way(one, "with views", every=regions == "truth")]


def is_claim(name: str) -> bool:
    """Whether a row is the former bench's rule, ours excluded, and not the rule with our views."""
    return name.startswith("multi-ref") and "views" not in name


def fitted_rule(way: Way, fit: Part) -> dict[str, float]:
    """T of a rule for each point, on the fitting scenes."""
    seen = {t: came(way, fit, t) for t in GRID}
    keeps = [t for t in GRID if _rate(seen[t]) <= RATE] or GRID[-1:]
    return {
        "best F1": best_threshold(GRID, lambda t: seen[t].f1)[0],
        "FPIR 5 %": best_threshold(keeps, lambda t: seen[t].tpir)[0],
    }


def _rate(one: Came) -> float:
    """The expected FPIR of a rule, counted by item."""
    return expected_rate(one.named, one.strangers, 0.5)


def fitted_score(way: Way, fit: Part) -> dict[str, float]:
    """The threshold of a score for each point."""
    mated, strangers = trials(way, fit)
    tries = np.quantile(mated.scores, np.linspace(0, 1, TRIES)).tolist()
    return {
        "best F1": best_threshold(tries, lambda t: came(way, fit, t).f1)[0],
        "FPIR 5 %": expected_threshold(strangers.scores, strangers.items, RATE),
    }


def usual(fit: Part, references: References) -> Way:
    """The score that `calibrate` chooses on the fitting scenes."""
    material = {}
    for kind in SCORES:
        mated, strangers = trials(Way(kind, references), fit)
        material[kind] = Material(photos=mated, given=strangers)
    kind, _ = choose(material, RATE, usual_score(True, len(fit.draws[0].gallery)))
    return Way(kind, references)


def weighed(fit: Part, way: Way) -> Way:
    """The way with the weight of a second look that names most of the fitting scenes."""
    tries = [replace(way, weight=weight) for weight in WEIGHTS]
    named = [came(one, fit, fitted_score(one, fit)[POINTS[1]]).tpir for one in tries]
    return tries[int(np.argmax(named))]


def best_ways(fit: Part) -> dict[str, tuple[Way, float]]:
    """For each point the score and references that come to most on the fitting scenes."""
    found: dict[str, tuple[float, Way, float]] = {}
    for way in (Way(kind, references) for references in REFERENCES for kind in SCORES):
        for point, threshold in fitted_score(way, fit).items():
            one = came(way, fit, threshold)
            value = one.f1 if point == "best F1" else one.tpir
            if point not in found or value > found[point][0]:
                found[point] = value, way, threshold
    return {point: (way, threshold) for point, (_, way, threshold) in found.items()}


def measure(parts: dict[str, Part]) -> dict[str, Any]:
    """Fit on one table; then what every way comes to on each, and our gains."""
    fit = parts["fit"]
    ours: Ours = {}
    for name, references in NAMED.items():
        way = usual(fit, references)
        ours[name] = {point: (way, t) for point, t in fitted_score(way, fit).items()}
    for name in NAMED if fit.looks else ():
        way = weighed(fit, ours[name][POINTS[1]][0])
        told = f"{name}, second look" if name != "plain" else "second look"
        ours[told] = {point: (way, t) for point, t in fitted_score(way, fit).items()}
    ours["best on fit"] = best_ways(fit)
    theirs: Theirs = {
        str(way): (way, {"own": OWN, **fitted_rule(way, fit)}) for way in rules(fit.regions)
    }
    found: dict[str, Any] = {
        "ours": {
            name: {p: {"way": str(w), "threshold": round(t, 4)} for p, (w, t) in one.items()}
            for name, one in ours.items()
        },
        "thresholds": {name: thresholds for name, (_, thresholds) in theirs.items()},
        "tables": {},
    }
    for table in TABLES[1:]:
        found["tables"][table] = compared(parts[table], ours, theirs)
    return found


def compared(one: Part, ours: Ours, theirs: Theirs) -> dict[str, Any]:
    """Every way on a table that nothing was fitted on, and our gains over each form of a rule."""
    rows: dict[str, Any] = {
        f"ours, {name}": {point: figures(way, one, t) for point, (way, t) in both.items()}
        for name, both in ours.items()
    }
    mine = {
        (name, point): came(way, one, t)
        for name, both in ours.items()
        for point, (way, t) in both.items()
    }
    for name, (way, thresholds) in theirs.items():
        for form, t in thresholds.items():
            c = came(way, one, t)
            rows.setdefault(name, {})[form] = {
                **figures(way, one, t),
                "gain": {
                    f"{which}, {point}": gain(came_to, c)
                    for (which, point), came_to in mine.items()
                    if form in ("own", point)
                },
                "at its FPIR": {
                    which: gain_at(both[POINTS[1]][0], c, one) for which, both in ours.items()
                },
            }
    return rows


def verdicts(rows: dict[str, Any], which: str) -> dict[str, bool]:
    """Whether ours is above every form of the former rule beyond the interval."""
    forms = [form for name, form in rows.items() if is_claim(name)]
    both = [form[w] for form in forms for w in ("own", POINTS[0])]
    f1 = [one["gain"][f"{which}, {POINTS[0]}"]["f1"][1] for one in both]
    named = [form[POINTS[1]]["gain"][f"{which}, {POINTS[1]}"]["tpir"][1] for form in forms]
    at = [one["at its FPIR"][which]["gain"][1] for form in forms for one in form.values()]
    return {
        "F1": min(f1) > 0,
        "names at FPIR 5 %": min(named) > 0,
        "names at the FPIR of the rule": min(at) > 0,
    }


def load(
    scenes: Path, embedder: Embedder, views: Views, count: int, regions: str
) -> dict[str, Part]:
    """The tables as vectors."""
    cache = VectorCache(scenes / "vectors")
    found = {}
    for table in TABLES:
        dataset = read(scenes / f"{table}.csv")
        some = draws(dataset, min(count, FITTING) if table == "fit" else count, plan=PLAN)
        made = prepare(dataset, some, embedder, regions=regions, cache=cache)
        if made.excluded:
            raise SystemExit(f"{table}: left out {made.excluded}")
        found[table] = one = part(table, made, views)
        if regions == "truth":
            pairs = [(draw.gallery, draw.queries) for draw in one.draws]
            looks = _logo_looks.looked(scenes, table, pairs, embedder.space_id)
            found[table] = replace(one, looks=looks)
    return found


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("assets", nargs="?", default=os.environ.get("KENSPECKLE_TEST_ASSETS", ""))
    parser.add_argument("--scenes", default=str(Path(tempfile.gettempdir()) / "ken-logo-scenes"))
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--quick", action="store_true", help="true boxes, 2 draws; no claim")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    if not asked.assets or not (Path(asked.assets) / "data" / "logos").is_dir():
        print("logos: skipped, no pictures (KENSPECKLE_TEST_ASSETS)", file=sys.stderr)
        return 0
    scenes = _logo_scenes.make(Path(asked.assets), Path(asked.scenes))
    embedder = open_embedder()
    views = _logo_views.made(scenes, embedder)
    found = {}
    for regions in REGIONS[: 1 if asked.quick else None]:
        parts = load(scenes, embedder, views, 2 if asked.quick else asked.draws, regions)
        found[regions] = measure(parts)
        print(f"{regions}: done", file=sys.stderr, flush=True)
    report(found, 2 if asked.quick else asked.draws, quick=asked.quick)
    return 0


def report(found: dict[str, Any], count: int, *, quick: bool) -> None:
    """A row a table, region rule and way."""
    rows, notes = [], []
    for regions, one in found.items():
        for table in TABLES[1:]:
            ways = one["tables"][table]
            for name, forms in ways.items():
                rows += [
                    [_called(regions), table, name, form, *_cells(c)] for form, c in forms.items()
                ]
            for which in one["ours"]:
                told = verdicts(ways, which)
                held = ", ".join(
                    f"{k}: {'holds' if v else 'does NOT hold'}" for k, v in told.items()
                )
                notes.append(
                    f"{_called(regions)}, {table}: ours ({which}) above every form of the rule "
                    f"beyond the interval: {held}"
                )
        for which, points in one["ours"].items():
            what = "; ".join(f"{p}: {v['way']} > {v['threshold']:.3f}" for p, v in points.items())
            notes.append(f"{_called(regions)}, ours, {which}: {what}")
        thresholds = "; ".join(
            f"{name}: " + ", ".join(f"{form} {t:.2f}" for form, t in forms.items())
            for name, forms in one["thresholds"].items()
        )
        notes.append(f"{_called(regions)}, T of the rules: {thresholds}")
    notes += WORDS
    header = ["regions", "logos", "way", "T", "P", "R", "F1", "names", "FPIR"]
    header += [
        "F1 by photo",
        "legacy P / R / F1",
        "gain of ours in F1",
        "gain in names at the FPIR of the rule",
    ]
    save(
        Report(
            "logos",
            f"Logos in made scenes, one to one at IoU ≥ 0.5, {count} draws, half of a table's "
            "logos enrolled; thresholds fitted on other scenes; gains of ours with views, with "
            "95 % interval, paired by logo; + and −: beyond it.",
            header,
            rows,
            found,
            seed=_logo_scenes.SEED,
            notes=notes,
        ),
        quick=quick,
    )


def _called(regions: str) -> str:
    return "true boxes" if regions == "truth" else f"regions {regions}"


def _cells(one: dict[str, Any]) -> list[str]:
    counted, old = one["one to one"], one["legacy"]
    cells = [_percent(counted[name]) for name in ("precision", "recall", "f1")]
    cells += [_percent(one["tpir"]), _percent(one["fpir"]), _percent(one["by photo"]["f1"])]
    cells.append(" / ".join(_percent(old[name]) for name in ("precision", "recall", "f1")))
    if "gain" not in one:
        return [*cells, "", ""]
    first = next(name for name in one["gain"] if name.startswith("views"))
    return [*cells, _gain(one["gain"][first]["f1"]), _gain(one["at its FPIR"]["views"]["gain"])]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _gain(values: Sequence[float]) -> str:
    mean, low, high = values
    mark = " +" if low > 0 else " −" if high < 0 else ""
    return f"{100 * mean:+.1f} ({100 * low:+.1f} … {100 * high:+.1f}){mark}"


if __name__ == "__main__":
    sys.exit(main())
