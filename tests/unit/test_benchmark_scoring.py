"""The accuracy benchmark counts as its docstring says: against loops, and on the stored draws."""

from __future__ import annotations

import csv
import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def scoring(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT)
    return importlib.import_module("benchmarks._scoring")


def made() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of references and queries, and cosines between them."""
    rng = np.random.default_rng(0)
    gallery = np.array([f"label {n % 12}" for n in range(30)])
    query = np.array([f"label {n % 12}" for n in range(90)])
    cosines = rng.normal(size=(90, 30)).astype(np.float32)
    return gallery, query, cosines + (query[:, None] == gallery)


def nearest(scoring: ModuleType) -> tuple[np.ndarray, np.ndarray, object]:
    gallery, query, cosines = made()

    def system(enrolled: np.ndarray) -> object:
        part = cosines[:, enrolled]
        return scoring.Answers(gallery[enrolled][part.argmax(1)], part.max(1).astype(float))

    return gallery, query, system


def test_tpir_and_auroc_are_those_of_a_loop(scoring: ModuleType) -> None:
    gallery, query, system = nearest(scoring)
    result = scoring.evaluate(gallery, query, system)
    _, _, cosines = made()
    for draw, known in enumerate(scoring.draws(gallery)):
        enrolled = [n for n, label in enumerate(gallery) if label in known]
        scored = []
        for q, label in enumerate(query):
            best = max(enrolled, key=lambda n: cosines[q, n])
            scored.append((float(cosines[q, best]), gallery[best] == label, label in known))
        strangers = sorted((s for s, _, mated in scored if not mated), reverse=True)
        threshold = strangers[int(0.05 * len(strangers))]
        mated = [(s, right) for s, right, known_one in scored if known_one]
        found = sum(s > threshold and right for s, right in mated)
        assert result.values["tpir@5%"][draw] == pytest.approx(found / len(mated))
        pairs = [(s > u) + 0.5 * (s == u) for s, _ in mated for u in strangers]
        assert result.values["auroc"][draw] == pytest.approx(np.mean(pairs))


def test_a_system_gains_nothing_over_itself(scoring: ModuleType) -> None:
    result = scoring.evaluate(*nearest(scoring))
    assert set(scoring.against(result, result).values()) == {(0.0, 0.0, 0.0)}


def test_a_better_system_gains_beyond_its_interval(scoring: ModuleType) -> None:
    gallery, query, system = nearest(scoring)
    right = query.copy()

    def oracle(enrolled: np.ndarray) -> object:
        return scoring.Answers(right, np.isin(right, gallery[enrolled]).astype(float))

    better = scoring.evaluate(gallery, query, oracle)
    gain, low, _ = scoring.against(better, scoring.evaluate(gallery, query, system))["tpir@1%"]
    assert gain > 0
    assert low > 0


def test_results_of_different_sets_are_not_paired(scoring: ModuleType) -> None:
    gallery, query, system = nearest(scoring)
    one = scoring.evaluate(gallery, query, system)
    other = scoring.evaluate(
        gallery, query[:60], lambda e: scoring.Answers(system(e).names[:60], system(e).scores[:60])
    )
    with pytest.raises(SystemExit, match="different sets"):
        scoring.against(one, other)


def test_the_best_reference_of_each_label(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    sets = importlib.import_module("benchmarks._labelled_sets")
    cosines = np.array([[0.1, 0.9, 0.3, 0.5]], np.float32)
    best = sets.best_of_each(cosines, np.array([2, 0, 2, 0]), 4)
    assert best.tolist() == [[np.float32(0.9), -np.inf, np.float32(0.3), -np.inf]]
    found = sets.hits(best, np.array([0, 2]), 2)
    assert found.items.tolist() == [[0, 2]]


@pytest.mark.assets
@pytest.mark.parametrize("name", ["coins", "grocery", "stamps", "logos", "emoji-styles"])
def test_the_draws_are_those_of_the_stored_baseline(
    scoring: ModuleType, assets: Path, name: str
) -> None:
    folder = assets / "data"
    with (folder / name / "split-closed.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    gallery = np.array([r["label"] for r in rows if r["role"] == "gallery"])
    query = np.array([r["label"] for r in rows if r["role"] == "query"])
    stored = json.loads((folder / "baseline" / f"{name}.json").read_text("utf-8"))
    result = scoring.evaluate(
        gallery, query, lambda _: scoring.Answers(query, np.arange(len(query), dtype=float))
    )
    assert result.labels == stored["labels"]
    assert result.queries == stored["queries"]
    assert result.known == stored["known"]
