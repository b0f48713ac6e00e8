"""Classifiers in a folder: which is taken, when it is read anew, and what is refused."""

from __future__ import annotations

import json
import os
import pickle
import re
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from kenspeckle.errors import InputError, ModelError, SpaceMismatch, UnsafeFile
from kenspeckle.flows.classifiers import MAP, Classifiers
from kenspeckle.match.classify import Linear, from_json, sigmoid, to_json


def put(folder: Path, name: str, bias: float) -> Path:
    path = folder / name
    path.write_text(to_json(Linear(np.ones(3), bias)))
    return path


def best(folder: Path, **entries: Any) -> None:
    named = {key.removeprefix("c"): value for key, value in entries.items()}
    (folder / MAP).write_text(json.dumps(named))


def bias(folder: Path, collection: int = 1) -> float:
    found = Classifiers(str(folder)).find(collection)
    assert found is not None
    return found.bias


def test_the_latest_date_counts_then_the_file_written_last(tmp_path: Path) -> None:
    assert Classifiers(str(tmp_path / "nowhere")).find(1) is None
    assert Classifiers(str(tmp_path)).find(1) is None
    put(tmp_path, "collection_1_classifier_copy.json", 1.0)
    late = put(tmp_path, "collection_1_classifier_other.json", 2.0)
    os.utime(late, (2e9, 2e9))
    assert bias(tmp_path) == 2.0
    put(tmp_path, "collection_1_classifier_2025-03-04.json", 3.0)
    assert bias(tmp_path) == 3.0  # a date, if only a day, goes before a time of the file
    put(tmp_path, "collection_1_classifier_2025-03-04_000001.json", 4.0)
    assert bias(tmp_path) == 4.0
    put(tmp_path, "collection_11_classifier_2026-01-01.json", 5.0)
    put(tmp_path, "collection_1_compatible_classifier.json", 6.0)
    assert bias(tmp_path) == 4.0
    assert bias(tmp_path, 11) == 5.0
    put(tmp_path, "collection_-1_classifier_2026-01-01.json", 7.0)
    assert bias(tmp_path, -1) == 7.0


def test_ours_goes_before_the_foreign_form_of_one_version(tmp_path: Path) -> None:
    model = LogisticRegression(solver="liblinear").fit(np.eye(3), [True, False, True])
    joblib.dump(model, tmp_path / "collection_1_classifier_2025-01-01_000000.pkl")
    assert bias(tmp_path) == pytest.approx(model.intercept_[0])
    put(tmp_path, "collection_1_classifier_2025-01-01_000000.json", 9.0)
    assert bias(tmp_path) == 9.0


def test_the_map_goes_before_all_in_both_of_its_forms(tmp_path: Path) -> None:
    put(tmp_path, "collection_1_classifier_2026-01-01.json", 1.0)
    put(tmp_path, "chosen.json", 2.0)
    best(tmp_path, c1="chosen.json")
    found = Classifiers(str(tmp_path)).find(1)
    assert found is not None
    assert (found.bias, found.region, found.vectors) == (2.0, "", "")
    entry = {"model_file": "chosen.json", "derivative_type": "a", "embedding_type": "b+c"}
    best(tmp_path, c1=entry)
    found = Classifiers(str(tmp_path)).find(1)
    assert found is not None
    assert (found.bias, found.region, found.vectors) == (2.0, "a", "b+c")
    best(tmp_path, c1="gone.json", c2="chosen.json")
    assert bias(tmp_path) == 1.0


@pytest.mark.parametrize(
    "entry",
    [
        *("../secret.json", "/etc/passwd", "sub/x.json", "x.txt", ""),
        *(5, None, [], {}),
        {"model_file": "x.json", "derivative_type": "whole_image"},
        {"model_file": ["x.json"], "derivative_type": "a", "embedding_type": "b"},
        {"model_file": "../x.json", "derivative_type": "a", "embedding_type": "b"},
    ],
)
def test_entries_that_say_too_little_or_lead_elsewhere(tmp_path: Path, entry: Any) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    put(tmp_path, "secret.json", 1.0)
    put(tmp_path, "x.json", 1.0)
    best(folder, c1=entry)
    if entry is None:
        assert Classifiers(str(folder)).find(1) is None
    else:
        with pytest.raises(InputError, match=r"best_models\.json, entry 1"):
            Classifiers(str(folder)).find(1)


@pytest.mark.parametrize("text", ["not json", "[]", "5", "[" * 100_000, "\ud800"])
def test_a_map_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / MAP).write_text(text, errors="surrogatepass")
    with pytest.raises(ModelError, match=r"best_models\.json"):
        Classifiers(str(tmp_path)).find(1)


def test_changes_are_seen_by_the_time_of_a_file(tmp_path: Path) -> None:
    classifiers = Classifiers(str(tmp_path))

    def now() -> float:
        found = classifiers.find(1)
        assert found is not None
        return found.bias

    assert classifiers.find(1) is None
    path = put(tmp_path, "collection_1_classifier_2025-01-01.json", 1.5)
    assert now() == 1.5
    first = classifiers.find(1)
    again = classifiers.find(1)
    assert first is again  # kept: it is not read for each question
    put(tmp_path, path.name, 2.5)
    os.utime(path, (2e9, 2e9))
    assert now() == 2.5
    put(tmp_path, "other.json", 3.5)
    best(tmp_path, c1="other.json")
    assert now() == 3.5
    (tmp_path / MAP).unlink()
    assert now() == 2.5


