"""Accuracy on the labelled sets: what scores, region rules and enrolled views add.

    python -m benchmarks.accuracy DATA [--cache FOLDER]

DATA is the folder that holds the five sets and `baseline/` (or KENSPECKLE_TEST_ASSETS names the
folder above it). First the figures of whole pictures are compared with the stored baseline, to
three decimals; then every system is paired with the whole picture. The *whole default* (regions,
enrolled views, score, second look) is built up part by part in a table of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np

from benchmarks import _promises, _scoring
from benchmarks._harness import Report, save
from benchmarks._labelled_sets import SETS, LabelledSet, Parts, best_of_each, hits, load
from benchmarks._second_looks import Looks, System, take
from kenspeckle.match.aggregate import (
    ScoreKind,
    best_regions,
    cohort_level,
    leaders,
    score,
)
from kenspeckle.match.second_look import SHORTLIST, WEIGHT
from kenspeckle.types import Float32
from kenspeckle.vectors.embed import open_embedder

RULES = {
    "whole": ("whole",),
    "center": ("center",),
    "windows": ("whole", "window"),
    "quad": ("whole", "quad"),
    "auto": ("whole", "center", "window", "quad"),
}
ENROLLED = (2, 4, 8)
DEFAULT: tuple[tuple[str, str, int, ScoreKind, bool], ...] = (
    ("whole picture, cosine", "whole", 0, "cosine", False),
    ("+ score (margin+cohort)", "whole", 0, "margin+cohort", False),
    ("+ regions (auto)", "auto", 0, "margin+cohort", False),
    ("+ 8 enrolled views", "auto", 8, "margin+cohort", False),
    ("+ second look: whole default", "auto", 8, "margin+cohort", True),
    ("the same under the margin", "auto", 8, "margin", True),
    ("whole picture + second look", "whole", 0, "margin+cohort", True),
)
"""Name, rule, enrolled views, score, second look: each part on top of those before."""
METRICS = ("rank-1", "tpir@1%", "tpir@5%", "auroc")
STORED: tuple[ScoreKind, ...] = ("cosine", "margin", "cohort", "margin+cohort")
"""The scores that the stored baseline has figures of."""
SCORES: tuple[ScoreKind, ...] = get_args(ScoreKind)


def system(data: LabelledSet, regions: Parts, views: int, kind: ScoreKind, cohort: Float32) -> Any:
    """Regions of a rule against references and their first views: the best region counts.

    Cosines are reduced to labels once; a draw then only leaves columns out.
    """
    labels, column = np.unique(data.gallery, return_inverse=True)
    near = cohort_level(regions.rows, cohort)
    per_label = best_of_each(regions.rows @ data.references.rows.T, column, len(labels))
    if views:
        first = data.views.first(views)
        cosines = regions.rows @ first.rows.T
        per_label = np.maximum(per_label, best_of_each(cosines, column[first.owner], len(labels)))

    def answer(mask: Any) -> _scoring.Answers:
        ranked = leaders(hits(per_label, np.unique(column[mask]), 2))
        scores = score(kind, ranked.best, ranked.second, near)
        best = best_regions(scores, regions.owner)
        return _scoring.Answers(labels[ranked.items[best]], scores[best])

    return answer


def systems() -> Iterator[tuple[str, str, int, ScoreKind]]:
    """(name, rule, enrolled views, score) of everything that is judged."""
    for kind in SCORES:
        for rule in RULES:
            yield f"{rule}, {kind}", rule, 0, kind
        for views in ENROLLED:
            yield f"whole + {views} views, {kind}", "whole", views, kind
    yield "auto + 8 views, margin+cohort", "auto", 8, "margin+cohort"


def build_up(data: LabelledSet, looks: Looks, cohort: Float32) -> dict[str, _scoring.Result]:
    """The whole default, part by part, on one set."""
    results = {}
    for name, rule, views, kind, again in DEFAULT:
        of = System.of(data, data.regions.of(*RULES[rule]), views, kind, cohort)

        def answer(mask: Any, of: System = of, again: bool = again) -> _scoring.Answers:
            lifted = of.raised(looks, mask, SHORTLIST) * np.float32(WEIGHT) if again else None
            return of.answer(mask, lifted)

        results[name] = _scoring.evaluate(data.gallery, data.query, answer)
    return results


def judge(data: LabelledSet, cohort: Float32) -> dict[str, _scoring.Result]:
    """Every system on one set."""
    results = {}
    for name, rule, views, kind in systems():
        regions = data.regions.of(*RULES[rule])
        precision = None
        if name == "whole, cosine":
            cosines = regions.rows @ data.references.rows.T
            precision = _scoring.average_precision(cosines, data.gallery, data.query)
        run = system(data, regions, views, kind, cohort)
        results[name] = _scoring.evaluate(data.gallery, data.query, run, precision)
    return results


def reproduced(results: dict[str, _scoring.Result], stored: dict[str, Any]) -> list[str]:
    """Figures of whole pictures that differ from the baseline by 0.0005 or more."""
    wrong = []
    for kind in STORED:
        baseline = _scoring.Result.read(stored, kind)
        ours = results[f"whole, {kind}"]
        for metric in ours.values:
            if metric in baseline.values:
                gap = ours.mean(metric) - baseline.mean(metric)
                if abs(gap) >= 0.0005:
                    wrong.append(f"{kind} {metric}: {gap:+.4f}")
    return wrong


def regions_per_query(data: LabelledSet) -> dict[str, float]:
    """Runs of the model for one photo, mean, by rule."""
    queries = len(data.query)
    return {rule: len(data.regions.of(*kinds).rows) / queries for rule, kinds in RULES.items()}


def arguments() -> argparse.Namespace:
    """The command line."""
    assets = os.environ.get("KENSPECKLE_TEST_ASSETS", "")
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", nargs="?", default=str(Path(assets) / "data") if assets else "")
    parser.add_argument("--cache", default=str(Path(tempfile.gettempdir()) / "ken-accuracy"))
    parser.add_argument("--quick", action="store_true", help="coins only; no claim")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    if not (Path(asked.data) / "baseline").is_dir():
        print("accuracy: skipped, no labelled sets (KENSPECKLE_TEST_ASSETS)", file=sys.stderr)
        return 0
    embedder = open_embedder()
    cohort = embedder.cohort
    assert cohort is not None
    results, runs, promises, wrong, parts = {}, {}, {}, [], {}
    for name in SETS[1:2] if asked.quick else SETS:
        data = load(Path(asked.data) / name, embedder, Path(asked.cache))
        results[name] = judge(data, cohort)
        stored = json.loads((Path(asked.data) / "baseline" / f"{name}.json").read_text("utf-8"))
        wrong += [f"{name} {line}" for line in reproduced(results[name], stored)]
        runs[name] = regions_per_query(data)
        promises[name] = _promises.measure(data, cohort)
        looks = take(Path(asked.data) / name, data, Path(asked.cache))
        parts[name] = build_up(data, looks, cohort)
        print(f"{name}: done", file=sys.stderr, flush=True)
    print("\n".join(wrong) or "whole pictures: the baseline is reproduced to three decimals")
    report(results, runs, promises, wrong, quick=asked.quick, parts=parts)
    return len(wrong) > 0


def report(
    results: dict[str, dict[str, _scoring.Result]],
    runs: dict[str, dict[str, float]],
    promises: dict[str, Any],
    wrong: list[str],
    *,
    quick: bool,
    parts: dict[str, dict[str, _scoring.Result]],
) -> None:
    """Rank-1 / TPIR at FPIR 1 % of each system and set, marked where the paired gain is sure."""
    gains: dict[str, Any] = {}
    rows = []
    for name, rule, _, kind in systems():
        for title, base in (("whole, cosine", "whole, cosine"), ("same score", f"whole, {kind}")):
            gains.setdefault(name, {})[f"against {title}"] = {
                one: _rounded(_scoring.against(of[name], of[base])) for one, of in results.items()
            }
        cost = np.mean([one[rule] for one in runs.values()])
        cells = [
            _cell(of[name], gains[name]["against same score"][one]) for one, of in results.items()
        ]
        means = [np.mean([of[name].mean(metric) for of in results.values()]) for metric in METRICS]
        rows.append([name, f"{cost:.1f}", *cells, *(f"{mean:.3f}" for mean in means)])
    save(
        Report(
            "accuracy",
            "rank-1 with every label enrolled / TPIR at FPIR 1 % with half of them unknown (20 "
            "draws). + and −: better or worse than the whole picture under the same score, by more "
            "than the paired 95 % interval. `runs`: runs of the model for one photo.",
            ["system", "runs", *results, *(f"mean {metric}" for metric in METRICS)],
            rows,
            {
                "figures": {
                    one: {n: {m: round(r.mean(m), 4) for m in r.values} for n, r in of.items()}
                    for one, of in results.items()
                },
                "gains: difference, lower, upper": gains,
                "whole default, part by part": _shares(parts),
                "promises: mean, least, most over the draws": _promises.summary(promises),
                "not reproduced": wrong,
            },
            notes=[
                f"figures of the stored baseline that are not reproduced: {len(wrong)}",
                *_told_shares(parts),
                *_promises.lines(promises),
            ],
        ),
        quick=quick,
    )


def _shares(parts: dict[str, dict[str, _scoring.Result]]) -> dict[str, Any]:
    """Figures of each step on each set, and what it adds to the step before, by item."""
    table: dict[str, Any] = {}
    for number, (name, *_) in enumerate(DEFAULT):
        before = DEFAULT[min(max(number - 1, 0), 3) if number < 5 else 0][0]
        table[name] = {
            one: {
                **{metric: round(of[name].mean(metric), 4) for metric in METRICS},
                f"against {before}": _rounded(_scoring.against(of[name], of[before])),
            }
            for one, of in parts.items()
        }
    return table


def _told_shares(parts: dict[str, dict[str, _scoring.Result]]) -> list[str]:
    """One line a step: rank-1 and TPIR of every set, and their means."""
    lines = []
    base = np.mean([of[DEFAULT[0][0]].mean("tpir@1%") for of in parts.values()])
    for name, *_ in DEFAULT:
        cells = [
            f"{one} {of[name].mean('rank-1'):.3f} / {of[name].mean('tpir@1%'):.3f}"
            for one, of in parts.items()
        ]
        first = np.mean([of[name].mean("rank-1") for of in parts.values()])
        mean = np.mean([of[name].mean("tpir@1%") for of in parts.values()])
        lines.append(
            f"part by part, {name}: mean {first:.3f} / {mean:.3f} ({mean / base:.2f} × the "
            f"baseline); {', '.join(cells)}"
        )
    return lines


def _rounded(gains: dict[str, tuple[float, float, float]]) -> dict[str, tuple[float, ...]]:
    return {metric: tuple(round(value, 4) for value in gain) for metric, gain in gains.items()}


def _cell(result: _scoring.Result, gains: dict[str, tuple[float, ...]]) -> str:
    """rank-1 / TPIR, each with a mark where its gain is outside the interval."""
    marked = []
    for metric in ("rank-1", "tpir@1%"):
        _, low, high = gains[metric]
        mark = "+" if low > 0 else "−" if high < 0 else ""
        marked.append(f"{result.mean(metric):.3f}{mark}")
    return " / ".join(marked)


if __name__ == "__main__":
    sys.exit(main())
