"""Classifiers of scikit-learn are read without executing anything, and everything else refused."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, LogisticRegression

from kenspeckle._foreign.logistic import read_logistic
from kenspeckle._foreign.machine import MAX_BYTES
from kenspeckle.errors import KenspeckleError, ModelError, UnsafeFile

ROWS = np.random.default_rng(1).standard_normal((60, 8))
LABELS = ROWS[:, 0] + ROWS[:, 1] > 0


def fitted(labels: Any = LABELS, **options: Any) -> LogisticRegression:
    asked = {"C": 0.1, "class_weight": "balanced", "solver": "liblinear", "random_state": 42}
    return LogisticRegression(**{**asked, **options}).fit(ROWS, labels)


def dumped(model: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    joblib.dump(model, file, **options)
    return file.getvalue()


WAYS: dict[str, Callable[[Any], bytes]] = {
    **{f"pickle {n}": lambda model, n=n: pickle.dumps(model, protocol=n) for n in (2, 3, 4, 5)},
    **{f"joblib {n}": lambda model, n=n: dumped(model, protocol=n) for n in (2, 4, 5)},
    "joblib zlib": lambda model: dumped(model, compress=3),
    "joblib gzip": lambda model: dumped(model, compress=("gzip", 3)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("labels", [LABELS, LABELS.astype(int), LABELS.astype(float)])
def test_the_numbers_are_those_of_scikit_learn(way: str, labels: Any) -> None:
    model = fitted(labels)
    found = read_logistic(WAYS[way](model), way)
    scores = ROWS @ found.weights + found.bias
    assert np.allclose(1 / (1 + np.exp(-scores)), model.predict_proba(ROWS)[:, 1], atol=1e-12)
    assert np.array_equal(scores > 0, model.predict(ROWS).astype(bool))


def test_a_row_in_the_order_of_columns() -> None:
    model = fitted()
    model.coef_ = np.asfortranarray(model.coef_)
    assert np.array_equal(read_logistic(dumped(model), "f").weights, model.coef_[0])


class Runs:
    """What would run a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._path}",)


@pytest.mark.parametrize("way", WAYS)
def test_a_command_is_refused_and_not_run(way: str, tmp_path: Path) -> None:
    model = fitted()
    model.extra_ = Runs(tmp_path / "done")
    with pytest.raises(UnsafeFile, match=r"asks for (posix|nt)\.system"):
        read_logistic(WAYS[way](model), "evil.pkl")
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(LinearRegression().fit(ROWS, LABELS)),
        pickle.dumps({"coef_": [1.0]}),
        pickle.dumps(os.system),
        pickle.dumps(eval),
        pickle.dumps(np.array([object()])),
        pickle.dumps(fitted(random_state=np.random.RandomState(3))),
        b"cos\nsystem\n(S'true'\ntR.",
        b"",
        b"\x80\x04.",
        b"\x80\x04N.",
        b"not a pickle at all",
        b"\x80\x04\x95",
        b"\x80\x05" + b"]\x94" * 10 + b"h\x63.",
        b"\x80\x02K\x01\x82\x01.",
        b"\x78\x9c" + bytes(40),
        zlib.compress(bytes(MAX_BYTES + 10)),
    ],
)
def test_what_is_no_classifier_is_refused(data: bytes) -> None:
    with pytest.raises(UnsafeFile):
        read_logistic(data, "x.pkl")


@pytest.mark.parametrize(
    "change",
    [
        lambda model: setattr(model, "coef_", model.coef_.astype(object)),
        lambda model: setattr(model, "coef_", [1.0, 2.0]),
        lambda model: setattr(model, "coef_", np.zeros((1, 2, 3))),
        lambda model: setattr(model, "coef_", np.zeros((1, 70_000))),
        lambda model: setattr(model, "classes_", np.array(["no", "yes"])),
        lambda model: delattr(model, "intercept_"),
    ],
)
def test_members_of_other_kinds_are_refused(change: Callable[[Any], None]) -> None:
    model = fitted()
    change(model)
    for way in WAYS.values():
        with pytest.raises(UnsafeFile):
            read_logistic(way(model), "x.pkl")


def test_a_classifier_of_three_classes_is_named() -> None:
    with pytest.raises(ModelError, match="3 classes"):
        read_logistic(pickle.dumps(fitted(np.arange(60) % 3, solver="lbfgs")), "x.pkl")
    model = fitted()
    model.coef_ = model.coef_ * np.nan
    with pytest.raises(ModelError, match="not finite"):
        read_logistic(pickle.dumps(model), "x.pkl")


def test_the_positive_class_is_found_wherever_it_stands() -> None:
    model = fitted()
    model.classes_ = model.classes_[::-1]
    assert np.array_equal(read_logistic(pickle.dumps(model), "x").weights, -model.coef_[0])


@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_is_cut_off_is_refused(way: str) -> None:
    data = WAYS[way](fitted())
    for length in range(0, len(data) - 1, 13):
        with pytest.raises(KenspeckleError):
            read_logistic(data[:length], "x.pkl")


@settings(max_examples=300, deadline=None)
@given(
    way=st.sampled_from(["pickle 4", "joblib 4"]),
    at=st.integers(0, 10_000),
    byte=st.integers(0, 255),
)
def test_a_changed_byte_is_a_classifier_or_refused(way: str, at: int, byte: int) -> None:
    data = bytearray(WAYS[way](MODEL))
    data[at % len(data)] = byte
    try:
        found = read_logistic(bytes(data), "x.pkl")
    except KenspeckleError:
        return
    assert found.weights.dtype == np.float64
    assert np.isfinite(found.weights).all()


MODEL = fitted()


def test_a_stream_that_never_says_stop_ends() -> None:
    with pytest.raises(UnsafeFile, match="steps"):
        read_logistic(b"\x80\x04" + b"N" * 200_000, "x.pkl")


def test_a_text_cannot_be_made_into_bytes_without_end() -> None:
    text = b"a" * 4_000_000
    start = b"\x80\x02" + b"X" + struct.pack("<I", len(text)) + text + b"q\x00"
    start += b"X\x06\x00\x00\x00latin1q\x01c_codecs\nencode\nq\x02"
    with pytest.raises(UnsafeFile, match="made of text"):
        read_logistic(start + b"h\x02h\x00h\x01\x86R" * 2000 + b".", "x.pkl")


def test_an_array_larger_than_the_file_takes_no_memory() -> None:
    data = dumped(fitted())
    at = next(place for code, value, place in pickletools.genops(data) if value == "shape")
    assert at
    huge = data.replace(struct.pack("<B", 8), struct.pack("<B", 250), 1)
    with pytest.raises(UnsafeFile):
        read_logistic(huge, "x.pkl")
