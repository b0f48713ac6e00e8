"""Feedback over HTTP: confirm, reject, rename, list, undo, by the rules of the command line."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from serving import served

from kenspeckle import Gallery
from kenspeckle.config import ModelSettings, ServeSettings, Settings

SETTINGS = Settings(models=ModelSettings(name="dummy"), serve=ServeSettings(surfaces=("falcon",)))
AT = "/v1/galleries/things"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, drawn) -> bytes:
    folder = tmp_path_factory.mktemp("things")
    for number in range(6):
        drawn(number).save(folder / f"thing_{number}.png")
    with Gallery.create(folder / "things.ken", settings=SETTINGS) as gallery:
        gallery.index(folder)
    return (folder / "things.ken").read_bytes()


@pytest.fixture
def index(made: bytes, tmp_path: Path) -> Path:
    (tmp_path / "things.ken").write_bytes(made)
    return tmp_path / "things.ken"


@pytest.fixture
def client(index: Path) -> Iterator[httpx2.Client]:
    with (
        served(replace(SETTINGS, serve=replace(SETTINGS.serve)), [index]) as (base, _),
        httpx2.Client(base_url=base, timeout=90) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def refusing(made: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """One service for all that is refused."""
    place = tmp_path_factory.mktemp("refusing") / "things.ken"
    place.write_bytes(made)
    with (
        served(replace(SETTINGS, serve=replace(SETTINGS.serve)), [place]) as (base, _),
        httpx2.Client(base_url=base, timeout=90) as client,
    ):
        yield client


@pytest.fixture
def photo(drawn) -> Callable[[int], bytes]:
    def taken(number: int) -> bytes:
        file = io.BytesIO()
        drawn(number).rotate(8).save(file, "PNG")
        return file.getvalue()

    return taken


def problem(answer: httpx2.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["detail"])


def listed(client: httpx2.Client, **query: Any) -> list[dict[str, Any]]:
    answer = client.get(f"{AT}/feedback", params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def test_a_photo_is_confirmed_listed_and_taken_back(client, index, photo):
    data = photo(3)
    said = client.post(f"{AT}/confirm", params={"key": "thing 3"}, files={"image": ("p", data)})
    assert said.status_code == 201, said.text
    told = said.json()
    assert (told["number"], told["said"], told["key"]) == (1, "confirmed", "thing 3")
    assert (told["stale"], told["vectors"]) == ("feedback was given since", 1)
    assert listed(client) == [{key: value for key, value in told.items() if key != "stale"}]
    with Gallery.open(index, settings=SETTINGS) as gallery:
        assert [one.origin for one in gallery.references("thing 3")] == ["confirmed", ""]

    again = client.post(f"{AT}/confirm", params={"key": "thing 3"}, files={"image": ("p", data)})
    assert "it was confirmed as 'thing 3'" in problem(again, 409)
    other = client.post(f"{AT}/reject", params={"key": "thing 3"}, files={"image": ("p", data)})
    assert "it was confirmed as 'thing 3'" in problem(other, 409)

    back = client.delete(f"{AT}/feedback/1")
    assert (back.status_code, back.json()["number"]) == (200, 1)
    assert listed(client) == []
    with Gallery.open(index, settings=SETTINGS) as gallery:
        assert len(gallery.references("thing 3")) == 1
    assert "no such feedback" in problem(client.delete(f"{AT}/feedback/1"), 404)


def test_what_is_confirmed_is_known_to_the_next_question(client, photo, drawn):
    file = io.BytesIO()
    drawn(77).save(file, "PNG")
    stranger = file.getvalue()

    def asked() -> dict[str, Any]:
        answer = client.post(f"{AT}/identify", files={"image": ("p", stranger)})
        return dict(answer.json()["decision"])

    assert asked()["candidates"][0]["similarity"] < 0.999
    client.post(f"{AT}/confirm", params={"key": "thing 1"}, files={"image": ("p", stranger)})
    assert asked()["candidates"][0]["key"] == "thing 1"
    assert asked()["candidates"][0]["similarity"] > 0.999


def test_a_wrong_answer_is_rejected(client, photo):
    said = client.post(f"{AT}/reject", files={"image": ("p", photo(2))})
    assert (said.status_code, said.json()["said"], said.json()["key"]) == (
        *(201, "rejected"),
        "thing 2",
    )
    again = client.post(f"{AT}/reject", params={"key": "thing 2"}, files={"image": ("p", photo(2))})
    assert "it was rejected as 'thing 2'" in problem(again, 409)
    unknown = client.post(f"{AT}/reject", files={"image": ("p", photo(99))})
    assert "its answer is 'unknown'" in problem(unknown, 409)


def test_an_item_gets_another_name(client):
    answer = client.post(f"{AT}/rename", json={"item": "thing 3", "label": "Tower", "key": "tower"})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"former": "thing 3", "key": "tower", "label": "Tower", "references": 1}
    taken = client.post(f"{AT}/rename", json={"item": "thing 1", "key": "tower"})
    assert "the key of another item" in problem(taken, 409)
    one = client.post(f"{AT}/rename", json={"item": "thing 1", "key": "tower", "merge": True})
    assert (one.status_code, one.json()["references"]) == (200, 2)


def test_a_list_comes_in_pages_and_by_kind(client, photo):
    for number in range(5):
        way = "confirm" if number % 2 else "reject"
        said = client.post(
            f"{AT}/{way}", params={"key": f"thing {number}"}, files={"image": ("p", photo(number))}
        )
        assert said.status_code == 201, said.text
    first = client.get(f"{AT}/feedback", params={"limit": 2}).json()
    second = client.get(f"{AT}/feedback", params={"limit": 2, "cursor": first["next"]}).json()
    client.delete(f"{AT}/feedback/{second['items'][-1]['number']}")
    third = client.get(f"{AT}/feedback", params={"limit": 2, "cursor": second["next"]}).json()
    numbers = [one["number"] for page in (first, second, third) for one in page["items"]]
    assert numbers == [1, 2, 3, 4, 5]
    assert third["next"] is None
    assert [one["number"] for one in listed(client, said="confirmed")] == [2]
    assert problem(client.get(f"{AT}/feedback", params={"cursor": "forged"}), 400)


def test_who_says_the_same_at_once_is_heard_once(client, photo, index):
    data, codes = photo(4), []

    def say() -> None:
        answer = client.post(
            f"{AT}/confirm", params={"key": "thing 4"}, files={"image": ("p", data)}
        )
        codes.append(answer.status_code)

    threads = [threading.Thread(target=say) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [201] + [409] * 7
    assert len(listed(client)) == 1
    with Gallery.open(index, settings=SETTINGS) as gallery:
        assert len(gallery.references("thing 4")) == 2


@pytest.mark.slow
def test_while_another_writes_it_is_said_who(client, index, photo):
    with Gallery.open(index, settings=SETTINGS, write=True):
        answer = client.post(f"{AT}/rename", json={"item": "thing 3", "label": "Tower"})
        assert "writing" in problem(answer, 409)
        began = time.monotonic()
        said = client.post(
            f"{AT}/confirm", params={"key": "thing 1"}, files={"image": ("p", photo(1))}
        )
        assert "writing" in problem(said, 409)
        assert time.monotonic() - began < 9, "the model has others to answer"
        still = client.post(f"{AT}/identify", files={"image": ("p", photo(1))})
        assert still.status_code == 200
    answer = client.post(f"{AT}/rename", json={"item": "thing 3", "label": "Tower"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("confirm", {}, 422),
        ("confirm", {"key": ""}, 422),
        ("confirm", {"key": "x" * 1001}, 422),
        ("confirm", {"key": "thinh 3"}, 404),
        ("confirm", {"key": "thing\x003"}, 404),
        ("reject", {"key": "nothing of the kind"}, 404),
    ],
)
def test_what_is_no_item_is_refused(refusing, photo, path, query, status):
    answer = refusing.post(f"{AT}/{path}", params=query, files={"image": ("p", photo(1))})
    problem(answer, status)
    assert listed(refusing) == []


@pytest.mark.parametrize("way", ["confirm", "reject"])
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"files": {"image": ("p", b"junk")}}, 400),
        ({"files": {"image": ("p", b"")}}, 400),
        ({"files": {"other": ("p", b"junk")}}, 422),
        ({"data": {"image": "text"}}, 415),
        ({"json": {"url": "http://127.0.0.1:1/a.png"}}, 400),
        ({"json": {"url": "file:///etc/passwd"}}, 400),
        ({"json": {}}, 422),
        ({}, 415),
    ],
)
def test_what_is_no_picture_is_refused(refusing, way, sent, status):
    problem(refusing.post(f"{AT}/{way}", params={"key": "thing 1"}, **sent), status)
    assert listed(refusing) == []


@pytest.mark.parametrize(
    "wish",
    [
        *({}, {"item": "thing 1", "label": 3}, {"item": "thing 1", "other": "x"}, []),
        *({"item": "x" * 1001, "label": "a"}, {"item": "thing 1", "label": "a", "merge": "yes"}),
    ],
)
def test_what_is_no_rename_is_refused(refusing, wish):
    problem(refusing.post(f"{AT}/rename", json=wish), 422)


@pytest.mark.parametrize("number", ["0", "-1", "x", "1" * 40])
def test_what_is_no_number_is_refused(refusing, number):
    problem(refusing.delete(f"{AT}/feedback/{number}"), 422)


def test_what_is_refused_names_requests_and_no_commands(client, photo, index):
    said = client.post(f"{AT}/confirm", params={"key": "thing 3"}, files={"image": ("p", photo(3))})
    assert said.status_code == 201, said.text
    again = client.post(f"{AT}/reject", params={"key": "thing 3"}, files={"image": ("p", photo(3))})
    known = client.get(f"{AT}/references").json()["items"][0]
    picture = client.get(known["picture_url"]).content
    own = client.post(f"{AT}/confirm", params={"key": "thing 1"}, files={"image": ("p", picture)})
    unknown = client.post(f"{AT}/reject", files={"image": ("p", photo(99))})
    nobody = client.post(f"{AT}/confirm", params={"key": "zzz"}, files={"image": ("p", photo(4))})
    texts = [
        problem(again, 409),
        problem(own, 409),
        problem(unknown, 409),
        problem(nobody, 404),
        problem(client.delete(f"{AT}/feedback/99"), 404),
    ]
    wanted = ("DELETE feedback/1", "DELETE references/", "?key=KEY", "GET items", "GET feedback")
    for text, request in zip(texts, wanted, strict=True):
        assert request in text
        assert "kenspeckle " not in text
