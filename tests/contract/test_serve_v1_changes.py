"""Changes over HTTP under hard conditions: many at once, odd names, broken forms, other files."""

from __future__ import annotations

import concurrent.futures
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from drawing import draw
from serving import served

from kenspeckle import Gallery
from kenspeckle.config import ImageSettings, ModelSettings, ServeSettings, Settings
from kenspeckle.store.base import Enrolled
from kenspeckle.types import Reference

SETTINGS = Settings(
    models=ModelSettings(name="dummy"),
    image=ImageSettings(fetch_private=True),
    serve=ServeSettings(max_tasks=5),
)
THINGS = "/v1/galleries/things"
FORM = "multipart/form-data; boundary=frontier"


def png(seed: int) -> bytes:
    import io

    out = io.BytesIO()
    draw(seed).save(out, "PNG")
    return out.getvalue()


def file(seed: int, name: str = "photo.png") -> tuple[str, tuple[str, bytes]]:
    return ("image", (name, png(seed)))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("changes")
    (folder / "refs").mkdir()
    for seed in range(4):
        draw(seed).save(folder / "refs" / f"thing {seed}.png")
    with Gallery.create(folder / "things.ken", settings=SETTINGS) as gallery:
        gallery.index(folder / "refs")
        gallery.export(folder / "things.npz")
    return folder


@pytest.fixture(params=["ken", "npz"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def index(made: Path, tmp_path: Path, kind: str) -> Path:
    return Path(shutil.copy(made / f"things.{kind}", tmp_path))


@pytest.fixture
def client(index: Path) -> Iterator[httpx2.Client]:
    with (
        served(SETTINGS, [index]) as (base, _),
        httpx2.Client(base_url=base, timeout=60) as client,
    ):
        yield client


def test_what_is_acknowledged_is_in_the_file(client: httpx2.Client, index: Path) -> None:
    made = client.post(f"{THINGS}/items", data={"label": "Cup"}, files=[file(20)])
    assert made.status_code == 201, made.text
    with Gallery.open(index, settings=SETTINGS) as other:
        assert other.item("cup").references == 1
    (one,) = made.json()["references"]
    assert client.delete(f"{THINGS}/references/{one['id']}").status_code == 200
    with Gallery.open(index, settings=SETTINGS) as other:
        assert "cup" not in [item.key for item in other.items()]


def test_many_clients_change_at_once_and_nothing_is_lost(
    client: httpx2.Client, index: Path
) -> None:
    def add(number: int) -> int:
        files = [file(100 + number, f"new {number}.png")]
        answer = client.post(f"{THINGS}/items", files=files)
        asked = client.post(f"{THINGS}/identify", files=[file(number % 4)])
        assert asked.status_code == 200, asked.text
        return answer.status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(add, range(16))) == {201}
    listed = client.get(f"{THINGS}/items").json()["items"]
    assert {f"new {number}" for number in range(16)} <= {one["key"] for one in listed}
    with Gallery.open(index, settings=SETTINGS) as other:
        assert len(other.references()) == 20


@pytest.mark.slow
def test_questions_are_answered_while_what_they_find_is_erased(client: httpx2.Client) -> None:
    until = time.monotonic() + 3

    def change(number: int) -> set[int]:
        codes = set()
        while time.monotonic() < until:
            data, files = {"label": f"Item {number}"}, [file(200 + number, "a.png")]
            codes.add(client.post(f"{THINGS}/items", data=data, files=files).status_code)
            codes.add(client.delete(f"{THINGS}/items/item%20{number}").status_code)
        return codes

    def ask(number: int) -> set[int]:
        codes = set()
        while time.monotonic() < until:
            for path in ("identify?regions=windows&top=20", "search?top=50"):
                answer = client.post(f"{THINGS}/{path}", files=[file(200 + number)])
                codes.add(answer.status_code)
        return codes

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        changes = [pool.submit(change, number) for number in range(3)]
        asked = [pool.submit(ask, number) for number in range(3)]
        assert set().union(*(one.result() for one in asked)) == {200}
        assert set().union(*(one.result() for one in changes)) == {200, 201}


def test_pictures_come_by_address(client: httpx2.Client) -> None:
    first = client.get(f"{THINGS}/references").json()["items"][0]
    address = f"{str(client.base_url).rstrip('/')}{first['picture_url']}"
    answer = client.post(f"{THINGS}/identify", json={"url": address}).json()
    assert answer["decision"]["candidates"][0]["key"] == first["key"]
    assert answer["stages"]["download"] > 0
    batch = {"pictures": [{"url": address, "name": "mine"}, {"url": address + "0"}]}
    told = client.post(f"{THINGS}/identify/batch", json=batch).json()["answers"]
    assert told[0]["name"] == "mine"
    assert told[1]["problem"]["status"] == 400
    secret = address + "?token=1"
    other = client.post(f"{THINGS}/items", json={"url": secret, "label": "By address"})
    assert other.status_code == 409, "that file is a reference of another item"
    same = client.post(f"{THINGS}/items", json={"url": secret, "key": first["key"]}).json()
    assert same["references"] == [first]
    address = f"{str(client.base_url).rstrip('/')}{first['thumbnail_url']}"
    secret = address + "?token=1"
    made = client.post(f"{THINGS}/items", json={"url": secret, "key": first["key"]})
    assert made.status_code == 201, made.text
    assert made.json()["references"][0]["path"] == address
    assert "token" not in made.text


@pytest.mark.parametrize("kind", ["ken"], indirect=True)
@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"label": "x" * 1001}, 422),
        ({"label": "\0\n\t "}, 201),
        ({"key": "a/b/c"}, 201),
        ({"key": "a/b/../c"}, 422),
        ({"metadata": "[1]"}, 422),
        ({"metadata": "{"}, 422),
        ({"metadata": "[" * 20_000}, 422),
        ({"metadata": '{"a": 1}'}, 422),
        ({"metadata": json.dumps({str(n): "" for n in range(51)})}, 422),
        ({"metadata": '{"": "x"}'}, 422),
        ({"metadata": '{"a": "\\ud800"}'}, 422),
        ({"colour": "red"}, 422),
        ({"url": "https://example.com/a.jpg"}, 422),
        ({"pictures": "[]"}, 422),
        ({"image": "text"}, 422),
        ({"label": ["a", "b"]}, 422),
        ({f"f{n}": "" for n in range(40)}, 422),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_a_form_may_say(client: httpx2.Client, data: dict[str, Any], code: int) -> None:
    answer = client.post(f"{THINGS}/items", data=data, files=[file(30, "cup.png")])
    assert answer.status_code == code, answer.text
    if code == 201:
        for one in answer.json()["references"]:
            assert one["label"].isprintable()
            assert client.get(one["url"]).status_code == 200


