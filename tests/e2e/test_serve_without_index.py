"""A service of the surface `analyze` alone, which needs no index, in a folder that has none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from analysing import packed, scene
from serving import Process, command, free_port

from kenspeckle.config import Settings
from kenspeckle.serve.keys import create, place

FACE = {"operation_id": "a", "type": "detect_bounding_box", "params": {"target": "prominent_face"}}
PICTURE = packed(scene())


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("nothing")
    with command(["--surface", "analyze"], folder) as (base, started):
        assert ": no gallery; no key is asked" in started.line
        yield base
    assert "Traceback" not in started.log.read_text()


def test_it_is_ready_and_says_what_it_has(base: str) -> None:
    assert httpx.get(f"{base}/readyz").text == "ready\n"
    told = httpx.get(f"{base}/health").json()
    assert (told["phase"], told["galleries"], told["surfaces"]) == ("ready", {}, ["analyze"])
    assert httpx.get(f"{base}/metrics").status_code == 200
    known = httpx.get(f"{base}/available_operations/").json()["operations"]
    assert "detect_bounding_box" in known


def test_pictures_are_analysed(base: str) -> None:
    with httpx.Client(base_url=base, timeout=90) as client:
        form: dict[str, Any] = {"data": {"tasks_json": json.dumps([FACE])}}
        answer = client.post("/analyze_image_upload/", files={"image_file": PICTURE}, **form)
        assert answer.json()["results"]["a"]["status"] == "success"
        sent = {"image_url": "http://127.0.0.1:1/a.png", "tasks": [FACE]}
        answer = client.post("/analyze_image/", json=sent)
        assert answer.json()["results"]["a"]["status"] == "error"
        wish = {"id": "a", "type": "detect_bounding_box", "target": "prominent_face"}
        form = {"data": {"tasks": json.dumps([wish])}}
        answer = client.post("/v1/analyze", files={"image": PICTURE}, **form)
        assert answer.json()["pictures"][0]["results"][0]["status"] == "success"
        health = client.get("/health").json()
    assert (health["model_loaded"], health["device"]) == (True, "cpu")


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/galleries/-"),
        ("GET", "/galleries/gallery/items"),
        ("GET", "/galleries/-/events"),
        ("GET", "/galleries/-/references/1/picture"),
        ("POST", "/galleries/-/identify"),
        ("POST", "/galleries/-/identify?top=2"),
        ("POST", "/galleries/-/identify/batch"),
        ("POST", "/galleries/-/search"),
        ("POST", "/galleries/-/vectors"),
        ("POST", "/galleries/-/items"),
        ("POST", "/galleries/-/confirm?key=a"),
    ],
)
def test_what_names_a_gallery_is_told_that_there_is_none(base: str, verb: str, path: str) -> None:
    files = {"image": PICTURE} if verb == "POST" else None
    answer = httpx.request(verb, f"{base}/v1{path}", files=files, timeout=90)
    assert answer.status_code == 404, answer.text
    assert "none is served" in answer.json()["detail"]
    assert "kenspeckle serve INDEX" in answer.json()["detail"]


def test_what_names_none_lists_nothing(base: str) -> None:
    for path in ("galleries", "jobs"):
        answer = httpx.get(f"{base}/v1/{path}")
        assert (answer.status_code, answer.json()["items"]) == (200, [])


def test_a_key_made_in_the_folder_is_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with command(["--surface", "analyze"], tmp_path) as (base, _):
        assert httpx.get(f"{base}/available_operations/").status_code == 200
        made = create(place(Settings()), "camera")
        assert httpx.get(f"{base}/available_operations/").status_code == 401
        known = {"Authorization": f"Bearer {made}"}
        assert httpx.get(f"{base}/available_operations/", headers=known).status_code == 200
    words = ["--surface", "analyze", "--host", "0.0.0.0"]
    with command(words, tmp_path) as (_, started):
        assert "no gallery; a key is asked" in started.line


@pytest.mark.parametrize(
    ("words", "env", "said"),
    [
        (["none.ken", "--surface", "analyze"], {}, r"none\.ken: no such file"),
        (["--index", "none.ken", "--surface", "analyze"], {}, r"none\.ken: no such file"),
        (
            ["--surface", "analyze"],
            {"CARD_INDEX": "none.npz"},
            r"none\.npz, from environment \(CARD_INDEX\): no such file",
        ),
        (["--surface", "analyze", "--surface", "falcon"], {}, "no such file.*--surface analyze"),
        ([], {}, r"gallery\.ken or card_index\.npz: no such file.*--surface analyze"),
        (
            ["--surface", "analyze", "--host", "0.0.0.0"],
            {},
            "no key was made.*`kenspeckle keys create NAME`",
        ),
    ],
)
def test_what_is_refused_in_one_sentence(
    tmp_path: Path, words: list[str], env: dict[str, str], said: str
) -> None:
    started = Process([*words, "--port", free_port()], tmp_path, **env)
    with pytest.raises(AssertionError, match=said):
        started.ready()
    assert started.stop() == 1
    assert len(started.log.read_text().splitlines()) == 1