def test_files_that_cannot_be_used_are_named_without_their_folder(tmp_path: Path) -> None:
    path = tmp_path / "collection_1_classifier_2025-01-01.pkl"
    path.write_bytes(pickle.dumps(os.system))
    with pytest.raises(UnsafeFile) as unsafe:
        Classifiers(str(tmp_path)).find(1)
    assert str(tmp_path) not in str(unsafe.value)
    path.write_bytes(bytes(20 * 1024 * 1024))
    with pytest.raises(ModelError, match="20971520 bytes"):
        Classifiers(str(tmp_path)).find(1)
    path.unlink()
    path.symlink_to("/dev/zero")
    assert Classifiers(str(tmp_path)).find(1) is None


@pytest.mark.parametrize(
    "change",
    [
        {"format": "x"},
        {"version": 2},
        {"coefficients": []},
        {"coefficients": [1, "2"]},
        {"coefficients": [1, True]},
        {"coefficients": [1, float("nan")]},
        {"coefficients": [10**400]},
        {"coefficients": [[1.0, 2.0], [3.0, 4.0]]},
        {"coefficients": [[[1.0]]]},
        {"coefficients": [0.0] * 70_000},
        {"intercept": None},
        {"intercept": float("inf")},
        {"intercept": [0.5, 0.5]},
        {"classes": [1]},
        {"classes": 5},
        {"classes": [0, 0]},
        {"classes": ["false", "true"]},
        {"metadata": 5},
        {"metadata": {"derivative_type": 5}},
    ],
)
def test_plain_files_that_are_none(change: dict[str, Any]) -> None:
    data = json.loads(to_json(Linear(np.ones(3), 0.5))) | change
    with pytest.raises(ModelError, match=r"x\.json"):
        from_json(json.dumps(data).encode(), "x.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "without coefficients and intercept and classes"),
        ('{"coefficients": [1], "classes": [false, true]}', "without intercept"),
        ('{"coefficients": [1], "intercept": 0}', "without classes"),
        ('{"coefficients": [1], "intercept": 0, "classes": [1]}', "classes that cannot be used"),
        ("not json", "not a JSON file"),
        ("[1]", "a list"),
        ("[" * 100_000, "not a JSON file"),
    ],
)
def test_a_refused_plain_file_names_the_key(text: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        from_json(text.encode(), "x.json")


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"format": "kenspeckle-classifier", "version": 1},
        {"metadata": {}, "scores": {"macro_precision": 0.9}},
        {"metadata": None, "scores": None},
        {"coefficients": [[0.5, -1.0]], "intercept": [2.0], "classes": [0, 1]},
    ],
)
def test_the_keys_of_a_plain_file_are_enough(change: dict[str, Any]) -> None:
    told = {"coefficients": [0.5, -1.0], "intercept": 2, "classes": [False, True]} | change
    found = from_json(json.dumps(told).encode(), "x.json")
    assert found.weights.tolist() == [0.5, -1.0]
    assert (found.bias, found.region, found.vectors) == (2.0, "", "")


def test_the_example_of_the_page_is_a_classifier(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/analyze.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```json\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    told = json.loads(example)
    (tmp_path / "collection_42_classifier_2026-02-03_101500.json").write_text(example)
    found = Classifiers(str(tmp_path)).find(42)
    assert found is not None
    assert (found.region, found.vectors) == ("prominent_face", "embed_dino_v2")
    assert found.weights.shape == (told["metadata"]["dimensionality"],)
    assert set(told) == set(json.loads(to_json(found))) - {"format", "version"}
    row = np.array([0.5, 1.0, -1.0], np.float32)
    assert f"{sigmoid(found.score(row)):.3f}" in page  # the number that the page works out


def test_plain_files_keep_everything() -> None:
    made = Linear(np.array([0.1, -2.0, 1e-9]), 0.25, "whole_image", "embed_dino_v2")
    found = from_json(to_json(made, {"macro_precision": 0.75}).encode(), "x.json")
    assert np.array_equal(found.weights, made.weights)
    assert (found.bias, found.region, found.vectors) == (0.25, "whole_image", "embed_dino_v2")
    turned = json.loads(to_json(made)) | {"classes": [True, False]}
    found = from_json(json.dumps(turned).encode(), "x.json")
    assert np.array_equal(found.weights, -made.weights)


@given(st.lists(st.floats(-50, 50, width=32), min_size=3, max_size=3), st.floats(-5, 5))
def test_the_probability_is_the_sigmoid_of_the_score(row: list[float], bias: float) -> None:
    made = Linear(np.array([0.5, -1.0, 2.0]), bias)
    score = made.score(np.array(row, np.float32))
    assert score == pytest.approx(0.5 * row[0] - row[1] + 2 * row[2] + bias, abs=1e-4)
    assert 0 <= sigmoid(score) <= 1
    assert (sigmoid(score) > 0.5) is (score > 0) or abs(score) < 1e-12
    assert sigmoid(score) + sigmoid(-score) == pytest.approx(1)


def test_another_width_names_both() -> None:
    with pytest.raises(SpaceMismatch, match=r"512 columns; expected 3,"):
        Linear(np.ones(3), 0.0).score(np.ones(512, np.float32))
