"""What the query says is taken, or refused by name; nothing is passed over in silence."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import httpx2
import pytest
from drawing import draw
from serving import served

from kenspeckle import Gallery
from kenspeckle.config import ModelSettings, Settings

SETTINGS = Settings(models=ModelSettings(name="dummy"))
THINGS = "/v1/galleries/things"
RAW = {"content-type": "image/png"}


def png(seed: int) -> bytes:
    out = io.BytesIO()
    draw(seed).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    folder = tmp_path_factory.mktemp("query")
    (folder / "refs").mkdir()
    for seed in range(3):
        draw(seed).save(folder / "refs" / f"thing {seed}.png")
    with Gallery.create(folder / "things.ken", settings=SETTINGS) as gallery:
        gallery.index(folder / "refs")
    with (
        served(SETTINGS, [folder / "things.ken"]) as (base, _),
        httpx2.Client(base_url=base, timeout=60) as made,
    ):
        yield made


def told(answer: httpx2.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return json.dumps(answer.json())


def test_a_picture_alone_says_in_the_query_what_it_shows(client: httpx2.Client) -> None:
    about = {"label": "Teapot", "key": "tea/pot", "variant": "blue"}
    made = client.post(f"{THINGS}/items", params=about, content=png(10), headers=RAW)
    assert made.status_code == 201, made.text
    (one,) = made.json()["references"]
    assert {name: one[name] for name in about} == about
    also = client.post(
        f"{THINGS}/items/tea/pot/references",
        params={"variant": "red"},
        content=png(11),
        headers=RAW,
    )
    assert also.status_code == 201, also.text
    assert also.json()["references"][0]["variant"] == "red"
    files = {"image": ("other.png", png(12))}
    beside = client.post(f"{THINGS}/items", params={"label": "Cup"}, data={"key": "c"}, files=files)
    assert beside.status_code == 201, beside.text
    (one,) = beside.json()["references"]
    assert (one["label"], one["key"]) == ("Cup", "c")


def test_what_is_said_in_both_places_is_refused(client: httpx2.Client) -> None:
    files = {"image": ("a.png", png(13))}
    both = client.post(f"{THINGS}/items?label=Jug", data={"label": "Cup"}, files=files)
    assert "say it once" in told(both, 422)


@pytest.mark.parametrize(
    ("method", "path", "unknown", "known"),
    [
        ("POST", "/search?limit=3", "limit", "top"),
        ("POST", "/identify?key=a&top=2", "key", "top, regions, second_look"),
        ("POST", "/items?name=Teapot", "name", "label, key, variant"),
        ("POST", "/reject?variant=a", "variant", "key"),
        ("GET", "/items?top=3", "top", "limit, cursor"),
        ("GET", "/items/thing%200?limit=3", "limit", "none is expected here"),
        ("DELETE", "/items/thing%200?dry=1", "dry", "none is expected here"),
    ],
)
def test_a_parameter_that_nobody_reads_is_refused_by_name(
    client: httpx2.Client, method: str, path: str, unknown: str, known: str
) -> None:
    files = {"image": ("a.png", png(1))} if method == "POST" else None
    answer = client.request(method, THINGS + path, files=files)
    assert known in told(answer, 422)
    assert ["query", unknown] in [one["loc"] for one in answer.json()["errors"]]
    assert client.get(f"{THINGS}/items/thing%200").status_code == 200


def test_the_query_is_described(client: httpx2.Client) -> None:
    paths = client.get("/v1/openapi.json").json()["paths"]
    names = [one["name"] for one in paths["/galleries/{gallery}/items"]["post"]["parameters"]]
    assert names == ["gallery", "label", "key", "variant"]


@pytest.mark.parametrize("about", [{"key": "mug/references"}, {"label": "Mug/References"}])
def test_a_key_like_an_address_is_refused(client: httpx2.Client, about: dict[str, str]) -> None:
    files = {"image": ("a.png", png(14))}
    refused = client.post(f"{THINGS}/items", data=about, files=files)
    assert "ends in /references" in told(refused, 422)
    renamed = client.post(
        f"{THINGS}/rename", json={"item": "thing 1", "label": "A", "key": "a/references"}
    )
    assert "ends in /references" in told(renamed, 422)


def test_one_file_under_two_names_is_no_two_items(client: httpx2.Client) -> None:
    for name, status in (("banana.png", 201), ("apple.png", 409), ("apple.png", 409)):
        answer = client.post(f"{THINGS}/items", files={"image": (name, png(20))})
        assert answer.status_code == status, answer.text
    assert "reference of 'banana' already" in answer.json()["detail"]
    named = {"image": ("apple.png", png(20))}
    again = client.post(f"{THINGS}/items", data={"key": "banana"}, files=named)
    assert again.status_code == 201, again.text
