"""Names of models: rows, aliases, paths, hub names, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from kenspeckle.engines import table
from kenspeckle.engines.table import find
from kenspeckle.errors import ModelError, ModelMissing


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("", "efflite0-288-gem-w384"),
        ("default", "efflite0-288-gem-w384"),
        ("fast", "efflite0-gem-w384"),
        ("ViT-B/32", "clip-vit-b-32"),
        ("openai/clip-vit-base-patch32", "clip-vit-b-32"),
        ("clip-vit-b-32", "clip-vit-b-32"),
        ("ViT-L/14", "clip-vit-l-14"),
        ("openai/clip-vit-large-patch14", "clip-vit-l-14"),
        ("clip", "clip-vit-l-14"),
        ("openai/clip-vit-large-patch14-336", "clip-vit-l-14-336"),
        ("facebook/dinov2-small", "dinov2-small"),
        ("facebook/dinov2-base", "dinov2-base"),
        ("facebook/dinov2-large", "dinov2-large"),
        ("dinov2", "dinov2-base"),
        ("siglip", "siglip-base"),
        ("google/siglip-base-patch16-224", "siglip-base"),
        (" Dummy ", "dummy"),
    ],
)
def test_names_that_people_write(written: str, meant: str) -> None:
    assert find(written).name == meant


def test_rows_are_sound() -> None:
    names = [row.name for row in table.MODELS]
    assert len(set(names)) == len(names)
    assert set(table.ALIASES.values()) <= set(names)
    assert not set(table.ALIASES) & set(names)
    for row in table.MODELS:
        known = row.origin in ("embedded", "pack")
        assert bool(row.sha256) == bool(row.bytes) == known
        assert len(row.sha256) in (0, 64)
        assert (row.recipe is None) == (row.origin == "hub" or row.task != "features")
        assert bool(row.cohort) == bool(row.cohort_sha256)


def test_any_hub_name_is_a_checkpoint() -> None:
    row = find("some-org/Some_Model.v2")
    assert (row.kind, row.origin, row.source) == ("torch", "hub", "some-org/Some_Model.v2")


@pytest.mark.parametrize("name", ["RN50x16", "rn50x16"])
def test_convolutional_clip_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(ModelError, match="convolutional CLIP"):
        find(name)


@pytest.mark.parametrize("name", ["defualt", "clip-vit-b32", "nothing like it", "a/b/c"])
def test_unknown_names_are_errors(name: str) -> None:
    with pytest.raises(ModelError, match="no model has this name"):
        find(name)


@pytest.mark.parametrize("name", ["../x", "./x/y", "/x/y", "~/x"])
def test_a_path_where_nothing_is_is_missing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ModelMissing, match=r"^/.*: no such file or folder"):
        find(name)


def test_near_names_are_offered() -> None:
    with pytest.raises(ModelError, match="clip-vit-b-32"):
        find("clip-vit-b32")


def test_paths(tmp_path: Path) -> None:
    row = find(str(tmp_path / "mine.onnx"))
    assert (row.kind, row.origin, row.name) == ("onnx", "local", "mine")
    with pytest.raises(ModelError, match=r"neither config\.json nor an \.onnx file"):
        find(str(tmp_path))
    (tmp_path / "net.onnx").touch()
    assert find(str(tmp_path)).source == str(tmp_path / "net.onnx")
    (tmp_path / "other.onnx").touch()
    with pytest.raises(ModelError, match=r"2 \.onnx files"):
        find(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    assert find(str(tmp_path)).kind == "torch"


def test_a_model_named_from_here_is_found_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a gallery writes down of a model must hold in any folder."""
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "my.onnx").touch()
    (shop / "clip").mkdir()
    (shop / "clip" / "config.json").write_text("{}")
    monkeypatch.chdir(shop)
    rows = [find("my.onnx"), find("./my.onnx"), find("./clip"), find(".")]
    assert [row.name for row in rows] == ["my", "my", "clip", "shop"]
    monkeypatch.chdir(tmp_path)
    assert [find(row.source).source for row in rows] == [row.source for row in rows]
    assert [find(row.source).name for row in rows[:3]] == ["my", "my", "clip"]
    (shop / "clip" / "config.json").unlink()
    (shop / "clip").rmdir()
    with pytest.raises(ModelMissing, match="no such file or folder"):
        find(rows[2].source)
