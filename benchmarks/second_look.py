"""What a second look adds: rank-1 errors, named photos at a fixed rate of strangers, time.

    python -m benchmarks.second_look DATA [--cache FOLDER] [--quick]

Two kinds of sets. *Prints* (drawn here, `_print_set`): cards in families that differ in one detail,
asked about by camera views of them under the rule `auto`, the right answer being the very print.
And the five labelled sets. Each set is judged at the weight that names most photos, TPIR at FPIR
1 %, in the mean of the *other* sets; differences are paired by item.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import _scoring
from benchmarks._harness import Report, save
from benchmarks._labelled_sets import SETS, LabelledSet, load
from benchmarks._print_set import Card, cards, photos
from benchmarks._second_looks import Looks, System, take, take_xfeat
from kenspeckle.engines.features import open_features
from kenspeckle.engines.geometry import compare
from kenspeckle.engines.layout import agreements
from kenspeckle.match.second_look import SHORTLIST, WEIGHT, WEIGHTS, Seen, weighed
from kenspeckle.regions import base
from kenspeckle.stats import threshold_at
from kenspeckle.types import Float32, Picture
from kenspeckle.vectors.embed import open_embedder

if TYPE_CHECKING:
    from numpy.typing import NDArray

SETTINGS = {
    "whole": (("whole",), 0),
    "auto + 8 views": (("whole", "center", "window", "quad"), 8),
}
SCORE = "margin+cohort"
SHORTLISTS = (5, 10, 20)
FAMILIES, EACH = 24, 2
RATE = 0.01
SAMPLES = 2000


def prints(families: int) -> dict[str, Any]:
    """Errors on the drawn prints, by shortlist and kind of evidence, and the time they take."""
    embedder, extractor = open_embedder(), open_features("sift")
    gallery = cards(families)
    vectors = embedder.vectors([card.image for card in gallery])
    enrolled = [extractor.extract(card.image) for card in gallery]
    spent: dict[str, list[float]] = {"features": [], "comparison": [], "layouts": []}
    wrong: dict[str, list[list[bool]]] = {}
    for number, card in enumerate(gallery):
        for photo in photos(card, EACH, 50_000 + number):
            regions = base.split(Picture(photo, card.label), "auto")
            rows = embedder.vectors([base.cut(photo, region) for region in regions])
            cosines = (vectors @ rows.T).max(axis=1)
            start = time.perf_counter()
            asked = extractor.extract(photo)
            spent["features"].append(time.perf_counter() - start)
            order = np.argsort(-cosines, kind="stable")[: max(SHORTLISTS)].tolist()
            start = time.perf_counter()
            seen = {place: compare(asked, enrolled[place]) for place in order}
            spent["comparison"].append((time.perf_counter() - start) / len(order))
            _note(wrong, "no second look", number, gallery, cosines, {})
            for count in SHORTLISTS:
                few = {place: seen[place] for place in order[:count]}
                plain = weighed({place: Seen(one) for place, one in few.items()})
                _note(wrong, f"geometry, {count}", number, gallery, cosines, plain)
                start = time.perf_counter()
                told = agreements(photo, asked, [(enrolled[n], one) for n, one in few.items()])
                if count == SHORTLIST:
                    spent["layouts"].append(time.perf_counter() - start)
                both = weighed(
                    {n: Seen(one, t) for (n, one), t in zip(few.items(), told, strict=True)}
                )
                _note(wrong, f"geometry and layout, {count}", number, gallery, cosines, both)
    milliseconds = {name: float(np.median(values)) * 1e3 for name, values in spent.items()}
    return {"errors": _errors(wrong, EACH), "milliseconds": milliseconds}


def _note(
    wrong: dict[str, list[list[bool]]],
    system: str,
    number: int,
    gallery: list[Card],
    cosines: Float32,
    evidence: dict[int, float],
) -> None:
    """Whether the print named is another one, and whether the family is."""
    lifted = cosines.copy()
    for place, value in evidence.items():
        lifted[place] += WEIGHT * value
    best = int(lifted.argmax())
    other = gallery[best].family != gallery[number].family
    wrong.setdefault(system, []).append([best != number, other])


def _errors(wrong: dict[str, list[list[bool]]], each: int) -> dict[str, Any]:
    """Share of wrong prints and wrong families, and the change against no second look with its 95 %
    interval, bootstrapped over prints."""
    before = np.array(wrong["no second look"], float).reshape(-1, each, 2).mean(axis=1)
    rng = np.random.default_rng(0)
    weight = rng.multinomial(len(before), np.full(len(before), 1 / len(before)), SAMPLES) / len(
        before
    )
    found = {}
    for name, rows in wrong.items():
        mine = np.array(rows, float).reshape(-1, each, 2).mean(axis=1)
        ratio = (weight @ mine[:, 0]) / np.maximum(weight @ before[:, 0], 1e-9)
        found[name] = {
            "wrong print": float(mine[:, 0].mean()),
            "wrong family": float(mine[:, 1].mean()),
            "errors left": float(mine[:, 0].mean() / before[:, 0].mean()),
            "interval": [float(v) for v in np.percentile(ratio, [2.5, 97.5])],
        }
    return found


class Case:
    """One set in one setting: evidence by draw and shortlist, worked out once."""

    def __init__(
        self, data: LabelledSet, looks: Looks, kinds: tuple[str, ...], views: int, cohort: Float32
    ) -> None:
        self.data, self.looks = data, looks
        self.system = System.of(data, data.regions.of(*kinds), views, SCORE, cohort)
        self._made: dict[tuple[bytes, int], Float32] = {}

    def lifted(self, mask: Any, weight: float, count: int) -> Float32 | None:
        """By how much cosines are raised, None for no second look."""
        if not weight:
            return None
        key = (mask.tobytes(), count)
        if key not in self._made:
            self._made[key] = self.system.raised(self.looks, mask, count)
        return self._made[key] * np.float32(weight)

    def judged(self, weight: float, count: int = SHORTLIST) -> _scoring.Result:
        """The figures under one weight and shortlist."""
        return _scoring.evaluate(
            self.data.gallery,
            self.data.query,
            lambda mask: self.system.answer(mask, self.lifted(mask, weight, count)),
        )

    def strangers(self, weight: float, count: int = SHORTLIST) -> dict[str, NDArray[np.int64]]:
        """At the threshold that names 1 % of the photos of half of the strangers, summed over draws
        and by label: photos of the other half's that get a name, and of known things' that get a
        wrong one; `(labels, 2)`, how many there are beside them."""
        labels, owner = np.unique(self.data.query, return_inverse=True)
        named_strangers, misnamed = np.zeros((2, len(labels), 2), np.int64)
        for number, known in enumerate(_scoring.draws(self.data.gallery)):
            mask = np.isin(self.data.gallery, known)
            answers = self.system.answer(mask, self.lifted(mask, weight, count))
            mated = np.isin(self.data.query, known)
            others = np.unique(self.data.query[~mated])
            half = np.random.default_rng(number).permutation(others)[: len(others) // 2]
            fitting = np.isin(self.data.query, half)
            threshold = threshold_at(np.sort(answers.scores[fitting]), RATE)
            named, unseen = answers.scores > threshold, ~mated & ~fitting
            wrong = named & (answers.names != self.data.query)
            np.add.at(named_strangers, owner[unseen], np.stack([named, unseen], 1)[unseen])
            np.add.at(misnamed, owner[mated], np.stack([wrong, mated], 1)[mated])
        return {"FPIR": named_strangers, "wrong names": misnamed}


def judge(cases: dict[str, Case]) -> dict[str, Any]:
    """Each set at the weight that suits the others, against no second look."""
    under = {name: {w: case.judged(w) for w in WEIGHTS} for name, case in cases.items()}
    found: dict[str, Any] = {}
    for name, case in cases.items():
        others = [one for one in cases if one != name] or [name]
        weight = max(
            WEIGHTS, key=lambda w: np.mean([under[one][w].mean("tpir@1%") for one in others])
        )
        before, after = under[name][0.0], under[name][weight]
        gain = _scoring.against(after, before)
        found[name] = {
            "weight": weight,
            "rank-1": [before.mean("rank-1"), after.mean("rank-1")],
            "rank-1 gain": gain["rank-1"],
            "errors left": _errors_left(before, after),
            "tpir@1%": [before.mean("tpir@1%"), after.mean("tpir@1%")],
            "tpir@1% gain": gain["tpir@1%"],
            "at a fixed rate": _changes(case.strangers(0.0), case.strangers(weight)),
            "by weight": {
                str(w): [r.mean("rank-1"), r.mean("tpir@1%")] for w, r in under[name].items()
            },
            "by shortlist": {
                str(count): [r.mean("rank-1"), r.mean("tpir@1%")]
                for count in SHORTLISTS
                for r in [case.judged(weight, count)]
            },
        }
        print(f"{name}: done", file=sys.stderr, flush=True)
    return found


def _changes(
    before: dict[str, NDArray[np.int64]], after: dict[str, NDArray[np.int64]]
) -> dict[str, list[float]]:
    """Share before, share after, and the 95 % interval of the change, bootstrapped over labels."""
    found = {}
    for name, one in before.items():
        count = len(one)
        weight = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), SAMPLES)
        change = (weight @ (after[name] - one)[:, 0]) / np.maximum(weight @ one[:, 1], 1)
        shares = [float(part[:, 0].sum() / part[:, 1].sum()) for part in (one, after[name])]
        found[name] = [*shares, *map(float, np.percentile(change, [2.5, 97.5]))]
    return found


def _errors_left(before: _scoring.Result, after: _scoring.Result) -> tuple[float, float, float]:
    """Rank-1 errors after over before, and its 95 % interval, bootstrapped over labels."""
    count = len(before.labels)
    weight = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), SAMPLES)
    queries = np.array(before.queries)
    left = [queries - np.array(one.sums["rank-1"][0]) for one in (after, before)]
    ratio = (weight @ left[0]) / np.maximum(weight @ left[1], 1e-9)
    low, high = np.percentile(ratio, [2.5, 97.5])
    return float(left[0].sum() / max(left[1].sum(), 1e-9)), float(low), float(high)


def kinds(folder: Path, cache: Path, embedder: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Features and estimators beside each other on the flat sets: rank-1 and TPIR, fixed weight."""
    found: dict[str, Any] = {}
    for name in names:
        data = load(folder / name, embedder, cache)
        rule, views = SETTINGS["auto + 8 views"]
        for kind, estimator in (("sift", "magsac"), ("sift", "ransac"), ("orb", "magsac")):
            looks = take(folder / name, data, cache, kind, estimator)
            result = Case(data, looks, rule, views, embedder.cohort).judged(WEIGHT)
            found.setdefault(f"{kind}, {estimator}", {})[name] = [
                result.mean("rank-1"),
                result.mean("tpir@1%"),
            ]
        weights = folder.parent / "models" / "xfeat" / "xfeat.onnx"
        if weights.is_file():
            looks = take_xfeat(folder / name, data, cache, weights)
            result = Case(data, looks, rule, views, embedder.cohort).judged(WEIGHT)
            found.setdefault("xfeat, magsac over all matches", {})[name] = [
                result.mean("rank-1"),
                result.mean("tpir@1%"),
            ]
    return found