@pytest.mark.parametrize("kind", ["ken"], indirect=True)
@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b"", {"content-type": FORM}, 422),
        (b"--frontier", {"content-type": FORM}, 422),
        (b"--frontier--\r\n", {"content-type": FORM}, 422),
        (b"junk", {"content-type": FORM}, 422),
        (b"--frontier\r\n\r\nno name\r\n--frontier--\r\n", {"content-type": FORM}, 422),
        (b"x", {"content-type": "multipart/form-data"}, 422),
        (b"x", {"content-type": "text/plain"}, 415),
        (b"x", {}, 415),
        (b"x", {"content-type": "image/png"}, 400),
        (b"", {"content-type": "image/png"}, 400),
        (b"{}", {"content-type": "application/json"}, 422),
        (b'{"pictures": []}', {"content-type": "application/json"}, 422),
        (b'{"pictures": null}', {"content-type": "application/json"}, 422),
        (b'{"url": "ftp://example.com/a"}', {"content-type": "application/json"}, 400),
        (b'{"url": ""}', {"content-type": "application/json"}, 400),
        (b'{"data": "eA=="}', {"content-type": "application/json"}, 400),
        (b"\xff\xfe", {"content-type": "application/json"}, 422),
        (b"[" * 100_000, {"content-type": "application/json"}, 422),
        (b"[" * 300_000, {"content-type": "application/json"}, 413),
        (b'{"pictures": [' + b"{}," * 1_000_000, {"content-type": "application/json"}, 413),
        (b'{"vector": [' + b"1," * 5_000_000, {}, 413),
    ],
    ids=lambda value: str(value)[:40],
)
@pytest.mark.parametrize("route", ["identify", "items"])
def test_what_is_no_picture_is_refused_in_a_sentence(
    client: httpx2.Client, route: str, body: bytes, headers: dict[str, str], code: int
) -> None:
    answer = client.post(f"{THINGS}/{route}", content=body, headers=headers)
    assert answer.status_code == code, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.json()["detail"]) > 10


