"""Which device is admitted, and whether batches pay: measured on real networks, or on slow ones."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kenspeckle.config import ModelSettings
from kenspeckle.engines import files, table
from kenspeckle.engines.base import load
from kenspeckle.engines.dummy import DummyModel
from kenspeckle.errors import ModelError
from kenspeckle.types import Float32, Recipe
from kenspeckle.vectors import admit, probe
from kenspeckle.vectors.embed import open_embedder

ROW = table.find("fast")
FILES = files.locate(ROW, ModelSettings())


class Shifted(DummyModel):
    """A device whose arithmetic is off by a little or by much."""

    device = "shifted"

    def __init__(self, off: float) -> None:
        super().__init__()
        self._off = np.random.default_rng(0).normal(0, off, self.width).astype(np.float32)

    def run(self, batch: Float32) -> Float32:
        return super().run(batch) + self._off


class Timed(DummyModel):
    """A device that takes a fixed time a call and another a picture, by a clock of its own."""

    device = "timed"
    now = 0.0

    def __init__(self, call: float, picture: float) -> None:
        super().__init__()
        self._call, self._picture, self.calls = call, picture, 0

    def run(self, batch: Float32) -> Float32:
        self.calls += 1
        Timed.now += self._call + self._picture * len(batch)
        return np.ones((len(batch), 4), np.float32)


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the probe takes for the time is what the device took."""
    monkeypatch.setattr(probe, "time", SimpleNamespace(perf_counter=lambda: Timed.now))


def test_pictures_are_the_same_every_time_and_differ() -> None:
    first, second = (np.stack(admit.drawn_pictures(4)) for _ in range(2))
    assert np.array_equal(first, second)
    assert len({picture.tobytes() for picture in admit.drawn_pictures(4)}) == 4


@pytest.mark.parametrize(("off", "admitted"), [(0.0, True), (1e-4, True), (0.3, False)])
def test_only_the_same_vectors_are_admitted(off: float, admitted: bool) -> None:
    least = admit.agreement(Shifted(off), DummyModel(), Recipe(64, resample="bilinear"))
    assert (least >= admit.LEAST) is admitted


def test_a_device_that_is_not_there_falls_back_with_a_sentence() -> None:
    engine, note = admit.admitted(ROW, FILES, "cuda")
    assert engine.device == "cpu"
    assert "no provider" in note
    embedder = open_embedder(ModelSettings(name="fast", device="cuda"))
    assert embedder.device == "cpu"
    assert embedder.note == note


def test_a_device_that_gives_other_vectors_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def loading(row: table.ModelRow, found: files.ModelFiles, device: str = "cpu") -> DummyModel:
        return Shifted(0.3) if device == "npu" else DummyModel()

    monkeypatch.setattr(admit, "load", loading)
    recipe = Recipe(64, resample="bilinear")
    found = files.ModelFiles(Path(), "0", recipe, 192)
    engine, note = admit.admitted(ROW, found, "npu")
    assert engine.device == "cpu"
    assert "npu gives other vectors" in note
    monkeypatch.setattr(admit, "LEAST", 0.0)
    engine, note = admit.admitted(ROW, found, "npu")
    assert (engine.device, note) == ("shifted", "")


def test_int8_and_fp32_are_no_stand_ins_for_each_other(assets: Path) -> None:
    folder = assets / "models" / "efflite0-288-gem-w384"
    settings = ModelSettings()
    rows = [
        table.find(str(folder / f"efflite0-288-gem-w384-{kind}.onnx")) for kind in ("int8", "fp32")
    ]
    found = [files.locate(row, settings) for row in rows]
    engines = [load(row, one) for row, one in zip(rows, found, strict=True)]
    assert admit.agreement(*engines, found[0].recipe) < admit.LEAST


@pytest.mark.parametrize(("call", "picture", "size"), [(0.004, 0.0, probe.BATCH), (0.0, 0.002, 1)])
def test_batches_where_they_pay(tmp_path: Path, call: float, picture: float, size: int) -> None:
    engine = Timed(call, picture)
    recipe = Recipe(16)
    assert probe.batch_size(engine, "weights", recipe, tmp_path) == size
    measured = engine.calls
    assert measured > 0
    assert probe.batch_size(engine, "weights", recipe, tmp_path) == size
    assert engine.calls == measured  # the answer was kept
    assert list(json.loads((tmp_path / probe.FILE).read_text())) == ["weights timed"]


@pytest.mark.parametrize("content", ["garbage", "[]", '{"weights timed": "much"}'])
def test_a_damaged_memory_is_measured_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / probe.FILE).write_text(content)
    assert probe.batch_size(Timed(0.003, 0.0), "weights", Recipe(16), tmp_path) == probe.BATCH


def test_a_home_that_cannot_be_written_is_no_reason_to_fail(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    home = tmp_path / "file" / "home"
    assert probe.batch_size(Timed(0.003, 0.0), "weights", Recipe(16), home) == probe.BATCH


def test_the_embedded_models_need_no_probe(tmp_path: Path) -> None:
    embedder = open_embedder(ModelSettings(name="fast", home=str(tmp_path / "home")))
    embedder.vectors(admit.drawn_pictures(2))
    assert not (tmp_path / "home").exists()


def test_a_closed_engine_says_so() -> None:
    engine = load(ROW, FILES)
    engine.close()
    with pytest.raises(ModelError, match="closed"):
        engine.run(np.zeros((1, 3, 224, 224), np.float32))
