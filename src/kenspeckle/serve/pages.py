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
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
_BOUNDS = MappingProxyType(
    {
        "minimum": "at least {}",
        "maximum": "at most {}",
        "exclusiveMinimum": "above {}",
        "exclusiveMaximum": "below {}",
        "minLength": "at least {} characters",
        "maxLength": "at most {} characters",
        "minItems": "at least {} of them",
        "maxItems": "at most {} of them",
        "pattern": "of the pattern <code>{}</code>",
    }
)
"""How a page says what a schema allows."""
METHODS = ("get", "post", "put", "patch", "delete", "head", "options")

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;
color:#1a1a1a;background:#fff}
code,pre{font:14px/1.45 ui-monospace,monospace}
code,a{overflow-wrap:anywhere}td code{overflow-wrap:normal}
pre{background:#f4f4f2;padding:.75rem;overflow:auto;border-radius:4px;white-space:pre-wrap;
overflow-wrap:anywhere}
details,section{border:1px solid #ddd;border-radius:4px;margin:.5rem 0;padding:.5rem .75rem}
section:target{border-color:#1a5fb4;box-shadow:0 0 0 2px #1a5fb4}
h3{margin:0;font-weight:400}summary{cursor:pointer}
summary b{display:inline-block;min-width:4.5rem;text-transform:uppercase}
table{border-collapse:collapse;width:100%;margin:.5rem 0}
td,th{border-bottom:1px solid #e4e4e4;padding:.3rem .5rem;text-align:left;vertical-align:top}
@media (prefers-color-scheme:dark){body{color:#e8e8e8;background:#161616}pre{background:#222}
details,section,td,th{border-color:#3a3a3a}a{color:#8ab4f8}}
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
            yield _contents(document, "Body", operation.get("requestBody", {}).get("content", {}))
            for status, answer in operation.get("responses", {}).items():
                about = _marked(answer.get("description", ""))
                yield f"<p><b>{escape(status)}</b> {about}</p>"
                yield _headers(answer.get("headers", {}))
                yield _contents(document, "", answer.get("content", {}))
            yield "</details>"


def _row(name: str, schema: Any, *, needed: bool, place: str = "", about: str = "") -> str:
    """What is to be known of a parameter, a part of a form, a field or a header."""
    need = " (needed)" if needed else ""
    where = f"<td>{escape(place)}</td>" if place else ""
    said, bounds = about or _about(schema), _bounds(schema)
    if bounds and said[-1:] not in ("", ".", "?", "!"):
        said += "."
    return (
        f"<tr><td><code>{escape(name)}</code>{need}</td>{where}<td>{_kind(schema)}</td>"
        f"<td>{_marked(said)}{bounds}</td></tr>"
    )


def _parameters(parameters: Any) -> str:
    rows = [
        _row(
            one["name"],
            one.get("schema", {}),
            needed=one.get("required", False),
            place=one["in"],
            about=one.get("description", ""),
        )
        for one in parameters
    ]
    return f"<table>{''.join(rows)}</table>" if rows else ""


def _headers(headers: Mapping[str, Any]) -> str:
    rows = [
        _row(
            name,
            one.get("schema", {}),
            needed=False,
            place="header",
            about=one.get("description", ""),
        )
        for name, one in headers.items()
    ]
    return f"<table>{''.join(rows)}</table>" if rows else ""


def _fields(schema: Mapping[str, Any]) -> str:
    """The fields of an object, or the parts of a form."""
    needed = schema.get("required", ())
    rows = [
        _row(name, one, needed=name in needed) for name, one in schema.get("properties", {}).items()
    ]
    return f"<table>{''.join(rows)}</table>" if rows else ""


def _contents(document: Mapping[str, Any], title: str, contents: Mapping[str, Any]) -> str:
    """What may be sent or comes back, by type, with the parts of a form and the examples there
    are."""
    parts = []
    for kind, content in contents.items():
        schema = content.get("schema", {})
        examples = [content["example"]] if "example" in content else []
        examples += [one.get("value") for one in content.get("examples", {}).values()]
        parts.append(f"<p>{title} <code>{escape(kind)}</code> {_kind(schema)}</p>")
        if kind in _FORMS:
            parts.append(_fields(_found(document, schema)))
        parts += map(_json, examples)
    return "".join(parts)


def _found(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema, or the one that it names."""
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    named: Mapping[str, Any] = document.get("components", {}).get("schemas", {}).get(name, schema)
    return named


def _shapes(document: Mapping[str, Any]) -> Iterator[str]:
    """Every shape that has a name, open: a link to one that is closed would show nothing."""
    for name, shape in sorted(document.get("components", {}).get("schemas", {}).items()):
        yield f'<section id="shape-{escape(name)}"><h3><code>{escape(name)}</code> '
        yield f"{_marked(_about(shape))}</h3>"
        rest = {key: value for key, value in shape.items() if key not in ("title", "description")}
        fields = _fields(shape)
        yield fields or _json(rest)
        yield f"{_json(shape['example']) if fields and 'example' in shape else ''}</section>"


def _about(schema: Any) -> str:
    return str(schema.get("description", "")).partition("\n")[0]


def _bounds(schema: Any) -> str:
    """The default of a value, what it may be, and an example; of each way there is to write it.

    >>> _bounds({"type": "integer", "default": 100, "minimum": 1, "maximum": 1000})
    ' Default <code>100</code>; at least 1; at most 1000.'
    """
    ways = [schema, *schema.get("anyOf", ())]
    said = []
    if schema.get("default") is not None:
        said.append(f"default <code>{escape(json.dumps(schema['default']))}</code>")
    for way in ways:
        said += [
            words.format(escape(str(way[name]))) for name, words in _BOUNDS.items() if name in way
        ]
    for example in [
        *schema.get("examples", ()),
        *([schema["example"]] if "example" in schema else ()),
    ]:
        text = example if isinstance(example, str) else json.dumps(example, ensure_ascii=False)
        if text:
            said.append(f"such as <code>{escape(text)}</code>")
    told = "; ".join(dict.fromkeys(said))
    return f" {told[0].upper()}{told[1:]}." if told else ""


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
    if schema.get("format") == "binary" or "contentMediaType" in schema:
        return "file"
    if "const" in schema:
        return escape(json.dumps(schema["const"]))
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
