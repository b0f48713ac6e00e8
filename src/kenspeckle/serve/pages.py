"""The page that describes an API to people: made of its OpenAPI document, without a script and
without anything from another server, so that it works offline and under a strict content policy."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from types import MappingProxyType
from typing import Any

_CODE = re.compile(r"`([^`]+)`")
_NONE: Mapping[str, str] = MappingProxyType({})
METHODS = ("get", "post", "put", "patch", "delete", "head", "options")

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;
color:#1a1a1a;background:#fff}
code,pre{font:14px/1.45 ui-monospace,monospace}
code,a{overflow-wrap:anywhere}td code{overflow-wrap:normal}
pre{background:#f4f4f2;padding:.75rem;overflow:auto;border-radius:4px}
details{border:1px solid #ddd;border-radius:4px;margin:.5rem 0;padding:.5rem .75rem}
summary{cursor:pointer}
summary b{display:inline-block;min-width:4.5rem;text-transform:uppercase}
table{border-collapse:collapse;width:100%;margin:.5rem 0}
td,th{border-bottom:1px solid #e4e4e4;padding:.3rem .5rem;text-align:left;vertical-align:top}
@media (prefers-color-scheme:dark){body{color:#e8e8e8;background:#161616}pre{background:#222}
details,td,th{border-color:#3a3a3a}a{color:#8ab4f8}}
"""


def page(document: Mapping[str, Any], address: str, others: Mapping[str, str] = _NONE) -> str:
    """The page for an OpenAPI document, which lies itself at `address`.

    `others` are the pages beside it: what each is of, and where it is.
    """
    info = document["info"]
    parts = [
        f"<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>",
        _text(info.get("summary", "")),
        _text(info.get("description", "")),
        f'<p><a href="{escape(address)}">The document for programs (OpenAPI)</a></p>',
        _beside(others),
        "<h2>Requests</h2>",
        *_operations(document),
        "<h2>Shapes</h2>",
        *_shapes(document),
    ]
    title = escape(info["title"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _beside(others: Mapping[str, str]) -> str:
    links = ", ".join(
        f'<a href="{escape(address)}">{escape(name)}</a>' for name, address in others.items()
    )
    return f"<p>On this port as well: {links}</p>" if links else ""


def _operations(document: Mapping[str, Any]) -> Iterator[str]:
    """A part that opens for each method of each path."""
    server = next((one["url"] for one in document.get("servers", ())), "").rstrip("/")
    for path, methods in document["paths"].items():
        for method in METHODS:
            if method not in methods:
                continue
            operation = methods[method]
            name = escape(operation.get("operationId", f"{method}-{path}"))
            yield f'<details id="{name}"><summary><b>{method}</b> '
            yield f"<code>{escape(server + path)}</code> {_marked(operation.get('summary', ''))}"
            yield f"</summary>{_text(operation.get('description', ''))}"
            yield _parameters(operation.get("parameters", ()))
            yield _contents("Body", operation.get("requestBody", {}).get("content", {}))
            for status, answer in operation.get("responses", {}).items():
                about = _marked(answer.get("description", ""))
                yield f"<p><b>{escape(status)}</b> {about}</p>"
                yield _contents("", answer.get("content", {}))
            yield "</details>"


def _parameters(parameters: Any) -> str:
    if not parameters:
        return ""
    rows = []
    for one in parameters:
        need = " (needed)" if one.get("required") else ""
        rows.append(
            f"<tr><td><code>{escape(one['name'])}</code>{need}</td><td>{escape(one['in'])}</td>"
            f"<td>{_kind(one.get('schema', {}))}</td>"
            f"<td>{_marked(one.get('description', ''))}</td></tr>"
        )
    return f"<table>{''.join(rows)}</table>"


def _contents(title: str, contents: Mapping[str, Any]) -> str:
    """What may be sent or comes back, by type, with the examples there are."""
    parts = []
    for kind, content in contents.items():
        shape = _kind(content.get("schema", {}))
        examples = [content["example"]] if "example" in content else []
        examples += [one.get("value") for one in content.get("examples", {}).values()]
        parts += [f"<p>{title} <code>{escape(kind)}</code> {shape}</p>", *map(_json, examples)]
    return "".join(parts)


def _shapes(document: Mapping[str, Any]) -> Iterator[str]:
    for name, shape in sorted(document.get("components", {}).get("schemas", {}).items()):
        yield f'<details id="shape-{escape(name)}"><summary><code>{escape(name)}</code> '
        yield f"{_marked(str(shape.get('description', '')).partition(chr(10))[0])}</summary>"
        yield f"{_json(shape)}</details>"


def _kind(schema: Any) -> str:
    """A schema in a few words, with a link where it has a name."""
    if not isinstance(schema, Mapping):
        return ""
    if "$ref" in schema:
        name = escape(str(schema["$ref"]).rpartition("/")[2])
        return f'<a href="#shape-{name}">{name}</a>'
    for joined in ("anyOf", "oneOf", "allOf"):
        if joined in schema:
            return " or ".join(filter(None, map(_kind, schema[joined])))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {})) or 'anything'}"
    if "enum" in schema:
        return escape(", ".join(json.dumps(value) for value in schema["enum"]))
    return escape(" ".join(str(schema[name]) for name in ("type", "format") if name in schema))


def _marked(text: str) -> str:
    """A text whose words between backticks are code.

    >>> _marked("`-` < 1")
    '<code>-</code> &lt; 1'
    """
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _text(text: str) -> str:
    return "".join(f"<p>{_marked(part)}</p>" for part in text.split("\n\n") if part.strip())


def _json(value: Any) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"
