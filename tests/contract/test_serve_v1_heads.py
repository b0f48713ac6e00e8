"""HEAD where there is GET: the same head without a body, and nothing that goes on."""

from __future__ import annotations

import http.client
import io
from collections.abc import Iterator

import httpx2
import pytest
from drawing import draw
from serving import served

from kenspeckle import Gallery
from kenspeckle.config import ModelSettings, Settings
from kenspeckle.serve.service import Service

SETTINGS = Settings(models=ModelSettings(name="dummy"))
THINGS = "/v1/galleries/things"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx2.Client, Service]]:
    folder, picture = tmp_path_factory.mktemp("heads"), io.BytesIO()
    draw(1).save(picture, "PNG")
    with Gallery.create(folder / "things.ken", settings=SETTINGS) as gallery:
        gallery.add(picture.getvalue(), key="a/b", label="Thing")
    with (
        served(SETTINGS, [folder / "things.ken"]) as (base, service),
        httpx2.Client(base_url=base, timeout=60) as client,
    ):
        yield client, service


@pytest.fixture
def client(running: tuple[httpx2.Client, Service]) -> httpx2.Client:
    return running[0]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/galleries", 200),
        (THINGS, 200),
        (f"{THINGS}/items", 200),
        (f"{THINGS}/items/a/b", 200),
        (f"{THINGS}/items/none", 404),
        (f"{THINGS}/items?limit=0", 422),
        (f"{THINGS}/references/1", 200),
        (f"{THINGS}/references/1/picture", 200),
        ("/v1/jobs", 200),
    ],
)
def test_the_head_is_that_of_the_get(client: httpx2.Client, path: str, status: int) -> None:
    whole, head = client.get(path), client.head(path)
    assert (whole.status_code, head.status_code) == (status, status)
    assert (len(whole.content) > 0, head.content) == (True, b"")
    for name in ("content-type", "content-length", "cache-control", "x-content-type-options"):
        assert head.headers.get(name) == whole.headers.get(name)


def test_the_line_is_left_for_the_next_request(client: httpx2.Client) -> None:
    line = http.client.HTTPConnection(client.base_url.host, client.base_url.port, timeout=60)
    for method in ("HEAD", "GET", "HEAD", "GET"):
        line.request(method, THINGS)
        answer = line.getresponse()
        assert (answer.status, bool(answer.read())) == (200, method == "GET")
    line.close()


def test_the_head_of_events_ends_and_holds_no_listener(
    running: tuple[httpx2.Client, Service],
) -> None:
    client, service = running
    for path in ("/v1/events", f"{THINGS}/events"):
        head = client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"].startswith("text/event-stream")
    assert client.get(THINGS).status_code == 200
    assert not service.bus.listeners


def test_what_has_no_get_has_no_head(client: httpx2.Client) -> None:
    refused = client.head(f"{THINGS}/identify")
    assert refused.status_code == 405
    assert refused.headers["allow"] == "POST"
    assert client.post(f"{THINGS}/references/1/picture").headers["allow"] == "GET, HEAD"
    assert client.post(f"{THINGS}/items/a/b").headers["allow"] == "DELETE, GET, HEAD"


def test_the_log_and_the_figures_tell_of_a_head_by_its_route(client: httpx2.Client) -> None:
    client.head(f"{THINGS}/items")
    told = client.get("/metrics").text
    assert any(
        'method="HEAD"' in line and "/v1/galleries/{gallery}/items" in line
        for line in told.splitlines()
    )


def test_the_document_tells_of_each_route_once(client: httpx2.Client) -> None:
    paths = client.get("/v1/openapi.json").json()["paths"]
    assert not [path for path, methods in paths.items() if "head" in methods]
