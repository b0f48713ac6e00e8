"""A form is read alike wherever below `/v1` it is taken, and what is wrong with it is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from analysing import FixedEngines, packed, scene, small_index
from serving import served

from kenspeckle.config import ModelSettings, ServeSettings, Settings

MOST = 12
PICTURE = packed(scene())
FACE = {"id": "face", "type": "detect_bounding_box", "target": "prominent_face"}
TASKS = ("tasks", (None, json.dumps([FACE])))
ANALYZE, BATCH, ITEMS = "/analyze", "/galleries/gallery/identify/batch", "/galleries/gallery/items"
NEEDED: dict[str, list[Any]] = {ANALYZE: [TASKS], BATCH: [], ITEMS: []}
"""What a form has to say beside its pictures."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder: Path = tmp_path_factory.mktemp("forms")
    settings = Settings(
        models=ModelSettings(name="dummy", home=str(folder), offline=True),
        serve=ServeSettings(max_tasks=MOST),
    )
    with (
        served(settings, [small_index(folder)], analysis=FixedEngines()) as (base, _),
        httpx.Client(base_url=f"{base}/v1", timeout=60) as asking,
    ):
        yield asking


def refused(answer: httpx.Response, status: int = 422) -> str:
    """The sentence of a problem."""
    assert answer.status_code == status, answer.text
    found = answer.json()
    if status == 422:
        assert found["type"] == "urn:kenspeckle:invalid-request"
    return str(found["detail"])


def pictures(count: int) -> list[Any]:
    return [("image", (f"{number}.png", PICTURE)) for number in range(count)]


def sent(
    client: httpx.Client, path: str, files: list[Any], before: bytes, left: int = 0
) -> httpx.Response:
    """The answer to a form, with something before it, less its last bytes."""
    request = client.build_request("POST", path, files=[*NEEDED[path], *files])
    whole = before + request.read()
    kind = {"content-type": request.headers["content-type"]}
    return client.post(path, content=whole[: len(whole) - left], headers=kind)


@pytest.mark.parametrize("path", NEEDED)
@pytest.mark.parametrize("left", [3, 10, 1000])
@pytest.mark.parametrize("before", [b"", b"\r\n"], ids=["plain", "odd"])
def test_a_form_that_was_cut_off_is_said_to_be_one(
    client: httpx.Client, path: str, left: int, before: bytes
) -> None:
    answer = sent(client, path, pictures(2), before, left)
    assert "it ends in the middle of a part" in refused(answer)


@pytest.mark.parametrize(
    ("path", "twice"),
    [(ANALYZE, TASKS), (ANALYZE, ("crops", (None, "true"))), (ITEMS, ("label", (None, "a")))],
)
def test_what_is_said_twice_is_refused(client: httpx.Client, path: str, twice: Any) -> None:
    files = [*NEEDED[path], twice, twice, *pictures(1)]
    name = twice[0]
    assert refused(client.post(path, files=files)) == f"body.{name}: said twice; say it once"


@pytest.mark.parametrize("path", NEEDED)
@pytest.mark.parametrize("body", [b"", b"x", b"--x\r\n"])
def test_a_form_without_a_boundary_is_refused(client: httpx.Client, path: str, body: bytes) -> None:
    answer = client.post(path, content=body, headers={"content-type": "multipart/form-data"})
    assert "a form that cannot be read (Missing boundary" in refused(answer)


@pytest.mark.parametrize("path", NEEDED)
@pytest.mark.parametrize("count", [MOST + 1, MOST + 2, MOST + 6])
def test_more_pictures_than_are_taken_are_counted(
    client: httpx.Client, path: str, count: int
) -> None:
    said = f"request: {count} pictures; expected at most {MOST} here"
    for before in (b"", b"\r\n"):
        answer = sent(client, path, pictures(count), before)
        assert refused(answer, 413) == said
    single = {"data": "eA=="}
    asked: dict[str, Any] = {"pictures": [single] * count}
    answer = client.post(path, json=asked | ({"tasks": [FACE]} if NEEDED[path] else {}))
    assert refused(answer, 413) == said


@pytest.mark.parametrize("path", NEEDED)
def test_very_many_pictures_are_told_as_too_many(client: httpx.Client, path: str) -> None:
    files = [*NEEDED[path], *[("image", ("a.png", b"x"))] * 100]
    said = refused(client.post(path, files=files), 413)
    assert said.endswith(f"pictures; expected at most {MOST} here")
    asked: dict[str, Any] = {"pictures": [{"url": "x"}] * 10_001}
    answer = client.post(path, json=asked | ({"tasks": [FACE]} if NEEDED[path] else {}))
    assert refused(answer, 413).startswith("request: more than 10000 pictures")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (pictures(1), "body.tasks: Field required"),
        ([TASKS], "body.image: no picture; send at least one"),
        (
            [TASKS, *pictures(1), ("task", (None, "x"))],
            "body.task: no such field; expected tasks, crops",
        ),
        ([TASKS, ("image", (None, "x"))], "body.image: a text; expected a file in 'image'"),
        ([TASKS, ("url", (None, "http://h/"))], "body.url: a text; expected a file in 'image'"),
        (
            [TASKS, *pictures(1), ("picture", ("a.png", b"x"))],
            "body.picture: a file where 'image' is expected",
        ),
        (
            [*pictures(1), ("tasks", ("tasks.json", b"[]"))],
            "body.tasks: a file where 'image' is expected",
        ),
        (
            [TASKS, *pictures(1), ("crops", (None, "perhaps"))],
            "body.crops: Input should be 'true' or 'false'",
        ),
        ([*pictures(1), ("tasks", (None, "[{"))], "body.tasks: Invalid JSON: "),
        ([*pictures(1), ("tasks", (None, '[{"id": "a"}]'))], "body.tasks.0.type: Field required"),
        ([*pictures(1), ("tasks", (None, b"\xff"))], "body.tasks: not utf-8; expected text in"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_the_part_that_is_wrong_is_named(client: httpx.Client, files: Any, said: str) -> None:
    assert refused(client.post(ANALYZE, files=files)).startswith(said)


def test_a_list_of_tasks_may_be_as_long_as_in_json(client: httpx.Client) -> None:
    text = json.dumps([FACE]) + " " * 1_000_000
    answer = client.post(ANALYZE, files=[("tasks", (None, text)), *pictures(1)])
    assert answer.status_code == 200, answer.text
