"""`kenspeckle models …`, run as people run it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kenspeckle.cli.main import run
from kenspeckle.config import ModelSettings
from kenspeckle.engines import files, table


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return str(tmp_path / "home")


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_list(home: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "list", "--home", home]) == 0
    out = capsys.readouterr().out
    assert "`default`: the default" in out
    assert all(row.name in out for row in table.MODELS)
    assert run(["models", "list", "--home", home, "--json"]) == 0
    here = {row["name"]: row["installed"] for row in lines(capsys)}
    assert here["efflite0-288-gem-w384"]
    assert not here["clip-vit-b-32"]


def test_info_of_a_detector(home: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "info", "yunet", "--home", home, "--json"]) == 0
    (data,) = lines(capsys)
    assert (data["task"], data["licence"]) == ("boxes", "Apache-2.0")
    assert Path(data["where"]).is_file()
    assert Path(data["card"]).is_file()
    assert run(["models", "info", "facebook/detr-resnet-50", "--home", home]) == 0
    assert "kenspeckle models pull detr-resnet-50" in capsys.readouterr().out
    assert run(["models", "verify", "yunet", "--home", home]) == 0
    assert run(["models", "pull", "yunet", "--home", home]) == 0
    assert "here already" in capsys.readouterr().out


def test_info(home: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "info", "fast", "--home", home, "--json"]) == 0
    (data,) = lines(capsys)
    assert (data["width"], data["recipe"]["side"]) == (384, 224)
    assert data["general_strangers"].startswith("no")
    assert Path(data["card"]).is_file()
    assert run(["models", "info", "clip", "--home", home]) == 0
    assert "kenspeckle models pull clip-vit-l-14" in capsys.readouterr().out


def test_verify(home: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "verify", "--home", home]) == 0
    assert "efflite0-288-gem-w384: as it should be (2 checked)" in capsys.readouterr().out
    assert run(["models", "verify", "clip", "--home", home]) == 1
    assert "models pull" in capsys.readouterr().err
    assert run(["models", "verify", "mine.onnx", "--home", home]) == 1
    assert "a file of yours" in capsys.readouterr().err


def test_verify_names_a_damaged_file(
    home: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    row = table.find("fast")
    (tmp_path / row.source).write_bytes(b"damaged")
    monkeypatch.setattr(files, "WEIGHTS", tmp_path)
    assert run(["models", "verify", "fast", "--home", home, "--json"]) == 1
    (data,) = lines(capsys)
    assert not data["ok"]
    assert row.sha256 in data["wrong"][0]


def test_pull_of_what_is_here(home: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "pull", "default", "--home", home]) == 0
    assert "here already" in capsys.readouterr().out
    assert run(["models", "pull", "--home", home]) == 2
    assert run(["models", "pull", "clip", "--offline", "--home", home]) == 1
    assert "switched off" in capsys.readouterr().err
    assert run(["models", "pull", "RN50x16", "--home", home]) == 1
    assert "convolutional CLIP" in capsys.readouterr().err


def test_pack_and_pull_from_it(
    home: str, capsys: pytest.CaptureFixture[str], assets: Path, tmp_path: Path
) -> None:
    name, out = "efflite0-288-gem-w384-fp32", str(tmp_path / "bundle.zip")
    assert run(["models", "pull", name, "--home", home]) == 1
    assert "--from-pack FILE" in capsys.readouterr().err
    added = str(assets / "models" / "efflite0-288-gem-w384")
    assert run(["models", "pack", out, name, "default", "--add", added, "--home", home]) == 0
    capsys.readouterr()
    assert run(["models", "pull", "--from-pack", out, "--home", home, "--json"]) == 0
    results = {row["name"]: row["result"] for row in lines(capsys)}
    assert results == {name: "installed", "efflite0-288-gem-w384": "in this package already"}
    found = files.locate(table.find(name), ModelSettings(home=home))
    assert found.cohort is not None
    assert run(["models", "verify", name, "--home", home]) == 0