@pytest.mark.parametrize("kind", ["ken"], indirect=True)
def test_an_index_with_names_that_are_no_text_is_told_all_the_same(
    client: httpx2.Client, index: Path
) -> None:
    row = np.zeros(192, np.float32)
    row[3] = 1
    odd = Reference(
        "caf\udce9", "Caf\udce9", "/home/me/caf\udce9.png", metadata={"a\udce9": "b\udce9"}
    )
    with Gallery.open(index, settings=SETTINGS, write=True) as gallery:
        gallery.store.add([Enrolled(odd, row)])
    found = client.post(f"{THINGS}/search", json={"vector": row.tolist()}).json()["candidates"][0]
    assert found["reference"] == "caf\\xe9.png"
    assert found["metadata"] == {"a\\xe9": "b\\xe9"}
    assert client.get(found["picture_url"]).status_code == 404
    assert client.get(found["thumbnail_url"]).status_code == 404
    for path in ("items", "references"):
        listed = client.get(f"{THINGS}/{path}")
        assert "caf\\\\xe9" in listed.text
        assert "/home" not in listed.text
    assert client.get(THINGS).status_code == 200


def test_a_change_of_many_is_one_commit(client: httpx2.Client, index: Path) -> None:
    files = [file(40 + n, f"same {n}.png") for n in range(4)]
    with Gallery.open(index, settings=SETTINGS) as other:
        before = other.store.standing().change
        answer = client.post(f"{THINGS}/items", data={"label": "Same"}, files=files)
        assert answer.status_code == 201
        other.store.refresh()
        assert other.item("same").references == 4
        assert other.store.standing().change == before + 1
    replaced = client.put(f"{THINGS}/items/same/references", files=[file(50), file(51)]).json()
    assert (replaced["removed"], len(replaced["references"])) == (4, 2)


@pytest.mark.parametrize("kind", ["ken"], indirect=True)
def test_a_refused_exchange_leaves_everything_as_it_was(client: httpx2.Client) -> None:
    before = client.get(f"{THINGS}/references").json()
    bad = ("image", ("bad.png", b"junk"))
    assert client.put(f"{THINGS}/references/1", files=[bad]).status_code == 400
    refused = client.put(f"{THINGS}/items/thing%201/references", files=[file(60), bad])
    assert refused.status_code == 400
    assert client.put(f"{THINGS}/references/1", files=[file(60), file(61)]).status_code == 413
    assert client.get(f"{THINGS}/references").json() == before


@pytest.mark.parametrize("kind", ["ken"], indirect=True)
def test_what_is_not_there_is_not_found(client: httpx2.Client) -> None:
    for method, path in [
        ("GET", "items/none"),
        ("DELETE", "items/none"),
        ("GET", "items/none/references"),
        ("PUT", "items/none/references"),
        ("POST", "items/none/references"),
        ("GET", "references/999"),
        ("PUT", "references/999"),
        ("DELETE", "references/999"),
        ("GET", "references/999/thumbnail"),
        ("GET", "items/%2e%2e%2f%2e%2e"),
        ("GET", "items/" + "x" * 1999),
    ]:
        given = {"files": [file(70)]} if method in ("PUT", "POST") else {}
        answer = client.request(method, f"{THINGS}/{path}", **given)
        assert answer.status_code == 404, f"{method} {path}: {answer.text}"
    for path in ("", "items/", "identify/", "none"):
        answer = client.get(f"{THINGS}/{path}")
        assert answer.status_code in (404, 405, 422), path
        assert answer.headers["content-type"] == "application/problem+json", path
    for path in ("references/0", "references/x", f"references/{2**63}", "items?limit=0"):
        assert client.get(f"{THINGS}/{path}").status_code == 422, path


def test_another_writer_is_named_without_its_folder(made: Path, tmp_path: Path) -> None:
    own = tmp_path / "locked"
    own.mkdir()
    shutil.copy(made / "things.ken", own)
    with (
        served(SETTINGS, [own / "things.ken"]) as (base, service),
        httpx2.Client(base_url=base, timeout=60) as client,
        Gallery.open(own / "things.ken", settings=SETTINGS, write=True),
    ):
        said = client.request("DELETE", f"{THINGS}/items/thing%201")
        assert said.status_code == 409
        assert "is writing to it" in said.json()["detail"]
        assert str(own) not in said.text
        assert service.gallery().item("thing 1").references == 1


