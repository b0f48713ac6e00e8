"""Checkpoints of a few layers, made here, against transformers' own answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kenspeckle.config import ModelSettings
from kenspeckle.engines import recipes
from kenspeckle.engines.torch_module import TorchModel
from kenspeckle.errors import ModelError
from kenspeckle.types import Float32
from kenspeckle.vectors.admit import drawn_pictures
from kenspeckle.vectors.embed import open_embedder
from kenspeckle.vectors.preprocess import tensor

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

VISION = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 99,
    "bos_token_id": 0,
    "eos_token_id": 1,
}


def make(kind: str) -> Any:
    torch.manual_seed(7)
    t = transformers
    wide = {**VISION, "intermediate_size": 64}
    if kind == "clip":
        config = t.CLIPConfig(text_config=TEXT, vision_config=wide, projection_dim=24)
        return t.CLIPModel(config)
    if kind == "siglip":
        return t.SiglipModel(t.SiglipConfig(text_config=TEXT, vision_config=wide))
    if kind == "dinov2":
        return t.Dinov2Model(t.Dinov2Config(**VISION))
    if kind == "vit":
        return t.ViTModel(t.ViTConfig(**wide), add_pooling_layer=True)
    return t.ViTMAEModel(t.ViTMAEConfig(**wide, mask_ratio=0.0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


def saved(folder: Path, kind: str, network: Any) -> Path:
    path = folder / kind
    if not path.exists():
        network.save_pretrained(path)
    return path


def own_answer(network: Any, pixels: Float32) -> Float32:
    with torch.inference_mode():
        given = torch.from_numpy(pixels)
        if hasattr(network, "get_image_features"):
            answer = network.eval().get_image_features(pixel_values=given)
            return getattr(answer, "pooler_output", answer).numpy()
        return network.eval()(pixel_values=given).pooler_output.numpy()


@pytest.mark.parametrize(
    ("kind", "width"), [("clip", 24), ("siglip", 32), ("dinov2", 32), ("vit", 32)]
)
def test_readout_is_transformers_own(folder: Path, kind: str, width: int) -> None:
    network = make(kind)
    path = saved(folder, kind, network)
    model = TorchModel(path, side=32)
    assert model.width == width == recipes.checkpoint_width(path)
    pixels = np.random.default_rng(0).standard_normal((3, 3, 32, 32)).astype(np.float32)
    assert np.abs(model.run(pixels) - own_answer(network, pixels)).max() < 1e-5
    singles = np.concatenate([model.run(one[None]) for one in pixels])
    assert np.abs(model.run(pixels) - singles).max() < 1e-5


def test_class_token_where_there_is_no_pooler(folder: Path) -> None:
    network = make("vit_mae")
    model = TorchModel(saved(folder, "vit_mae", network), side=32)
    assert model.run(np.zeros((2, 3, 32, 32), np.float32)).shape == (2, 32)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("CLIPImageProcessor", {"size": {"shortest_edge": 32}, "crop_size": 32}),
        ("SiglipImageProcessor", {"size": {"height": 32, "width": 32}}),
        ("BitImageProcessor", {"size": {"shortest_edge": 40}, "crop_size": 32}),
    ],
)
def test_pixels_are_the_processors_own(tmp_path: Path, name: str, options: Any) -> None:
    processor = getattr(transformers, f"{name}Pil", None) or getattr(transformers, name)
    made = processor(**options)
    made.save_pretrained(tmp_path)
    recipe = recipes.from_processor(tmp_path)
    for picture in drawn_pictures(3, side=62):  # an even difference: both cut the same middle
        own = made(images=picture, return_tensors="np")["pixel_values"][0]
        assert np.abs(tensor(picture, recipe) - own).max() < 1e-5


def test_vectors_of_a_whole_checkpoint(folder: Path, tmp_path: Path) -> None:
    network = make("clip")
    path = saved(folder, "clip", network)
    processor = (
        transformers.CLIPImageProcessorPil
        if hasattr(transformers, "CLIPImageProcessorPil")
        else transformers.CLIPImageProcessor
    )
    made = processor(size={"shortest_edge": 32}, crop_size=32)
    made.save_pretrained(path)
    embedder = open_embedder(ModelSettings(name=str(path), home=str(tmp_path)))
    pictures = drawn_pictures(4, side=60)
    pixels = made(images=pictures, return_tensors="np")["pixel_values"]
    expected = own_answer(network, np.asarray(pixels, np.float32))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.abs(embedder.vectors(pictures) - expected).max() < 1e-5
    assert embedder.width == 24


def test_weights_that_are_missing_are_an_error(folder: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    path = saved(folder, "dinov2", make("dinov2"))
    arrays = load_file(path / "model.safetensors")
    arrays.pop(next(iter(sorted(arrays))))
    save_file(arrays, tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "config.json").write_text((path / "config.json").read_text())
    with pytest.raises(ModelError, match="missing"):
        TorchModel(tmp_path, side=32)


def test_pickled_weights_are_not_executed(folder: Path, tmp_path: Path) -> None:
    import os

    canary = tmp_path / "canary"

    class Touch:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {canary}",)

    path = saved(folder, "dinov2", make("dinov2"))
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "config.json").write_text((path / "config.json").read_text())
    torch.save({"embeddings.cls_token": Touch()}, bad / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot load"):
        TorchModel(bad, side=32)
    assert not canary.exists()


def test_code_of_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    (tmp_path / "code.py").write_text(f"open({str(canary)!r}, 'w')\n")
    config = {"model_type": "made-up", "auto_map": {"AutoConfig": "code.C", "AutoModel": "code.M"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="cannot load"):
        TorchModel(tmp_path, side=32)
    assert not canary.exists()


def test_a_side_that_the_network_does_not_take(folder: Path) -> None:
    with pytest.raises(ModelError, match="the network failed"):
        TorchModel(saved(folder, "vit", make("vit")), side=48)


@pytest.mark.parametrize("device", ["cuda", "nonsense"])
def test_a_device_that_is_not_there(folder: Path, device: str) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ModelError, match="torch cannot use it"):
        TorchModel(saved(folder, "vit", make("vit")), side=32, device=device)
