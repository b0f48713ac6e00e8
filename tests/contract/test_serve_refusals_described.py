"""What a service refuses with is what its documents say: status, media type, shape, headers, and
an example in the words that are really said. Every other example is of its shape, too."""

from __future__ import annotations

import http.client
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
from kenspeckle.config import IndexSettings, ModelSettings, ServeSettings, Settings
from kenspeckle.serve import keys
from kenspeckle.serve.routes.v1.examples import EXAMPLES

jsonschema = pytest.importorskip("jsonschema")

SURFACES = ("v1", "falcon", "analyze")
HEADS = {401: "www-authenticate", 429: "retry-after"}
SETTINGS = Settings(
    models=ModelSettings(name="dummy"),
    index=IndexSettings(calibrate=False),
    serve=ServeSettings(surfaces=("falcon", "analyze")),
)
ASKED: dict[int, dict[str, Any]] = {
    401: {},
    403: {"headers": {"Origin": "https://example.com"}},
    414: {"params": {"size": "9" * 9000}},
    421: {"headers": {"Host": "elsewhere.example"}},
    429: {},
    431: {"headers": {"X-Large": "x" * 40_000}},
}
"""What makes the service refuse any request with a status."""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("refused") / "things.ken"
    Gallery.create(path, settings=SETTINGS).close()
    return path


@pytest.fixture(scope="module")
def bases(index: Path) -> Iterator[dict[int, str]]:
    """A service for each status: an open one, one with keys, one whose rate is used up."""
    file = index.parent / "keys"
    keys.create(file, "reader", ["read"])
    keyed = replace(SETTINGS, serve=replace(SETTINGS.serve, keys=str(file)))
    slow = replace(SETTINGS, serve=replace(SETTINGS.serve, rate=0.001))
    with (
        served(SETTINGS, [index]) as (free, _),
        served(keyed, [index]) as (locked, _),
        served(slow, [index]) as (used, _),
    ):
        httpx2.get(f"{used}/api/info")
        yield dict.fromkeys(ASKED, free) | {401: locked, 429: used}


def described(base: str, surface: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx2.get(f"{base}/openapi/{surface}.json").json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    server = next((one["url"] for one in document.get("servers", ())), "")
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            yield method.upper(), server + re.sub(r"\{\w+\}", "1", path), one


def fits(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> None:
    jsonschema.validate(value, {**schema, "components": document["components"]})


def plain(text: str) -> str:
    return re.sub(r"[\d.]*\d", "N", text)


@pytest.mark.parametrize("status", ASKED)
@pytest.mark.parametrize("surface", SURFACES)
def test_a_refusal_comes_as_it_is_described(
    bases: dict[int, str], surface: str, status: int
) -> None:
    document = described(bases[status], surface)
    seen = 0
    for method, path, one in operations(document):
        if one.get("security") == [] and status in (401, 403, 429):
            assert str(status) not in one["responses"], path
            continue
        where = f"{method} {path}"
        told = httpx2.request(method, bases[status] + path, timeout=90, **ASKED[status])
        assert told.status_code == status, where
        answer = one["responses"][str(status)]
        content = answer["content"][told.headers["content-type"]]
        fits(told.json(), content["schema"], document)
        assert plain(content["example"]["detail"]) == plain(told.json()["detail"]), where
        assert content["example"].get("type", "") in ("", told.json().get("type")), where
        headers = {name.lower(): value for name, value in answer.get("headers", {}).items()}
        assert set(headers) == ({HEADS[status]} if status in HEADS else set()), where
        for name, header in headers.items():
            jsonschema.validate(typed(told.headers[name]), header["schema"])
        seen += 1
    assert seen >= 3


def typed(text: str) -> Any:
    return int(text) if text.isdigit() else text


@pytest.mark.parametrize("surface", SURFACES)
def test_a_request_with_two_hosts_is_refused_as_it_is_described(
    bases: dict[int, str], surface: str
) -> None:
    document = described(bases[401], surface)
    for method, path, one in operations(document):
        line = http.client.HTTPConnection(bases[401].removeprefix("http://"), timeout=90)
        line.putrequest(method, path, skip_host=True)
        line.putheader("Host", "localhost")
        line.putheader("Host", "localhost")
        line.endheaders()
        told = line.getresponse()
        assert told.status == 400, path
        content = one["responses"]["400"]["content"][told.headers["content-type"]]
        fits(json.loads(told.read()), content["schema"], document)
        line.close()


@pytest.mark.parametrize("surface", SURFACES)
def test_too_many_headers_are_refused_as_is_described(bases: dict[int, str], surface: str) -> None:
    document = described(bases[401], surface)
    headers = {f"X-{number}": "x" for number in range(120)}
    for method, path, one in operations(document):
        told = httpx2.request(method, bases[401] + path, timeout=90, headers=headers)
        assert told.status_code == 431, path
        content = one["responses"]["431"]["content"][told.headers["content-type"]]
        fits(told.json(), content["schema"], document)


@pytest.mark.parametrize("surface", SURFACES)
def test_every_refusal_has_an_example_of_its_own(bases: dict[int, str], surface: str) -> None:
    document = described(bases[401], surface)
    for method, path, one in operations(document):
        said = []
        for status, answer in one["responses"].items():
            if status < "400" or status in ("404", "422"):
                continue
            assert ("Retry-After" in answer.get("headers", {})) == (status in ("429", "503")), path
            for content in answer["content"].values():
                assert answer["description"].endswith(".") or surface == "falcon", path
                said.append(content["example"]["detail"])
                assert content["example"].get("status", int(status)) == int(status)
                fits(content["example"], content["schema"], document)
        assert len(set(said)) == len(said) > 5, f"{method} {path}"
    assert described(bases[401], surface) == document, "asked again it is the same"


@pytest.mark.parametrize("surface", SURFACES)
def test_every_example_fits_its_shape(bases: dict[int, str], surface: str) -> None:
    document = described(bases[401], surface)
    for shape in document["components"]["schemas"].values():
        if "example" in shape:
            fits(shape["example"], shape, document)
        for part in shape.get("properties", {}).values():
            for value in part.get("examples", ()):
                fits(value, part, document)
    for method, path, one in operations(document):
        bodies = one.get("requestBody", {}).get("content", {}).values()
        answers = [it for answer in one["responses"].values() for it in contents(answer)]
        for content in (*bodies, *answers):
            examples = [it["value"] for it in content.get("examples", {}).values()]
            for value in (*examples, *([content["example"]] if "example" in content else [])):
                try:
                    fits(value, content["schema"], document)
                except jsonschema.ValidationError as error:
                    pytest.fail(f"{method} {path}: {error.message} at {error.json_path}")


def contents(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return list(answer.get("content", {}).values())


def test_every_answer_in_json_of_ours_has_an_example(bases: dict[int, str]) -> None:
    document, seen = described(bases[401], "v1"), set()
    shapes = document["components"]["schemas"]
    for method, path, one in operations(document):
        for status, answer in one["responses"].items():
            content = answer.get("content", {}).get("application/json")
            if status < "300" and content:
                seen.add(one["operationId"])
                shape = shapes[content["schema"]["$ref"].rpartition("/")[2]]
                assert set(content["example"]) == set(shape["properties"]), f"{method} {path}"
    assert seen == set(EXAMPLES)
