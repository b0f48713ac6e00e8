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
