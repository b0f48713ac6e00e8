"""What the surfaces of former systems say of themselves, for programs and for people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from drawing import draw
from serving import served

from kenspeckle import Gallery
from kenspeckle.config import IndexSettings, ModelSettings, ServeSettings, Settings

SURFACES = ("falcon", "analyze")
TEN = {
    *("phase", "model_loaded", "device", "index_size", "has_projection", "has_yolo"),
    *("sim_threshold", "margin_threshold", "requests_served", "last_query"),
}


def asked(*surfaces: str) -> Settings:
    return Settings(
        models=ModelSettings(name="dummy"),
        index=IndexSettings(calibrate=False),
        serve=ServeSettings(surfaces=surfaces),
    )


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("described")
    (folder / "refs").mkdir()
    draw(1).save(folder / "refs" / "thing.png")
    with Gallery.create(folder / "things.ken", settings=asked()) as gallery:
        gallery.index(folder / "refs")
    return folder / "things.ken"


@pytest.fixture(scope="module")
def base(index: Path) -> Iterator[str]:
    with served(asked(*SURFACES), [index]) as (base, _):
        yield base


def described(base: str, surface: str) -> Any:
    return httpx2.get(f"{base}/openapi/{surface}.json").json()


@pytest.mark.parametrize("surface", SURFACES)
def test_routes_are_named_and_summed_up_in_words(base: str, surface: str) -> None:
    names = []
    for path, methods in described(base, surface)["paths"].items():
        for one in methods.values():
            names.append(one["operationId"])
            assert re.fullmatch(r"[a-z_]+", one["operationId"]), path
            assert " " in one["summary"], path
            assert one["description"].rstrip(".") != one["summary"], path
    assert len(set(names)) == len(names) > 2


@pytest.mark.parametrize("surface", SURFACES)
def test_shapes_have_names_of_their_own_and_all_are_there(base: str, surface: str) -> None:
    document = described(base, surface)
    shapes = set(document["components"]["schemas"])
    named = set(re.findall(r"#/components/schemas/([\w.-]+)", json.dumps(document)))
    assert named <= shapes
    assert not [name for name in shapes if name.startswith("Body_")]


def test_a_frame_is_told_with_its_two_parts(base: str) -> None:
    document = described(base, "falcon")
    body = document["paths"]["/api/falcon"]["post"]["requestBody"]
    shape = body["content"]["multipart/form-data"]["schema"]
    assert shape == {"$ref": "#/components/schemas/FrameAsked"}
    parts = document["components"]["schemas"]["FrameAsked"]
    assert set(parts["properties"]) == set(parts["required"]) == {"image", "query"}


def test_the_state_of_the_service_is_told_with_the_ten_fields(base: str) -> None:
    document = described(base, "falcon")
    answer = document["paths"]["/health"]["get"]["responses"]["200"]
    shape = answer["content"]["application/json"]["schema"]
    assert shape == {"$ref": "#/components/schemas/Health"}
    health = document["components"]["schemas"]["Health"]
    told = httpx2.get(f"{base}/health").json()
    assert set(health["properties"]) >= TEN
    assert set(health["properties"]) <= set(told)
    assert described(base, "falcon") == document, "asked again it is the same"


def test_each_surface_has_a_page_of_its_own_that_names_the_others(base: str) -> None:
    pages = {
        "/docs": ("/api/falcon", ["/docs/analyze", "/v1/docs"]),
        "/docs/falcon": ("/api/falcon", ["/docs/analyze", "/v1/docs"]),
        "/docs/analyze": ("/analyze_image/", ["/docs/falcon", "/v1/docs"]),
        "/v1/docs": ("/v1/galleries", ["/docs/falcon", "/docs/analyze"]),
    }
    for address, (route, others) in pages.items():
        page = httpx2.get(f"{base}{address}")
        assert page.status_code == 200, address
        assert page.headers["content-type"].startswith("text/html")
        assert f"<code>{route}" in page.text, address
        beside = page.text.partition("On this port as well: ")[2].partition("</p>")[0]
        assert re.findall(r'href="([^"]+)"', beside) == others, address


def test_the_page_of_a_surface_below_a_prefix_is_there(index: Path) -> None:
    with served(asked("falcon", "analyze=/vision"), [index]) as (base, _):
        page = httpx2.get(f"{base}/docs").text
        assert 'href="/vision/docs"' in page
        assert "/analyze_image/" in httpx2.get(f"{base}/vision/docs").text
        assert httpx2.get(f"{base}/docs/analyze").status_code == 404
