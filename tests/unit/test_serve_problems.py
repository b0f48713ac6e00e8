"""What a stranger is told of an error: no folders, requests in place of commands, what is wrong."""

from __future__ import annotations

import ast
import json
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import kenspeckle.errors
from kenspeckle.cli import group
from kenspeckle.errors import CatalogError, GalleryError, IndexCorrupt, KenspeckleError, NotEnrolled
from kenspeckle.match import promise
from kenspeckle.serve.problems import body, over_http, told
from kenspeckle.store.open import open_store

ROOT = Path(kenspeckle.__file__).parent
NOT_ASKED = ("cli", "evaluate", "config", "adapters")
"""Rooms whose errors end a command or a start, and reach nobody over HTTP."""
AT_THE_START = ("access.py", "assistant.py", "keys.py", "ready.py", "run.py", "surfaces.py")
"""Modules of `serve` of which the same is true."""
COMMANDS = {row.name for row in group.COMMANDS}
FOR_THE_OPERATOR = {"index", "models", "serve"}
"""Commands that no request can stand for: they make what the service is started on."""


@pytest.mark.parametrize("here", ["", "ix/", "./ix/", "../ix/", "/srv/ix/"])
def test_of_a_file_of_this_machine_the_name_alone_is_told(here: str) -> None:
    error = IndexCorrupt(Path(f"{here}s.ken"), "neither an index nor an .npz")
    assert told(error) == "s.ken: neither an index nor an .npz"
    assert told(pickle.loads(pickle.dumps(error))) == told(error)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, "urn:kenspeckle:key-needed"),
        (403, "urn:kenspeckle:access-refused"),
        (404, "urn:kenspeckle:not-found"),
        (429, "about:blank"),
        (503, "urn:kenspeckle:service-busy"),
    ],
)
def test_programs_are_told_the_kind_of_a_refusal_whoever_refuses(status: int, kind: str) -> None:
    assert json.loads(body(status, "no"))["type"] == kind
    assert json.loads(body(status, "no", kind="other"))["type"] == "urn:kenspeckle:other"


@pytest.mark.parametrize("key", ["a/b", "sets/2024/mug", "a/b.ken"])
def test_a_key_with_slashes_is_told_whole(key: str) -> None:
    assert told(NotEnrolled(key, "no such item")) == f"{key}: no such item"
    assert told(GalleryError(key, "the key of another item")).startswith(f"{key}: ")


def test_of_a_table_of_references_the_name_and_the_line_are_told() -> None:
    assert told(CatalogError("data/refs.csv, line 4", "2 cells")) == "refs.csv, line 4: 2 cells"


@pytest.mark.parametrize("content", [None, b"", b"no index" * 100])
def test_what_a_store_says_of_its_file_is_known_to_be_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my ix").mkdir()
    if content is not None:
        Path("my ix/s.ken").write_bytes(content)
    for folder in ("", f"{tmp_path}/"):
        with pytest.raises(KenspeckleError) as raised:
            open_store(f"{folder}my ix/s.ken")
        assert str(raised.value).startswith(f"{folder}my ix/s.ken: ")
        assert "kenspeckle index FOLDER --out " in told(raised.value)
        assert told(raised.value).startswith("s.ken: ")
        assert "ix/" not in told(raised.value)


def test_every_error_that_a_request_may_meet_names_requests_and_no_options() -> None:
    seen = 0
    for place, parts in sentences():
        text = told(GalleryError("thing", **parts))
        commands = set(re.findall(r"kenspeckle ([a-z-]+)", text)) & COMMANDS
        assert commands <= FOR_THE_OPERATOR, f"{place}: {text}"
        assert not re.search(r"--[a-z]", re.sub(r"kenspeckle [^;`]*", "", text)), f"{place}: {text}"
        seen += 1
    assert seen > 200


def test_what_a_gallery_promises_names_requests_and_no_options() -> None:
    for name, text in vars(promise).items():
        if name.isupper() and isinstance(text, str):
            assert not re.search(r"kenspeckle [a-z]|--[a-z]", over_http(text)), name


def test_advice_for_whoever_starts_the_service_is_left_out() -> None:
    error = GalleryError("thing", "made otherwise", expected="the same", do="Leave --views out")
    assert told(error) == "thing: made otherwise; expected the same"
    pull = GalleryError("model", "not here", do="Run: kenspeckle models pull x --from-pack FILE")
    assert told(pull).endswith("--from-pack FILE")


def sentences() -> Iterator[tuple[str, dict[str, str]]]:
    """The words of every error that is raised below a request, and where."""
    for file in sorted(ROOT.rglob("*.py")):
        room, *_ = inside = file.relative_to(ROOT).parts
        if room in NOT_ASKED or (room == "serve" and inside[-1] in AT_THE_START):
            continue
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
                kind = getattr(kenspeckle.errors, call.func.id, None)
                if isinstance(kind, type) and issubclass(kind, KenspeckleError):
                    given = dict(zip(("thing", "found"), map(words, call.args), strict=False))
                    given |= {one.arg: words(one.value) for one in call.keywords if one.arg}
                    given.pop("thing", None)
                    yield f"{'/'.join(inside)}:{call.lineno}", {"found": "", **given}


def words(node: ast.expr) -> str:
    """What the code writes there, with a number for each value."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(words(one) for one in node.values)
    if isinstance(node, ast.IfExp):
        return f"{words(node.body)} / {words(node.orelse)}"
    if isinstance(node, ast.BinOp):
        return words(node.left) + words(node.right)
    return "7"
