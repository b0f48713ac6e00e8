"""The native API describes itself: every route, every way in, every error; and asks for the keys
that it says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from serving import served

from kenspeckle import Gallery
from kenspeckle.config import ModelSettings, Settings
from kenspeckle.serve import keys
from kenspeckle.serve.schemas import asked

SETTINGS = replace(Settings(), models=ModelSettings(name="dummy"))
ROOT = Path(__file__).parent.parent.parent
SUBJECTS = {"galleries", "identify", "search", "references", "items"}
ASKING = re.compile(r".*/(identify|search|vectors)(/batch)?")
"""Routes that take pictures and change nothing."""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("described") / "things.ken"
    Gallery.create(path, settings=SETTINGS).close()
    return path


@pytest.fixture(scope="module")
def base(index: Path) -> Iterator[str]:
    with served(SETTINGS, [index]) as (base, _):
        yield base


@pytest.fixture(scope="module")
def document(base: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx2.get(f"{base}/v1/openapi.json").json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            if SUBJECTS & set(one["tags"]):
                yield method.upper(), path, one


def test_every_operation_has_a_name_a_summary_and_its_errors(document: dict[str, Any]) -> None:
    seen = set()
    for method, path, one in operations(document):
        where = f"{method} {path}"
        assert re.fullmatch(r"[a-z_]+", one["operationId"]), where
        assert one["summary"], where
        assert one["description"], where
        assert {"401", "403", "404", "422", "429", "503"} <= set(one["responses"]), where
        assert any(status < "300" for status in one["responses"]), where
        for status, answer in one["responses"].items():
            if status >= "400":
                (kind,) = answer["content"]
                assert kind == "application/problem+json", where
        assert "Retry-After" in one["responses"]["503"]["headers"], where
        seen.add(one["operationId"])
    assert len(seen) == sum(1 for _ in operations(document)) == 20


def test_answers_stand_in_order_and_each_refusal_is_a_problem(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            where = f"{method} {path}"
            assert list(one["responses"]) == sorted(one["responses"]), where
            assert {"414", "421", "431"} <= set(one["responses"]), where
            for status, answer in one["responses"].items():
                assert answer["description"] != "Successful Response", where
                if status >= "400":
                    shape = answer["content"]["application/problem+json"]["schema"]
                    assert shape == {"$ref": "#/components/schemas/Problem"}, f"{where} {status}"


def test_every_shape_that_is_named_is_described(document: dict[str, Any]) -> None:
    named = set(re.findall(r"#/components/schemas/([\w.-]+)", json.dumps(document)))
    assert named <= set(document["components"]["schemas"])


def test_every_body_is_told_in_each_of_its_forms_with_an_example(document: dict[str, Any]) -> None:
    bodies = 0
    for method, path, one in operations(document):
        if "requestBody" not in one:
            continue
        bodies += 1
        content = one["requestBody"]["content"]
        assert set(content) == {"multipart/form-data", "application/json", "image/*"}, path
        form = content["multipart/form-data"]["schema"]
        image = form["properties"]["image"]
        assert image.get("items", image)["format"] == "binary"
        assert form["required"] == ["image"]
        told = content["application/json"]
        shape = getattr(asked, told["schema"]["$ref"].rpartition("/")[2])
        assert shape.model_validate(told["example"]), f"{method} {path}"
    assert bodies == 9


def test_fields_of_answers_carry_examples(document: dict[str, Any]) -> None:
    shapes = document["components"]["schemas"]
    for name in ("Identified", "Candidate", "Item", "Reference", "Gallery", "Found", "Problem"):
        properties = shapes[name]["properties"]
        assert any("examples" in one for one in properties.values()), name


def test_the_page_on_the_api_names_every_route_with_its_scope(document: dict[str, Any]) -> None:
    page = (ROOT / "docs/reference/http.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(\w+ ?[^`]*)` \| .* \| (\w+) \|$", page, re.MULTILINE))
    for method, path, _ in operations(document):
        short = path.removeprefix("/galleries/{gallery}")
        route = f"{method} {short if short != path else '/v1' + path}".strip()
        assert told.pop(route) == scope_of(method, path), route
    assert not told


def scope_of(method: str, path: str) -> str:
    return "read" if method == "GET" or ASKING.fullmatch(path) else "write"


def test_each_route_asks_for_the_scope_that_it_needs(index: Path, tmp_path: Path) -> None:
    own = tmp_path / "keyed.ken"
    own.write_bytes(index.read_bytes())
    file = tmp_path / "keys"
    shown = {scope: keys.create(file, scope, [scope]) for scope in ("read", "write", "admin")}
    settings = replace(SETTINGS, serve=replace(SETTINGS.serve, keys=str(file)))
    with (
        served(settings, [own]) as (base, _),
        httpx2.Client(base_url=base, timeout=90) as client,
    ):
        document = client.get(
            "/v1/openapi.json", headers={"Authorization": f"Bearer {shown['read']}"}
        ).json()
        for method, path, _ in operations(document):
            address = "/v1" + re.sub(r"\{\w+\}", "1", path).replace("galleries/1", "galleries/-")
            needed = scope_of(method, path)
            for scope, key in [("", ""), *shown.items()]:
                headers = {"Authorization": f"Bearer {key}"} if key else {}
                status = client.request(method, address, headers=headers).status_code
                where = f"{method} {address} with {scope or 'no key'}"
                if not scope:
                    assert status == 401, where
                elif scope == needed:
                    assert status not in (401, 403), where
                else:
                    assert status == 403, where
