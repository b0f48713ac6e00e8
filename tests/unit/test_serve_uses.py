"""What the models of an analysis are called, and which settings name none that could serve."""

from __future__ import annotations

from pathlib import Path

import pytest

from kenspeckle.config import AnalyzeSettings, ModelSettings, Settings, load
from kenspeckle.errors import SettingError
from kenspeckle.serve.engines import ModelEngines
from kenspeckle.serve.pool import Models
from kenspeckle.serve.uses import MAKES, absent, check_set, shown_names


def test_a_gpu_that_is_required_has_to_be_named_too(tmp_path: Path) -> None:
    names = {"HOME": str(tmp_path), "IMAGE_EMBED_REQUIRE_GPU": "1"}
    settings, _ = load(environ=names, folder=tmp_path)
    with pytest.raises(SettingError, match=r"models\.device: cpu; expected a GPU"):
        ModelEngines(settings, Models())
    settings, _ = load(environ=names | {"IMAGE_EMBED_DEVICE": "cuda"}, folder=tmp_path)
    assert (settings.models.device, settings.analyze.require_gpu) == ("cuda", True)


def folder_of_a_checkpoint(place: Path) -> str:
    place.mkdir(parents=True)
    (place / "config.json").write_text("{}")
    return str(place)


@pytest.mark.parametrize(
    ("use", "name", "said"),
    [
        ("person", "nope-model", "'nope-model': no model has this name; expected a name of"),
        ("face", "yunett", "expected yunet"),
        ("clip", "RN50x16", "'RN50x16': a convolutional CLIP, for which there is no loader"),
        ("clip", "detr", "detr is a model of boxes; expected one of features"),
        ("dino", "blip-large", "blip-large is a model of captions; expected one of features"),
        ("person", "dinov2", "dinov2 is a model of features; expected one of boxes"),
        ("caption", "yunet", "yunet is a model of boxes; expected one of captions"),
        ("caption", "words.onnx", "words is an ONNX file; expected a checkpoint"),
        ("person", "", "is a model of features; expected one of boxes"),
        ("dino", "~nobody-of-this-name/dino", "analyze.dino: '~nobody"),
    ],
)
def test_a_model_that_can_never_serve_is_refused(use: str, name: str, said: str) -> None:
    with pytest.raises(SettingError) as refused:
        check_set(AnalyzeSettings(**{use: name}))
    assert str(refused.value).startswith(f"analyze.{use}: ")
    assert said in str(refused.value)


def test_a_folder_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"analyze\.dino: .*neither config\.json nor"):
        check_set(AnalyzeSettings(dino=str(tmp_path)))


def test_what_is_only_not_here_is_a_remark(tmp_path: Path) -> None:
    asked = AnalyzeSettings(
        person=str(tmp_path / "people.onnx"),
        clip=str(tmp_path / "nowhere"),
        dino="dinov2-small",
        caption=folder_of_a_checkpoint(tmp_path / "words"),
    )
    check_set(asked)
    settings = Settings(models=ModelSettings(home=str(tmp_path / "home")), analyze=asked)
    person, clip, dino = absent(settings)
    assert person.startswith(f"analyze.person: {tmp_path / 'people.onnx'}: no such file")
    assert clip.startswith(f"analyze.clip: {tmp_path / 'nowhere'}: no such file or folder")
    assert "Run: kenspeckle models pull dinov2-small. Its tasks" in dino
    assert list(absent(Settings(models=settings.models))) == []  # of the usual ones nobody asked


@pytest.mark.parametrize("name", ["./nets/mine", "../mine", "~/nets/mine", "/nets/of/mine"])
def test_a_path_where_nothing_is_may_come_to_be(name: str, tmp_path: Path) -> None:
    asked = AnalyzeSettings(clip=name)
    check_set(asked)
    assert shown_names(asked)["clip"] == "mine"
    missing = ModelEngines(Settings(analyze=asked), Models()).missing("clip")
    assert missing.startswith("mine: no such file or folder")
    (note,) = absent(Settings(models=ModelSettings(home=str(tmp_path)), analyze=asked))
    assert note.startswith("analyze.clip: /")


def test_a_path_is_told_by_its_last_part(tmp_path: Path) -> None:
    asked = AnalyzeSettings(
        person=str(tmp_path / "people.onnx"),
        clip=folder_of_a_checkpoint(tmp_path / "mine"),
        dino=str(tmp_path / "nowhere"),
    )
    found = shown_names(asked)
    assert (found["person"], found["clip"], found["dino"]) == ("people.onnx", "mine", "nowhere")
    assert (found["face"], found["caption"]) == (asked.face, asked.caption)
    assert set(found) == set(MAKES)
    engines = ModelEngines(Settings(analyze=asked), Models())
    assert {use: engines.name(use) for use in MAKES} == found


def test_a_last_part_that_two_models_have_is_told_with_the_setting(tmp_path: Path) -> None:
    one = folder_of_a_checkpoint(tmp_path / "one" / "mine")
    other = folder_of_a_checkpoint(tmp_path / "other" / "Mine")
    found = shown_names(AnalyzeSettings(clip=one, dino=other))
    assert (found["clip"], found["dino"]) == ("mine (analyze.clip)", "Mine (analyze.dino)")
    found = shown_names(AnalyzeSettings(clip=one, dino=one))
    assert (found["clip"], found["dino"]) == ("mine", "mine")
    # `clip` is a name of the table, of another model than the one that lies here
    found = shown_names(AnalyzeSettings(clip=folder_of_a_checkpoint(tmp_path / "clip")))
    assert found["clip"] == "clip (analyze.clip)"
