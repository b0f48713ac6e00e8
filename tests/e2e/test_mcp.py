"""`kenspeckle mcp` in a process of its own, asked by the protocol's own client."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from kenspeckle import Gallery
from kenspeckle.config import ModelSettings, Settings

pytest.importorskip("mcp")

Ask = Callable[[str, dict[str, Any]], Awaitable[Any]]
Talk = Callable[[Any], Awaitable[Any]]
DUMMY = Settings(models=ModelSettings(name="dummy"))


@pytest.fixture
def gallery(things: Path, tmp_path: Path) -> Path:
    """Six things, indexed by the engine without weights."""
    with Gallery.create(tmp_path / "gallery.ken", settings=DUMMY) as made:
        made.index(things)
    return tmp_path / "gallery.ken"


@pytest.fixture
def photo(drawn, things: Path) -> Path:
    drawn(3).rotate(4).save(things / "a photo.png")
    return things / "a photo.png"


def talk(gallery: Path, scene: Talk, *words: object, errors: Path | None = None) -> Any:
    """Start the command, let the scene speak to it, and end it."""
    from mcp.client.client import Client
    from mcp.client.stdio import StdioServerParameters, stdio_client

    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "kenspeckle", "mcp", str(gallery), *map(str, words)],
        env={"KENSPECKLE_MODELS_NAME": "dummy", "HOME": str(gallery.parent)},
        cwd=gallery.parent,
    )

    async def run() -> Any:
        with (errors or gallery.parent / "said.txt").open("w") as said:
            async with Client(stdio_client(parameters, errlog=said)) as client:
                return await scene(client)

    return asyncio.run(asyncio.wait_for(run(), 200))


def text_of(result: Any) -> str:
    (block,) = result.content
    return str(block.text)


def refused(result: Any) -> str:
    assert result.is_error
    assert result.structured_content is None
    text = text_of(result)
    assert "\n" not in text
    assert "Traceback" not in text
    return text


def test_four_tools_and_no_commerce(gallery):
    async def scene(client):
        return client.server_info, (await client.list_tools()).tools

    info, tools = talk(gallery, scene)
    assert info.name == "kenspeckle"
    assert [one.name for one in tools] == [
        "identify_picture",
        "list_items",
        "similar_items",
        "confirm",
    ]
    assert [one.annotations.read_only_hint for one in tools] == [True, True, True, False]
    for one in tools:
        assert one.description
        assert all(part.get("description") for part in one.input_schema["properties"].values())


def test_a_picture_is_identified_by_path_and_by_its_bytes(gallery, photo):
    data = base64.b64encode(photo.read_bytes()).decode()

    async def scene(client):
        by_path = await client.call_tool("identify_picture", {"path": str(photo)})
        by_bytes = await client.call_tool("identify_picture", {"base64": data})
        return by_path, by_bytes

    by_path, by_bytes = talk(gallery, scene, "--allow", photo.parent)
    for result in (by_path, by_bytes):
        assert not result.is_error
        assert result.structured_content["label"] == "thing 3"
        assert result.structured_content["known"] is True
        assert text_of(result).startswith("This is thing 3")
        assert "Because: " in text_of(result)
        assert result.structured_content["candidates"][0]["reference"] == "thing_3.png"


@pytest.mark.slow
def test_items_are_listed_and_similar_ones_named(gallery, photo):
    async def scene(client):
        whole = await client.call_tool("list_items", {})
        part = await client.call_tool("list_items", {"matching": "THING 4"})
        two = await client.call_tool("list_items", {"first": 4, "most": 1})
        to_item = await client.call_tool("similar_items", {"item": "thing 3", "most": 2})
        to_photo = await client.call_tool("similar_items", {"path": str(photo), "most": 3})
        return whole, part, two, to_item, to_photo

    whole, part, two, to_item, to_photo = talk(gallery, scene, "--allow", photo.parent)
    assert whole.structured_content["total"] == 6
    assert text_of(part) == "1 item with 'THING 4': thing 4."
    assert [one["label"] for one in two.structured_content["items"]] == ["thing 4"]
    near = [one["label"] for one in to_item.structured_content["items"]]
    assert len(near) == 2
    assert "thing 3" not in near
    assert to_photo.structured_content["items"][0]["label"] == "thing 3"


def test_a_confirmed_picture_is_a_reference_from_then_on(gallery, photo):
    async def scene(client):
        said = await client.call_tool("confirm", {"path": str(photo), "item": "thing 3"})
        again = await client.call_tool("confirm", {"path": str(photo), "item": "thing 3"})
        listed = await client.call_tool("list_items", {"matching": "thing 3"})
        return said, again, listed

    said, again, listed = talk(gallery, scene, "--allow", photo.parent)
    assert not said.is_error, text_of(said)
    assert said.structured_content["key"] == "thing 3"
    assert "confirmed as 'thing 3'" in refused(again)
    assert listed.structured_content["items"][0]["references"] == 2
    with Gallery.open(gallery, settings=DUMMY) as kept:
        assert [one.kind for one in kept.feedback()] == ["confirmed"]


@pytest.mark.slow
def test_while_an_assistant_is_there_others_may_write(gallery, things, run):
    async def scene(client):
        done = await asyncio.to_thread(run, "rename", "thing 1", "Tower", "--index", gallery)
        assert done.returncode == 0, done.stderr
        return await client.call_tool("list_items", {"matching": "tower"})

    assert talk(gallery, scene).structured_content["total"] == 1


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("identify_picture", {}, "neither path nor base64"),
        ("identify_picture", {"path": "{inside}/none.png"}, "no such file"),
        ("identify_picture", {"path": "{inside}/../secret.png"}, "outside of the folders"),
        ("identify_picture", {"path": "{inside}/link.png"}, "outside of the folders"),
        ("identify_picture", {"path": "/etc/passwd"}, "outside of the folders"),
        ("identify_picture", {"path": "/etc/no such file"}, "outside of the folders"),
        ("identify_picture", {"path": "secret.png"}, "outside of the folders"),
        ("identify_picture", {"path": "http://127.0.0.1/a.png"}, "outside of the folders"),
        ("identify_picture", {"path": "a\0b"}, "outside of the folders"),
        ("identify_picture", {"path": "{inside}"}, ""),
        ("identify_picture", {"base64": "@@@"}, "base64"),
        ("identify_picture", {"base64": "AAAA"}, "picture"),
        ("identify_picture", {"path": "a", "base64": "b"}, "both path and base64"),
        (
            "identify_picture",
            {"url": "http://127.0.0.1/"},
            "identify_picture: url: no such field; expected path, base64",
        ),
        (
            "similar_items",
            {"base64": "AAAA", "top": 3},
            "similar_items: top: no such field; expected path, base64, item, most",
        ),
        ("identify_picture", {"path": ["a"]}, "path"),
        ("similar_items", {"item": "thinh 3"}, "Did you mean 'thing 3'"),
        ("similar_items", {"item": "thing 3", "base64": "AAAA"}, "an item and a picture"),
        ("list_items", {"most": 0}, "most"),
        ("list_items", {"most": 10**9}, "most"),
        (
            "confirm",
            {"base64": "AAAA"},
            "confirm: item: it is needed; expected path, base64, item, variant",
        ),
        ("confirm", {"base64": "AAAA", "item": "nothing of the kind"}, "no such item"),
        ("buy", {}, "there is none"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(asking, tool, arguments, said):
    assert said in refused(asking(tool, arguments))


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory, drawn):
    """One assistant for all refusals, asked without a process between."""
    from mcp.client.client import Client

    from kenspeckle.serve.assistant import Assistant
    from kenspeckle.serve.protocol import made

    folder = tmp_path_factory.mktemp("assistant")
    inside = folder / "inside"
    inside.mkdir()
    for number in range(4):
        drawn(number).save(inside / f"thing_{number}.png")
    drawn(9).save(folder / "secret.png")
    (inside / "link.png").symlink_to(folder / "secret.png")
    with Gallery.create(folder / "g.ken", settings=DUMMY) as gallery:
        gallery.index(inside)

    def ask(tool: str, arguments: dict[str, Any]) -> Any:
        written = json.loads(json.dumps(arguments).replace("{inside}", str(inside)))

        async def scene() -> Any:
            with Gallery.open(folder / "g.ken", settings=DUMMY) as gallery:
                async with Client(made(Assistant(gallery, [inside]))) as client:
                    return await client.call_tool(tool, written)

        return asyncio.run(scene())

    return ask


def test_nothing_but_the_protocol_is_printed(gallery, photo):
    """Junk and a picture that cannot be read: still a JSON object a line on standard output."""
    hello = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "0"},
    }
    lines = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {
            "jsonrpc": "2.0",
            "id": 2,
            "method": "tools/call",
            "params": {"name": "identify_picture", "arguments": {"base64": "AAAA"}},
        },
    ]
    sent = "not json\n" + "".join(json.dumps(line) + "\n" for line in lines)
    process = subprocess.Popen(
        [sys.executable, "-m", "kenspeckle", "mcp", str(gallery)],
        cwd=gallery.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(sent)
    process.stdin.flush()
    heard = []
    while not any(one.get("id") == 2 for one in heard):
        heard.append(json.loads(process.stdout.readline()))
    rest, said = process.communicate(timeout=120)
    assert rest == ""
    assert process.returncode == 0, said
    assert all(one["jsonrpc"] == "2.0" for one in heard)


@pytest.mark.slow
def test_a_wrong_start_is_a_sentence_and_an_exit_code(run, gallery):
    done = run("mcp", "none.ken")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    done = run("mcp", gallery, "--allow", "nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert "--allow: nowhere; expected a folder" in done.stderr


@pytest.mark.parametrize("how", ["<&-", ">&- < initialize.json"])
def test_a_closed_stream_is_one_line(gallery: Path, how: str) -> None:
    asked = {"protocolVersion": "2025-03-26", "capabilities": {}}
    asked |= {"clientInfo": {"name": "test", "version": "1"}}
    told = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": asked}
    (gallery.parent / "initialize.json").write_text(json.dumps(told) + "\n")
    words = f"{sys.executable} -m kenspeckle mcp gallery.ken --model dummy {how}"
    done = subprocess.run(
        ["bash", "-c", words], cwd=gallery.parent, capture_output=True, text=True, timeout=200
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "stdin or stdout: Bad file descriptor\n"


def test_others_may_write_while_a_picture_is_looked_at(tmp_path, drawn, monkeypatch):
    """The index is locked for the commit alone, as by the service."""
    from kenspeckle.serve.assistant import Assistant
    from kenspeckle.serve.schemas.assistant import Confirmation
    from kenspeckle.store import open_store

    (tmp_path / "refs").mkdir()
    for number in range(3):
        drawn(number).save(tmp_path / "refs" / f"thing_{number}.png")
    index, photo = tmp_path / "g.ken", tmp_path / "photo.png"
    drawn(7).save(photo)
    with Gallery.create(index, settings=DUMMY) as made:
        made.index(tmp_path / "refs")
    with Gallery.open(index, settings=DUMMY) as gallery:
        own, seen = gallery.embedder.vectors, []

        def vectors(*words: Any, **more: Any) -> Any:
            with open_store(index, write=True, wait=0.0) as other:  # IndexBusy where it is locked
                seen.append(len(other))
            return own(*words, **more)

        monkeypatch.setattr(gallery.embedder, "vectors", vectors)
        wish = Confirmation(path=str(photo), item="thing 1")
        said = Assistant(gallery, [tmp_path]).confirm(wish)
        assert "shows thing 1" in said.text
        assert seen
        assert gallery.item("thing 1").references == 2
