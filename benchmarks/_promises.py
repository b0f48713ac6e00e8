"""Does the quick calibration keep what it promises? Half of the labels enrolled, the other half's
real photos as strangers.

For each draw the rule is fitted as `index` does it: camera views of the enrolled references, each
item left out in turn, and the cohort; no query takes part. Then the rate at which strangers' photos
are named is counted, and how many photos of enrolled things are named rightly and wrongly.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks import _scoring
from benchmarks._labelled_sets import LabelledSet, best_of_each, hits
from kenspeckle import stats
from kenspeckle.flows.trials import LEAST_EACH, MOST_EACH, WANTED
from kenspeckle.match.aggregate import SCORES, ScoreKind, cohort_level, usual_score
from kenspeckle.match.calibrate import Subject, fit
from kenspeckle.match.decide import confidence
from kenspeckle.match.trials import Strangers, Trials, judge
from kenspeckle.types import Calibration, Float32

RATES = (0.01, 0.05)
QUICK = usual_score(True, 100)


def measure(data: LabelledSet, cohort: Float32) -> dict[str, Any]:
    """score → asked rate → rule (both kinds of stranger, or one) → figures, means over draws."""
    table: dict[str, Any] = {}
    for number, draw in enumerate(_scoring.draws(data.gallery)):
        gallery = _Gallery(data, cohort, draw, number)
        for kind in SCORES:
            trials = gallery.trials(kind)
            photos, strangers = gallery.photos(kind)
            for rate in RATES:
                for rule in ("both", "like your items", "general"):
                    kinds = {k: t for k, t in trials[1].items() if rule in ("both", k)}
                    fitted = fit(SUBJECT, kind, trials[0], kinds, rate)
                    assert fitted is not None
                    row = _row(fitted, photos, strangers)
                    if rule != "both":
                        row["fpir of its kind"] = gallery.kept(kind, trials, rule, rate)
                    cell = table.setdefault(kind, {}).setdefault(f"{rate:.0%}", {})
                    for name, value in row.items():
                        cell.setdefault(rule, {}).setdefault(name, []).append(value)
    return table


SUBJECT = Subject("whole", "", 0, 0, 0, "")


class _Gallery:
    """Cosines of one draw: the known labels enrolled, everything else asked about."""

    def __init__(self, data: LabelledSet, cohort: Float32, known: Any, seed: int) -> None:
        self.half = np.random.default_rng(seed).permutation(len(cohort)) % 2 == 0
        self.labels, column = np.unique(data.gallery, return_inverse=True)
        self.items = np.flatnonzero(np.isin(self.labels, known))
        self.column = column
        self.cohort, self.references = cohort, data.references.rows
        whole = data.regions.of("whole")
        self.query = np.searchsorted(self.labels, data.query)
        self.near_query = cohort_level(whole.rows, cohort)
        self.to_query = self._cosines(whole.rows)
        each = min(max(-(-WANTED // len(self.items)), LEAST_EACH), MOST_EACH)
        views = data.views.first(each)
        of = column[views.owner]
        mine = np.isin(of, self.items)
        self.rows, self.owner, self.shown = views.rows[mine], views.owner[mine], of[mine]
        self.other_rows, self.other_shown = views.rows[~mine], of[~mine]

    def _cosines(self, rows: Float32) -> Float32:
        return best_of_each(rows @ self.references.T, self.column, len(self.labels))

    def trials(self, kind: ScoreKind) -> tuple[Trials, dict[Strangers, Trials]]:
        """As the quick calibration makes them, for whole pictures."""
        number = np.arange(len(self.rows))
        near = cohort_level(self.rows, self.cohort)
        found = hits(self._cosines(self.rows), self.items, 3)
        left_out = judge(kind, found, near, number, self.shown, without=self.shown)
        cosines = self.rows @ self.references.T
        several = np.bincount(self.column)[self.shown] > 1
        cosines[number[several], self.owner[several]] = -1
        held = hits(best_of_each(cosines, self.column, len(self.labels)), self.items, 2)
        mated = judge(kind, held, near, number, self.shown)
        own = np.arange(len(self.cohort))
        level = cohort_level(self.cohort, self.cohort, own)
        unrelated = judge(kind, hits(self._cosines(self.cohort), self.items, 2), level, own, own)
        unrelated = Trials(unrelated.scores, unrelated.items, np.zeros(len(own), bool))
        return mated, {"like your items": left_out, "general": unrelated}

    def kept(self, kind: ScoreKind, trials: Any, rule: str, rate: float) -> float:
        """FPIR on fresh strangers of the very kind that a rule was fitted on: camera views of the
        labels that are not enrolled, or the half of the cohort that the other half was not fitted
        on."""
        mated, strangers = trials
        of_kind = strangers[rule]
        if rule == "general":
            part = Trials(
                of_kind.scores[self.half], of_kind.items[self.half], of_kind.right[self.half]
            )
            fresh = of_kind.scores[~self.half]
        else:
            part = of_kind
            number = np.arange(len(self.other_rows))
            found = hits(self._cosines(self.other_rows), self.items, 2)
            near = cohort_level(self.other_rows, self.cohort)
            fresh = judge(kind, found, near, number, self.other_shown).scores
        fitted = fit(SUBJECT, kind, mated, {rule: part}, rate)  # type: ignore[dict-item]
        assert fitted is not None
        return stats.fpir(fresh, fitted.threshold)

    def photos(self, kind: ScoreKind) -> tuple[Trials, Trials]:
        """Real photos of enrolled things, and of the others."""
        number = np.arange(len(self.query))
        found = hits(self.to_query, self.items, 2)
        judged = judge(kind, found, self.near_query, number, self.query)
        mated = np.isin(self.query, self.items)
        return tuple(  # type: ignore[return-value]
            Trials(judged.scores[rows], judged.items[rows], judged.right[rows])
            for rows in (mated, ~mated)
        )


def _row(rule: Calibration, photos: Trials, strangers: Trials) -> dict[str, float]:
    named = photos.scores > rule.threshold
    both = np.concatenate([photos.scores, strangers.scores])
    right = np.concatenate([photos.right, np.zeros(len(strangers), bool)])
    stated = [value for score in both if (value := confidence(float(score), rule)) is not None]
    return {
        "fpir": stats.fpir(strangers.scores, rule.threshold),
        "promised": max(promise.fpir for promise in rule.promises),
        "tpir": stats.tpir(photos.scores, photos.right, rule.threshold),
        "wrong name": float((named & ~photos.right).mean()),
        "ece": stats.ece(stated, right) if stated else float("nan"),
        "brier": stats.brier(stated, right) if stated else float("nan"),
    }


def summary(table: Any) -> Any:
    """The lists over draws as mean, least and most; draws without the figure left out."""
    if isinstance(table, dict):
        return {key: summary(value) for key, value in table.items()}
    there = [value for value in table if not np.isnan(value)]
    return [round(float(f(there)), 4) for f in (np.mean, min, max)] if there else []


def lines(promises: dict[str, Any]) -> list[str]:
    """The quick rule in words, a line a set and asked rate."""
    found = []
    for name, table in promises.items():
        for rate, rules in table[QUICK].items():
            row = {key: np.array(values) for key, values in rules["both"].items()}
            lost = int(np.isnan(row["ece"]).sum())
            kept = {
                k: np.mean(rules[k]["fpir of its kind"]) for k in ("like your items", "general")
            }
            found += [
                f"quick calibration, {name}, asked {rate}: promised {row['promised'].mean():.1%}, "
                f"strangers' photos named {row['fpir'].mean():.1%} "
                f"({row['fpir'].min():.1%}–{row['fpir'].max():.1%} over the draws), "
                f"known named rightly {row['tpir'].mean():.1%}, wrongly "
                f"{row['wrong name'].mean():.1%}; views of items not enrolled named "
                f"{kept['like your items']:.1%}, the other half of the cohort "
                f"{kept['general']:.1%}; confidence: ECE {np.nanmean(row['ece']):.2f}, "
                f"Brier {np.nanmean(row['brier']):.2f}"
                + (f", none in {lost} of {len(row['ece'])} draws" if lost else "")
            ]
    return found