def test_the_same_picture_again_stays_as_it_is(client: httpx2.Client, index: Path) -> None:
    said = {"label": "Cup", "metadata": '{"a": "1"}', "variant": "gold"}
    first = client.post(f"{THINGS}/items", data=said, files=[file(20)]).json()
    (one,) = first["references"]
    assert first["replaced"] == []
    with Gallery.open(index, settings=SETTINGS) as other:
        before = other.store.standing().change
        for more in ({}, {"metadata": '{"a": "1"}'}, {"variant": "gold"}):
            again = client.post(f"{THINGS}/items", data={"label": "Cup"} | more, files=[file(20)])
            assert again.status_code == 201
            assert again.json()["references"] == [one]
            assert (again.json()["removed"], again.json()["replaced"]) == (0, [])
        other.store.refresh()
        assert other.store.standing().change == before
    both = client.post(f"{THINGS}/items/cup/references", files=[file(21), file(20)]).json()
    assert both["references"][1] == one
    assert client.get(f"{THINGS}/items/cup").json()["references"] == 2


def test_something_new_said_of_a_picture_replaces_it_and_the_rest_is_kept(
    client: httpx2.Client,
) -> None:
    said = {"label": "Cup", "metadata": '{"a": "1", "b": "1"}', "variant": "gold"}
    (one,) = client.post(f"{THINGS}/items", data=said, files=[file(20)]).json()["references"]
    more = {"label": "Cup", "metadata": '{"b": "2", "c": "3"}'}
    changed = client.post(f"{THINGS}/items", data=more, files=[file(20)]).json()
    (new,) = changed["references"]
    assert new["metadata"] == {"a": "1", "b": "2", "c": "3"}
    assert new["variant"] == "gold"
    assert (changed["removed"], changed["replaced"]) == (1, [one["id"]])
    assert new["id"] != one["id"]
    assert client.get(one["url"]).status_code == 404
    assert client.get(new["url"]).json() == new
    other = client.put(new["url"], files=[file(22)]).json()
    assert (other["removed"], other["replaced"]) == (1, [new["id"]])
    assert other["references"][0]["metadata"] == new["metadata"]


def test_the_same_bytes_are_one_reference_of_their_item(client: httpx2.Client) -> None:
    """However they are called: as a file of the folder, by another name, twice in one request."""
    listed = client.get(f"{THINGS}/items/thing%201/references").json()["items"]
    (one,) = listed
    assert one["added"] is False
    for said in ({"key": "thing 1"}, {"label": "thing 1"}):
        files = [file(1, "p2/thing 1.png"), file(1, "other.png")]
        again = client.post(f"{THINGS}/items", data=said, files=files).json()
        assert again["references"] == [one]
        assert (again["removed"], again["replaced"]) == (0, [])
    files = [file(30, "a.png"), file(1, "b.png"), file(30, "c.png")]
    more = client.post(f"{THINGS}/items/thing%201/references", files=files).json()
    assert [row["id"] == one["id"] for row in more["references"]] == [False, True]
    assert client.get(f"{THINGS}/items/thing%201").json()["references"] == 2


def test_something_new_said_of_a_file_of_the_folder_leaves_it_in_its_place(
    client: httpx2.Client, made: Path, index: Path
) -> None:
    (one,) = client.get(f"{THINGS}/items/thing%201/references").json()["items"]
    said = {"key": "thing 1", "variant": "gold"}
    told = client.post(f"{THINGS}/items", data=said, files=[file(1, "new.png")]).json()
    (new,) = told["references"]
    assert told["replaced"] == [one["id"]]
    assert (new["path"], new["variant"], new["added"]) == (one["path"], "gold", False)
    with Gallery.open(index, settings=SETTINGS) as gallery:
        work = gallery.plan(made / "refs")
    assert (work.add, work.change, work.remove) == ([], [], [])


def test_a_file_of_the_folder_that_is_sent_too_goes_with_its_file_as_is_said(
    client: httpx2.Client, made: Path, index: Path, tmp_path: Path
) -> None:
    told = client.post(f"{THINGS}/items", data={"key": "thing 1"}, files=[file(1), file(23)])
    assert [row["added"] for row in told.json()["references"]] == [False, True]
    folder = tmp_path / "rest"
    shutil.copytree(made / "refs", folder)
    (folder / told.json()["references"][0]["path"]).unlink()
    with Gallery.open(index, settings=SETTINGS, write=True) as gallery:
        gallery.index(folder)
        assert [one.origin for one in gallery.references("thing 1")] == ["added"]
    paths = client.get("/v1/openapi.json").json()["paths"]
    description = paths["/galleries/{gallery}/items"]["post"]["description"]
    assert "goes with its file" in " ".join(description.split())
