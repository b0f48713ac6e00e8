"""A photo without a query passes the framework by; it is answered as any other."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from drawing import draw
from serving import served

from kenspeckle import Gallery
from kenspeckle.config import ModelSettings, ServeSettings, Settings
from kenspeckle.serve.keys import create
from kenspeckle.serve.service import Service

SETTINGS = Settings(models=ModelSettings(name="dummy"), serve=ServeSettings(surfaces=("falcon",)))
OWN = ("request_id", "elapsed_seconds", "stages")
"""What is another one in every answer."""


def png(seed: int) -> bytes:
    out = io.BytesIO()
    draw(seed).rotate(2).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx2.Client, Service]]:
    folder = tmp_path_factory.mktemp("direct")
    (folder / "refs").mkdir()
    for seed in range(4):
        draw(seed).save(folder / "refs" / f"thing {seed}.png")
    with Gallery.create(folder / "my things.ken", settings=SETTINGS) as gallery:
        gallery.index(folder / "refs")
    with (
        served(SETTINGS, [folder / "my things.ken"]) as (base, service),
        httpx2.Client(base_url=base, timeout=60) as made,
    ):
        yield made, service


def both(client: httpx2.Client, gallery: str = "-", **given: Any) -> list[tuple[int, Any, Any]]:
    """What is answered directly, and through the framework: a query that says what is so anyway."""
    found = []
    for query in ("", "?stream="):
        answer = client.post(f"/v1/galleries/{gallery}/identify{query}", **given)
        told = answer.json()
        kept = {name: value for name, value in told.items() if name not in OWN}
        headers = {n: v for n, v in answer.headers.items() if n not in ("date", "x-request-id")}
        headers.pop("content-length")
        found.append((answer.status_code, kept, headers))
    return found


@pytest.mark.parametrize("gallery", ["-", "my%20things"])
@pytest.mark.parametrize(
    "given",
    [
        {"files": {"image": ("a.png", png(2))}},
        {"content": png(3), "headers": {"content-type": "image/png"}},
        {"content": b"junk", "headers": {"content-type": "image/png"}},
        {"content": b"", "headers": {"content-type": "image/png"}},
        {"content": b"junk", "headers": {"content-type": "text/plain"}},
        {"json": {"url": "file:///etc/passwd"}},
        {"json": {"pictures": 3}},
        {"files": {"photo": ("a.png", png(2))}},
        {},
    ],
)
def test_both_ways_answer_alike(server, gallery: str, given: dict[str, Any]) -> None:
    direct, usual = both(server[0], gallery, **given)
    assert direct == usual


def test_a_gallery_that_is_not_there_is_told_alike(server) -> None:
    given = {"files": {"image": ("a.png", png(2))}}
    for gallery in ("other", "x" * 255, "%00", "a%2Fb"):
        direct, usual = both(server[0], gallery, **given)
        assert direct == usual
        assert direct[0] in (400, 404)


def test_a_key_that_may_not_read_is_refused_alike(server) -> None:
    client, service = server
    secret = create(service.access.path, "writer", ["write"])
    given = {"files": {"image": ("a.png", png(2))}}
    direct, usual = both(client, headers={"authorization": f"Bearer {secret}"}, **given)
    assert direct == usual
    assert direct[0] == 403
    assert [status for status, *_ in both(client, **given)] == [401, 401]


def test_both_count_as_one_route(server) -> None:
    client, service = server
    both(client, files={"image": ("a.png", png(2))})
    routes = {route for _, route, _ in service.metrics.requests}
    assert routes == {"/v1/galleries/{gallery}/identify"}
