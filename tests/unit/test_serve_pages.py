"""The page of an API: everything in it, nothing that runs."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from fastapi import FastAPI

from kenspeckle.serve.metrics import BOUNDS, Metrics
from kenspeckle.serve.pages import page

EMPTY = {"br", "hr", "img", "link", "meta"}


class Reader(HTMLParser):
    """Checks that tags are closed in order, and keeps what a browser would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in EMPTY:
            self.open.append(tag)
        names = dict(attrs)
        self.loads += [str(names[name]) for name in ("src", "href") if name in names]
        assert tag not in ("script", "iframe", "object")
        assert not any(name.startswith("on") for name in names)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(document: dict[str, Any]) -> Reader:
    reader = Reader()
    reader.feed(page(document, "/v1/openapi.json"))
    reader.close()
    assert not reader.open
    return reader


def small(text: str) -> dict[str, Any]:
    return {
        "info": {"title": text, "version": "1", "description": text},
        "servers": [{"url": "/v1"}],
        "paths": {
            "/things/{key}": {
                "get": {
                    "operationId": "thing",
                    "summary": text,
                    "parameters": [
                        {
                            "name": "key",
                            "in": "path",
                            "required": True,
                            "schema": {"type": "string"},
                        },
                        {
                            "name": "top",
                            "in": "query",
                            "schema": {"anyOf": [{"type": "integer"}, {}]},
                        },
                    ],
                    "responses": {
                        "200": {
                            "description": text,
                            "content": {
                                "application/json": {
                                    "schema": {"$ref": "#/components/schemas/Thing"},
                                    "example": {"label": text},
                                }
                            },
                        }
                    },
                }
            }
        },
        "components": {"schemas": {"Thing": {"type": "object", "description": text}}},
    }


@pytest.mark.parametrize("text", ["A thing", "<script>alert(1)</script>", '" onload="x', "&lt;"])
def test_every_part_is_told_and_nothing_of_it_runs(text: str) -> None:
    reader = read(small(text))
    said = "".join(reader.text)
    for part in ("/v1/things/{key}", "key", "(needed)", "top", "200", "application/json", "Thing"):
        assert part in said
    assert said.count(text) >= 4
    assert set(reader.loads) == {"/v1/openapi.json", "#shape-Thing"}


def test_words_between_backticks_are_code_and_nothing_of_them_runs() -> None:
    document = small("`-` or `<b onclick=x>`, and a ` alone")
    read(document)
    shown = page(document, "/v1/openapi.json")
    assert shown.count("<code>-</code> or <code>&lt;b onclick=x&gt;</code>, and a ` alone") == 4
    assert "<b onclick" not in shown
    assert "code,a{overflow-wrap:anywhere}" in shown, "a long path must not widen the page"


def test_the_document_of_the_framework_can_be_shown() -> None:
    app = FastAPI()

    @app.post("/echo")
    def echo(words: list[str], times: int = 1) -> dict[str, list[str]]:
        """Say it again."""
        return {"said": words * times}

    said = "".join(read(app.openapi()).text)
    assert "Say it again." in said
    assert "list of string" in said
    assert "ValidationError" in said


def asked(contents: dict[str, Any], **more: Any) -> str:
    document = small("Ask")
    document["paths"]["/things/{key}"]["get"] |= {"requestBody": {"content": contents}, **more}
    document["components"]["schemas"]["Form"] = {
        "required": ["image"],
        "properties": {
            "image": {"type": "array", "minItems": 1, "items": {"format": "binary"}},
            "tasks": {
                "type": "string",
                "maxLength": 9,
                "description": "As `JSON`.",
                "example": "<>",
            },
        },
    }
    read(document)
    return page(document, "/v1/openapi.json")


@pytest.mark.parametrize("named", [True, False])
def test_a_form_is_told_with_its_parts(named: bool) -> None:
    parts = {"required": ["image"], "properties": {"image": {"type": "string", "format": "binary"}}}
    schema = {"$ref": "#/components/schemas/Form"} if named else parts
    body = asked({"multipart/form-data": {"schema": schema}}).partition("<h2>Shapes</h2>")[0]
    kind = "list of file" if named else "file"
    assert f"<tr><td><code>image</code> (needed)</td><td>{kind}</td>" in body
    if named:
        assert "<tr><td><code>tasks</code></td><td>string</td><td>As <code>JSON</code>." in body
        assert "At most 9 characters; such as <code>&lt;&gt;</code>." in body


def test_a_parameter_is_told_with_its_default_and_its_range() -> None:
    schema = {"type": "integer", "default": 100, "minimum": 1, "maximum": 1000}
    top = {"name": "top", "in": "query", "schema": {"anyOf": [{"type": "integer", "maximum": 7}]}}
    limit = {"name": "limit", "in": "query", "description": "Most rows", "schema": schema}
    shown = asked({}, parameters=[limit, top])
    assert "Most rows. Default <code>100</code>; at least 1; at most 1000." in shown
    assert "<td> At most 7.</td>" in shown


def test_an_answer_is_told_with_its_headers() -> None:
    wait = {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}
    answer = {"429": {"description": "Too many.", "headers": {"Retry-After": wait}}}
    shown = asked({}, responses=answer)
    assert "<code>Retry-After</code></td><td>header</td><td>integer</td><td>Seconds. At l" in shown


def test_a_link_to_a_shape_leads_to_what_is_open() -> None:
    shown = asked({})
    shapes = shown.partition("<h2>Shapes</h2>")[2]
    assert "<details" not in shapes
    assert '<section id="shape-Thing">' in shapes
    assert "<td>As <code>JSON</code>. At most 9 characters" in shapes


def test_seconds_are_counted_in_their_bucket() -> None:
    metrics = Metrics()
    for seconds in (0.0, BOUNDS[0], 1e9):
        metrics.seen("GET", "/health", 200, seconds, {"decode": 0.25})
    metrics.seen("GET", "/health", 503, 0.1, {})
    requests, histogram, stages = metrics.families()
    found = {sample.labels["status"]: sample.value for sample in requests.samples}
    assert found == {"200": 3, "503": 1}
    buckets = {s.labels["le"]: s.value for s in histogram.samples if s.name.endswith("_bucket")}
    assert (buckets[str(BOUNDS[0])], buckets[str(BOUNDS[-1])], buckets["+Inf"]) == (2, 3, 4)
    assert [sample.value for sample in stages.samples if sample.name.endswith("_total")] == [0.75]
