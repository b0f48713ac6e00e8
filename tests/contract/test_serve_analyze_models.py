"""The surface `analyze` with checkpoints of the architectures it names: items 5, 6 and 12.

The checkpoints are made here, of few layers, with the sides and columns of the real ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import checkpoints
import numpy as np
import pytest
from analysing import Client, packed, small_index, task
from PIL import Image
from serving import served

from kenspeckle.config import AnalyzeSettings, ModelSettings, Settings

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
shipped = pytest.importorskip("skimage.data")

CLIP, DINO, DESCRIBE = "embed_clip_vit_b_32", "embed_dino_v2", "describe_image"


@dataclass
class Made:
    client: Client
    networks: dict[str, tuple[Any, Any]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("models")
    networks = {
        CLIP: checkpoints.clip(folder / "clip", columns=512, side=224),
        DINO: checkpoints.dinov2(folder / "dino", columns=768, side=518),
        DESCRIBE: checkpoints.blip(folder / "blip"),
    }
    settings = Settings(
        models=ModelSettings(name="dummy", home=str(folder / "home"), offline=True),
        analyze=AnalyzeSettings(
            clip=str(folder / "clip"), dino=str(folder / "dino"), caption=str(folder / "blip")
        ),
    )
    with served(settings, [small_index(folder)]) as (base, _), Client(base) as client:
        yield Made(client, networks)


def portrait() -> Image.Image:
    image: Image.Image = Image.fromarray(shipped.astronaut())
    return image.resize((800, 600))


def own(made: Made, kind: str, image: Image.Image) -> Any:
    network, processor = made.networks[kind]
    pixels = torch.from_numpy(
        np.asarray(processor(images=image, return_tensors="np")["pixel_values"])
    )
    with torch.inference_mode():
        if kind == CLIP:
            answer = network.get_image_features(pixel_values=pixels)
            return getattr(answer, "pooler_output", answer)[0].numpy()
        return network(pixel_values=pixels).last_hidden_state[0, 0].numpy()


@pytest.mark.parametrize(
    ("kind", "columns"),
    [(CLIP, 512), (DINO, 768)],
    ids=["item_5", "item_6"],
)
def test_items_5_and_6_vectors_are_raw_and_transformers_own(
    made: Made, kind: str, columns: int
) -> None:
    found = made.client.one(packed(portrait()), kind)
    assert found["status"] == "success", found
    assert found["cropped_image_bbox"] is None
    assert found["cropped_image_base64"] is None
    row, expected = np.array(found["data"]), own(made, kind, portrait())
    assert row.shape == (columns,)
    assert np.isfinite(row).all()
    length, usual = np.linalg.norm(row), np.linalg.norm(expected)
    assert abs(length - 1) > 0.1
    assert abs(length / usual - 1) < 1e-3
    assert row @ expected / (length * usual) > 0.99999


def test_item_6_a_face_has_the_vector_of_its_crop(made: Made) -> None:
    found = made.client.one(
        packed(portrait()), DINO, target="prominent_face", face_context="whole_image"
    )
    assert found["status"] == "success", found
    face = portrait().crop(tuple(found["cropped_image_bbox"]))
    whole = made.client.one(packed(face), DINO)
    assert np.allclose(found["data"], whole["data"], rtol=1e-4, atol=1e-4)


def test_item_12_captions_of_a_local_model(made: Made) -> None:
    data = packed(portrait())
    found = made.client.results(
        data,
        task("usual", DESCRIBE),
        task("fifty", DESCRIBE, max_length=50),
        task("five", DESCRIBE, max_length=5),
    )
    said = {name: one["data"] for name, one in found.items()}
    assert all(one["status"] == "success" for one in found.values())
    assert said["usual"]
    assert said["usual"] == said["fifty"]
    assert len(said["five"]) <= len(said["fifty"])
    assert made.client.one(data, DESCRIBE)["data"] == said["usual"]
