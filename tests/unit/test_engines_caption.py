"""Captions by checkpoints of a few layers, made here, against transformers' own words."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import pytest
from PIL import Image

from kenspeckle.config import AnalyzeSettings, ModelSettings, Settings
from kenspeckle.engines import files, table
from kenspeckle.engines.caption_chat import ASKED
from kenspeckle.errors import InputError, ModelError, ModelMissing
from kenspeckle.flows.describe import open_captioner
from kenspeckle.vectors.admit import drawn_pictures

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

Made = tuple[Path, Any, Any]
MAKERS = {
    "blip": checkpoints.blip,
    "git": checkpoints.git,
    "encoder and decoder": checkpoints.encoder_decoder,
}


@pytest.fixture(scope="module", params=MAKERS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("captioner")
    return (folder, *MAKERS[request.param](folder))


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blip")
    checkpoints.blip(folder)
    return folder


def settings(folder: Path | str, **more: Any) -> Settings:
    return Settings(analyze=AnalyzeSettings(caption=str(folder), **more))


def own(made: Made, image: Image.Image, length: int) -> str:
    folder, network, processor = made
    pixels = np.asarray(processor(images=image, return_tensors="np")["pixel_values"])
    rows = network.generate(
        pixel_values=torch.from_numpy(pixels),
        num_beams=4,
        early_stopping=True,
        do_sample=False,
        max_length=length,
    )
    words = transformers.AutoTokenizer.from_pretrained(folder)
    return str(words.decode(rows[0], skip_special_tokens=True))


@pytest.mark.parametrize("length", [2, 5, 12, 40])
def test_captions_are_transformers_own(made: Made, length: int) -> None:
    captioner = open_captioner(settings(made[0]))
    pictures = [image.crop((0, 0, 60, 40)) for image in drawn_pictures(3, side=60)]
    told = [captioner.caption(image, length) for image in pictures]
    assert told == [own(made, image, length) for image in pictures]
    if length == 40:
        assert any(told)
        assert len(set(told)) > 1, "the pictures do not matter"


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("llava")
    return (folder, *checkpoints.llava(folder))


@pytest.mark.parametrize("length", [1, 6, 25])
def test_what_converses_is_asked_in_its_own_form(chat: Made, length: int) -> None:
    folder, network, processor = chat
    captioner = open_captioner(settings(folder))
    pictures = drawn_pictures(3, side=60)
    told = [captioner.caption(image, length) for image in pictures]
    for image, text in zip(pictures, told, strict=True):
        given = processor(text=f"<image> {ASKED} the", images=image, return_tensors="pt")
        rows = network.generate(**given, do_sample=False, max_new_tokens=length)
        answer = rows[0][given["input_ids"].shape[1] :]
        assert text == " ".join(processor.decode(answer, skip_special_tokens=True).split())
    if length == 25:
        assert any(told)
        assert len(set(told)) > 1, "the pictures do not matter"


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{% for",
        "no picture at all",
    ],
)
def test_templates_of_conversations_do_no_harm(chat: Made, tmp_path: Path, template: str) -> None:
    copy(chat[0], tmp_path, leave="chat_template.jinja")
    (tmp_path / "chat_template.jinja").write_text(template)
    with pytest.raises(ModelError, match="the network failed"):
        open_captioner(settings(tmp_path)).caption(Image.new("RGB", (40, 40)), 5)


def test_a_shorter_length_gives_no_longer_text(blip: Path) -> None:
    captioner = open_captioner(settings(blip))
    image = drawn_pictures(1, side=60)[0]
    counts = [len(captioner.caption(image, length).split()) for length in (1, 2, 5, 50)]
    assert counts[0] == 0
    assert counts == sorted(counts)
    assert counts[2] <= 5


def test_more_than_the_network_can_write(blip: Path) -> None:
    """64 places; a longer text would reach beyond them."""
    captioner = open_captioner(settings(blip))
    for image in drawn_pictures(2, side=60):
        assert captioner.caption(image, 1024) == captioner.caption(image, 64)


@pytest.mark.parametrize("length", [0, -1, 31])
def test_lengths_that_are_none(blip: Path, length: int) -> None:
    with pytest.raises(InputError, match="expected 1 to 30"):
        open_captioner(settings(blip, max_caption=30)).caption(Image.new("RGB", (9, 9)), length)


def test_many_callers_read_the_same_while_the_memory_is_given_back(blip: Path) -> None:
    captioner = open_captioner(settings(blip))
    pictures = drawn_pictures(3, side=60)
    first = [captioner.caption(image, 20) for image in pictures]

    def ask(n: int) -> str:
        if n == 5:
            captioner.close()
        return captioner.caption(pictures[n % 3], 20)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(12))) == [first[n % 3] for n in range(12)]
    captioner.close()
    assert not captioner.loaded


def test_a_device_that_is_not_there_leaves_the_work_to_the_cpu(blip: Path) -> None:
    chosen = replace(settings(blip), models=ModelSettings(device="nonsense"))
    captioner = open_captioner(chosen)
    image = drawn_pictures(1, side=60)[0]
    assert captioner.caption(image, 9) == open_captioner(settings(blip)).caption(image, 9)
    assert "the CPU is used" in captioner.note


def test_what_is_not_here_says_how_to_get_it(tmp_path: Path) -> None:
    chosen = replace(Settings(), models=ModelSettings(home=str(tmp_path)))
    with pytest.raises(ModelMissing, match="kenspeckle models pull blip-large"):
        open_captioner(chosen)


@pytest.mark.parametrize("name", ["default", "yunet", "dinov2"])
def test_what_writes_no_captions(name: str) -> None:
    with pytest.raises(ModelError, match="expected one that writes captions"):
        open_captioner(settings(name))


def test_a_checkpoint_of_another_kind(tmp_path: Path) -> None:
    checkpoints.dinov2(tmp_path)
    with pytest.raises(ModelError, match="a dinov2 network; expected blip, git"):
        open_captioner(settings(tmp_path)).caption(Image.new("RGB", (40, 40)))


def copy(folder: Path, into: Path, *, leave: str = "") -> Path:
    for path in folder.iterdir():
        if path.name != leave:
            (into / path.name).symlink_to(path)
    return into


def test_a_damaged_checkpoint(blip: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    arrays = load_file(blip / "model.safetensors")
    arrays.pop("vision_model.embeddings.class_embedding")
    copy(blip, tmp_path, leave="model.safetensors")
    save_file(arrays, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="1 weights are missing"):
        open_captioner(settings(tmp_path)).caption(Image.new("RGB", (40, 40)))


@pytest.mark.parametrize("form", ["safetensors", "torch"])
def test_the_forms_in_which_such_checkpoints_are_published(
    blip: Path, tmp_path: Path, form: str
) -> None:
    """Older ones repeat weights that are tied, and hold counters that are no weights any more."""
    from safetensors.numpy import load_file, save_file

    arrays = load_file(blip / "model.safetensors")
    head = "text_decoder.cls.predictions"
    words = "text_decoder.bert.embeddings.word_embeddings.weight"
    arrays[f"{head}.decoder.bias"] = arrays[f"{head}.bias"].copy()
    arrays[f"{head}.decoder.weight"] = arrays[words].copy()
    arrays["text_decoder.bert.embeddings.position_ids"] = np.arange(64)[None]
    copy(blip, tmp_path, leave="model.safetensors")
    if form == "torch":
        tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
        torch.save(tensors, tmp_path / "pytorch_model.bin")
    else:
        save_file(arrays, tmp_path / "model.safetensors", {"format": "pt"})
    image = drawn_pictures(1, side=60)[0]
    told = open_captioner(settings(tmp_path)).caption(image, 20)
    assert told == open_captioner(settings(blip)).caption(image, 20)


def test_a_checkpoint_without_words(blip: Path, tmp_path: Path) -> None:
    copy(blip, tmp_path, leave="tokenizer.json")
    with pytest.raises(ModelError, match="transformers cannot load it"):
        open_captioner(settings(tmp_path)).caption(Image.new("RGB", (40, 40)))


def test_no_code_of_a_checkpoint_runs(blip: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    config = json.loads((blip / "config.json").read_text())
    config |= {"model_type": "made-up", "auto_map": {"AutoConfig": "code.C"}}
    copy(blip, tmp_path, leave="config.json")
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "code.py").write_text(f"open({str(canary)!r}, 'w')\n")
    with pytest.raises(ModelError, match="transformers cannot load it"):
        open_captioner(settings(tmp_path)).caption(Image.new("RGB", (40, 40)))
    assert not canary.exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["blip-base", "blip-large"])
def test_real_weights(name: str) -> None:
    """Where KENSPECKLE_TEST_MODELS names a folder of pulled models."""
    home = os.environ.get("KENSPECKLE_TEST_MODELS", "")
    chosen = replace(settings(name), models=ModelSettings(home=home, offline=True))
    if not home or not files.installed(table.find(name), chosen.models):
        pytest.skip(f"KENSPECKLE_TEST_MODELS names no folder that holds {name}")
    photo = Image.fromarray(pytest.importorskip("skimage.data").coffee())
    captioner = open_captioner(chosen)
    told = captioner.caption(photo)
    assert {"cup", "coffee"} & set(told.split())
    assert len(captioner.caption(photo, 5)) <= len(told)
