"""A sweep over checkpoints of three kinds, made here: each kind is told by its own config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kenspeckle.config import ModelSettings
from kenspeckle.evaluate.cache import VectorCache
from kenspeckle.evaluate.datasets import read
from kenspeckle.evaluate.sweep.grid import Cell, Sampling, axis, cells
from kenspeckle.evaluate.sweep.ledger import Ledger
from kenspeckle.evaluate.sweep.run import Sweep, run
from kenspeckle.vectors.admit import drawn_pictures
from kenspeckle.vectors.embed import open_embedder

pytestmark = [pytest.mark.torch, pytest.mark.slow]
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

VISION = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
TEXT = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 99,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
CROP = '{"size": {"shortest_edge": 36}, "crop_size": 32, "do_center_crop": true, '
SQUASH = '{"size": {"height": 32, "width": 32}, '
REST = '"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "resample": 3}'


def network(kind: str) -> Any:
    torch.manual_seed(11)
    wide = {**VISION, "intermediate_size": 32}
    if kind == "clip":
        config = transformers.CLIPConfig(text_config=TEXT, vision_config=wide, projection_dim=24)
        return transformers.CLIPModel(config)
    if kind == "siglip":
        config = transformers.SiglipConfig(text_config=TEXT, vision_config=wide)
        return transformers.SiglipModel(config)
    return transformers.Dinov2Model(transformers.Dinov2Config(**VISION))


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders whose names say nothing of what they hold."""
    made = {}
    for number, kind in enumerate(("clip", "siglip", "dinov2")):
        path = tmp_path_factory.mktemp("models") / f"model-{number}"
        network(kind).save_pretrained(path)
        start = SQUASH if kind == "siglip" else CROP
        (path / "preprocessor_config.json").write_text(start + REST)
        made[kind] = path
    return made


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    for number, image in enumerate(drawn_pictures(6, side=90)):
        folder = tmp_path / "data" / f"item {number}"
        folder.mkdir(parents=True)
        for turn in range(4):
            image.rotate(4 * turn).resize((90, 60 + 9 * turn)).save(folder / f"{turn}.png")
    return tmp_path / "data"


def test_models_and_modes_have_rows_and_thresholds_of_their_own(
    checkpoints: dict[str, Path], collection: Path, tmp_path: Path
) -> None:
    axes = (
        axis("model", [str(path) for path in checkpoints.values()]),
        axis("mode", ("default", "letterbox", "stretch", "legacy-letterbox")),
    )
    job = Sweep(
        read(collection),
        cells(Cell(least=1, refs=2), axes),
        Sampling(2, 2, 4, 1),
        models=ModelSettings(home=str(tmp_path / "home")),
    )
    with VectorCache(tmp_path / "kept") as cache, Ledger(None) as ledger:
        rows = list(run(job, cache, ledger))
        assert len(rows) == 2 * len(job.cells) == 24
        assert len({row["settings"]["space"] for row in rows}) == 12
        assert len({row["threshold"] for row in rows[1::2]}) > 6, "each is fitted anew"
        first = cache.embedded
    with VectorCache(tmp_path / "kept") as cache, Ledger(None) as ledger:
        list(run(job, cache, ledger))
        assert (cache.embedded, first > 0) == (0, True)


def test_other_weights_under_the_same_name_are_embedded_anew(
    checkpoints: dict[str, Path], collection: Path, tmp_path: Path
) -> None:
    path = checkpoints["dinov2"]
    picture = drawn_pictures(1, side=70)[0]
    settings = ModelSettings(str(path), home=str(tmp_path / "home"))
    job = Sweep(read(collection), [Cell(least=1, refs=2)], Sampling(2, 2, 4, 1), models=settings)
    seen = []
    for _ in range(2):
        with VectorCache(tmp_path / "kept") as cache, Ledger(None) as ledger:
            rows = list(run(job, cache, ledger))
            seen.append((rows[0]["key"], cache.embedded, open_embedder(settings).vector(picture)))
        torch.manual_seed(12)
        transformers.Dinov2Model(transformers.Dinov2Config(**VISION)).save_pretrained(path)
    (key, embedded, vector), (other_key, again, other) = seen
    assert key != other_key
    assert embedded == again > 0
    assert float(np.dot(vector, other)) < 0.999