def arguments() -> argparse.Namespace:
    """The command line."""
    assets = os.environ.get("KENSPECKLE_TEST_ASSETS", "")
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", nargs="?", default=str(Path(assets) / "data") if assets else "")
    parser.add_argument("--cache", default=str(Path(tempfile.gettempdir()) / "ken-accuracy"))
    parser.add_argument("--quick", action="store_true", help="few prints, coins only; no claim")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    found: dict[str, Any] = {"prints": prints(6 if asked.quick else FAMILIES)}
    print("prints: done", file=sys.stderr, flush=True)
    folder, cache = Path(asked.data), Path(asked.cache)
    if (folder / "baseline").is_dir():
        embedder = open_embedder()
        names = SETS[1:2] if asked.quick else SETS
        sets = {name: load(folder / name, embedder, cache) for name in names}
        looks = {name: take(folder / name, data, cache) for name, data in sets.items()}
        for title, (rule, views) in SETTINGS.items():
            cases = {
                n: Case(data, looks[n], rule, views, embedder.cohort) for n, data in sets.items()
            }
            found[title] = judge(cases)
        if not asked.quick:
            found["kinds"] = kinds(folder, cache, embedder, ("stamps", "logos"))
    report(found, quick=asked.quick)
    return 0


def report(found: dict[str, Any], *, quick: bool) -> None:
    """One table: prints first, then the sets in each setting."""
    rows = []
    for name, row in found["prints"]["errors"].items():
        low, high = row["interval"]
        left = f"{row['errors left']:.2f} ({low:.2f} … {high:.2f})"
        rows.append(["prints", name, f"{1 - row['wrong print']:.3f}", left, "", "", ""])
    for title in (one for one in SETTINGS if one in found):
        for name, row in found[title].items():
            one, low, high = row["errors left"]
            gain = row["tpir@1% gain"]
            rows.append(
                [
                    name,
                    f"{title}, weight {row['weight']:g}",
                    "{:.3f} → {:.3f}".format(*row["rank-1"]),
                    f"{one:.2f} ({low:.2f} … {high:.2f})",
                    "{:.3f} → {:.3f}".format(*row["tpir@1%"])
                    + f" ({gain[1]:+.3f} … {gain[2]:+.3f})",
                    *(
                        f"{was:.2%} → {now:.2%} ({100 * low:+.2f} … {100 * high:+.2f})"
                        for was, now, low, high in row["at a fixed rate"].values()
                    ),
                ]
            )
        mean = np.mean([row["tpir@1%"] for row in found[title].values()], axis=0)
        rows.append(["mean", title, "", "", "{:.3f} → {:.3f}".format(*mean), "", ""])
    spent = found["prints"]["milliseconds"]
    notes = [
        "errors left: rank-1 errors with a second look over those without, 95 % interval by item",
        "FPIR: asked 1 %, threshold set on half of the strangers, measured on the other half, mean "
        "of 20 draws; wrong names: photos of known things that get one at this threshold; in "
        "brackets the change in points, 95 % interval by item",
        *(
            f"shortlist of {count}, {title}: "
            + ", ".join(
                "{} {:.3f} / {:.3f}".format(name, *row["by shortlist"][str(count)])
                for name, row in found[title].items()
            )
            for title in SETTINGS
            if title in found
            for count in SHORTLISTS
        ),
        f"time a query: features {spent['features']:.1f} ms, layouts {spent['layouts']:.1f} ms; a "
        f"shortlist entry {spent['comparison']:.1f} ms (medians, shortlist of {SHORTLIST})",
        *(
            f"{name} (auto + 8 views, weight {WEIGHT:g}): "
            + ", ".join(f"{one} {r[0]:.3f} / {r[1]:.3f}" for one, r in row.items())
            for name, row in found.get("kinds", {}).items()
        ),
    ]
    header = ["set", "system", "rank-1", "errors left", "TPIR at FPIR 1 %", "FPIR", "wrong names"]
    save(
        Report(
            "second_look",
            "Rank-1 with every item enrolled and TPIR at FPIR 1 % with half of them unknown (20 "
            f"draws), score {SCORE}, without → with a second look (SIFT, MAGSAC, shortlist "
            f"{SHORTLIST}).",
            header,
            rows,
            found,
            notes=notes,
        ),
        quick=quick,
    )


if __name__ == "__main__":
    sys.exit(main())
