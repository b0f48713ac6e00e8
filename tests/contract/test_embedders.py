"""What holds for everything that makes vectors, whichever engine is behind it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kenspeckle.config import ModelSettings
from kenspeckle.types import Fingerprint, Vectors
from kenspeckle.vectors.admit import drawn_pictures
from kenspeckle.vectors.base import Embedder
from kenspeckle.vectors.embed import open_embedder

Make = Callable[[], Embedder]
KINDS = ["dummy", "default", "fast", pytest.param("checkpoint", marks=pytest.mark.torch), "head"]


def checkpoint(folder: Path) -> Path:
    """A DINOv2 checkpoint of two layers with weights from a seed."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(1)
    config = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14
    )
    transformers.Dinov2Model(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        '{"size": {"shortest_edge": 64}, "crop_size": {"height": 56, "width": 56}, '
        '"do_center_crop": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}'
    )
    return folder


def head(path: Path) -> Path:
    from safetensors.numpy import save_file

    random = np.random.default_rng(3)
    shapes = {
        "net.0.weight": (64, 192),
        "net.0.bias": (64,),
        "net.2.weight": (16, 64),
        "net.2.bias": (16,),
    }
    arrays = {name: random.normal(0, 0.2, shape) for name, shape in shapes.items()}
    save_file({name: array.astype(np.float32) for name, array in arrays.items()}, path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("embedders")


@pytest.fixture(params=KINDS, scope="module")
def make(request: pytest.FixtureRequest, folder: Path) -> Make:
    options: dict[str, Any] = {"name": request.param, "home": str(folder / "home")}
    if request.param == "checkpoint":
        options["name"] = str(checkpoint(folder / "checkpoint"))
    if request.param == "head":
        options |= {"name": "dummy", "head": str(head(folder / "head.safetensors"))}
    return lambda: open_embedder(ModelSettings(**options))


@pytest.fixture(scope="module")
def embedder(make: Make) -> Embedder:
    return make()


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    odd = [Image.new("RGB", (1, 1), "red"), Image.new("RGB", (900, 3)), Image.new("RGB", (7, 640))]
    return [*drawn_pictures(6, seed=9, side=200), *odd]


def test_rows_are_unit_rows_of_the_space(embedder: Embedder, pictures: list[Image.Image]) -> None:
    rows = embedder.vectors(pictures)
    assert rows.shape == (len(pictures), embedder.width)
    assert rows.dtype == np.float32
    assert np.abs(np.linalg.norm(rows, axis=1) - 1).max() < 1e-5
    assert len(Vectors(rows, embedder.space_id)) == len(pictures)


def test_one_by_one_or_together_in_any_order(
    embedder: Embedder, pictures: list[Image.Image]
) -> None:
    together = embedder.vectors(pictures)
    singles = np.stack([embedder.vector(picture) for picture in pictures])
    assert np.abs(together - singles).max() < 1e-5
    assert np.abs(embedder.vectors(pictures[::-1])[::-1] - together).max() < 1e-5


def test_no_pictures_give_no_rows(embedder: Embedder) -> None:
    assert embedder.vectors([]).shape == (0, embedder.width)


def test_other_pictures_have_other_vectors(embedder: Embedder, pictures: list[Image.Image]) -> None:
    rows = embedder.vectors(pictures[:6])
    near = rows @ rows.T - 2 * np.eye(6)
    assert near.max() < 0.9999


def test_a_darker_copy_is_nearer_than_another_picture(
    embedder: Embedder, pictures: list[Image.Image]
) -> None:
    darker = pictures[0].point(lambda value: int(value * 0.93))
    row = embedder.vector(darker)
    rows = embedder.vectors(pictures[:6])
    assert int(np.argmax(rows @ row)) == 0


def test_many_callers_get_what_one_gets(embedder: Embedder, pictures: list[Image.Image]) -> None:
    alone = embedder.vectors(pictures)
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(embedder.vector, pictures * 4))
    assert np.abs(np.stack(rows).reshape(4, *alone.shape) - alone).max() < 1e-5


def test_fingerprint_says_what_made_the_vectors(embedder: Embedder, make: Make) -> None:
    fingerprint = embedder.fingerprint
    assert fingerprint.width == embedder.width
    assert embedder.space_id == fingerprint.space_id == make().space_id
    assert Fingerprint.from_dict(fingerprint.to_dict()) == fingerprint


def test_cohort_lies_in_the_same_space(embedder: Embedder) -> None:
    cohort = embedder.cohort
    if embedder.fingerprint.model != "efflite0-288-gem-w384":
        assert cohort is None
        return
    assert cohort is not None
    assert cohort.shape == (2723, 384)
    assert np.abs(np.linalg.norm(cohort, axis=1) - 1).max() < 1e-5


def test_device_is_the_cpu_and_nothing_is_noted(embedder: Embedder) -> None:
    assert (embedder.device, embedder.note) == ("cpu", "")


def test_closed_and_used_again_it_loads_anew(make: Make, pictures: list[Image.Image]) -> None:
    embedder = make()
    before = embedder.vector(pictures[0])
    embedder.close()
    embedder.close()
    assert np.array_equal(embedder.vector(pictures[0]), before)
