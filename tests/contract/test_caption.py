"""`kenspeckle caption`: item 25 of the contract of the analysis service, and bad input.

A captioner of a few layers describes real photos, in this process and by a running server.
"""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import checkpoints
import pytest
from analysing import FixedEngines, small_index
from PIL import Image
from serving import served

from kenspeckle.cli.caption import list_pictures
from kenspeckle.config import ModelSettings, ServeSettings, Settings
from kenspeckle.errors import InputError
from kenspeckle.serve.keys import create

if TYPE_CHECKING:
    from commands import Command

shipped = pytest.importorskip("skimage.data")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two photos, and a file that is none."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(shipped.coffee()).resize((90, 60)).save(folder / "coffee.png")
    Image.fromarray(shipped.astronaut()).resize((90, 90)).save(folder / "portrait.jpg")
    (folder / "broken.jpeg").write_bytes(b"no picture at all")
    (folder / "notes.md").write_text("no picture either")
    return folder


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("blip")
    checkpoints.blip(folder)
    return folder


def texts(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.txt")}


@pytest.mark.torch
def test_item_25_captions_in_this_process(command: Command, pictures: Path, blip: Path) -> None:
    words = ("caption", pictures, "--model", blip)
    done = command(*words, code=1)
    made = texts(pictures)
    assert set(made) == {"coffee.txt", "portrait.txt"}
    for text in made.values():
        assert text
        assert not text.endswith(b"\n")
    assert "broken.jpeg: failed: 17 bytes unlike the beginning of any picture" in done.err
    assert "2 captioned, 0 skipped, 1 failed" in done.err
    stamps = {path: path.stat().st_mtime_ns for path in pictures.glob("*.txt")}

    again = command(*words, code=1)  # the one that cannot be read still cannot
    assert "0 captioned, 2 skipped, 1 failed" in again.err
    assert {path: path.stat().st_mtime_ns for path in pictures.glob("*.txt")} == stamps

    (pictures / "broken.jpeg").unlink()
    (pictures / "coffee.txt").write_text("my own words\n")
    assert command(*words).code == 0
    assert (pictures / "coffee.txt").read_text() == "my own words\n"
    for force in ("--force", "-f"):
        assert "2 captioned, 0 skipped, 0 failed" in command(*words, force).err
        assert texts(pictures) == made
    short = command(*words, "-f", "--max-length", 5)
    assert short.code == 0
    assert all(len(texts(pictures)[name]) <= len(text) for name, text in made.items())


@contextmanager
def server(folder: Path, **more: Any) -> Iterator[str]:
    settings = Settings(
        models=ModelSettings(name="dummy", home=str(folder / "home"), offline=True), **more
    )
    with served(settings, [small_index(folder)], analysis=FixedEngines()) as (base, _):
        yield base


def test_item_25_captions_by_a_server(command: Command, pictures: Path, tmp_path: Path) -> None:
    with server(tmp_path) as base:
        done = command("caption", pictures, "--url", base, "--max-length", 4, "--json", code=1)
        told = {Path(one["picture"]).name: one for one in map(json.loads, done.out.splitlines())}
        assert told["coffee.png"]["caption"] == "a picture of word0 word1 word2"
        assert "error" in told["broken.jpeg"]
        assert texts(pictures) == dict.fromkeys(
            ("coffee.txt", "portrait.txt"), b"a picture of word0 word1 word2"
        )
        (pictures / "broken.jpeg").unlink()
        route = f"{base}/analyze_image_upload/"
        assert command("caption", pictures, "--url", route, "-f", "--callers", 3).code == 0
        assert len(texts(pictures)["coffee.txt"].split()) == 50 + 2


@pytest.mark.torch
def test_a_server_and_this_process_write_the_same(
    command: Command, pictures: Path, blip: Path, tmp_path: Path
) -> None:
    from kenspeckle.config import AnalyzeSettings

    (pictures / "broken.jpeg").unlink()
    Image.new("RGBA", (50, 40), (200, 10, 30, 90)).save(pictures / "glass.webp")
    command("caption", pictures, "--model", blip)
    made = texts(pictures)
    assert len(made) == 3
    chosen = Settings(
        models=ModelSettings(name="dummy", home=str(tmp_path / "home"), offline=True),
        analyze=AnalyzeSettings(caption=str(blip)),
    )
    with served(chosen, [small_index(tmp_path)]) as (base, _):
        command("caption", pictures, "--force", "--url", base)
    assert texts(pictures) == made


def test_a_server_that_wants_a_key(command: Command, pictures: Path, tmp_path: Path) -> None:
    (pictures / "broken.jpeg").unlink()
    keys = tmp_path / "keys.json"
    secret = create(keys, "captions", ("read",))
    (tmp_path / "key").write_text(f"{secret}\n")
    with server(tmp_path, serve=ServeSettings(keys=str(keys))) as base:
        refused = command("caption", pictures, "--url", base, code=1)
        assert "status 401" in refused.err
        assert not texts(pictures)
        assert command("caption", pictures, "--url", base, "--key-file", tmp_path / "key").code == 0
        assert len(texts(pictures)) == 2


Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@contextmanager
def answering(*answers: tuple[int, bytes, dict[str, str]]) -> Iterator[tuple[str, list[bytes]]]:
    """A server on loopback that gives these answers one after the other, the last for ever."""
    left, asked = list(answers), []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.rfile.read(int(self.headers["Content-Length"])))
            status, body, headers = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{made.server_address[1]}", asked
        finally:
            made.shutdown()
            thread.join()


def result(**more: Any) -> bytes:
    return json.dumps(
        {"results": {"caption": {"status": "success", "data": "a cup", **more}}}
    ).encode()


def test_a_busy_server_is_asked_again(command: Command, pictures: Path) -> None:
    (pictures / "broken.jpeg").unlink()
    (pictures / "portrait.jpg").unlink()
    busy = (503, b"{}", {"Retry-After": "0.1"})
    with answering(busy, busy, (200, result(), {})) as (base, asked):
        assert command("caption", pictures, "--url", base).code == 0
        assert len(asked) == 3
    assert texts(pictures) == {"coffee.txt": b"a cup"}
    with answering((503, b"", {"Retry-After": "9"})) as (base, asked):
        done = command("caption", pictures, "-f", "--url", base, "--seconds", 0.5, code=1)
    assert "busy for more than 0.5 s" in done.err


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, b"<html>", {}), "no JSON"),
        ((200, b"[" * 100_000, {}), "no JSON"),
        ((200, b"{}", {}), "no result of the task"),
        ((200, b'{"results": {"caption": 3}}', {}), "no result of the task"),
        ((200, result(data=7), {}), "no caption"),
        ((200, result(data=""), {}), "an empty caption"),
        ((200, result(status="skipped", error_message="no model here"), {}), "no model here"),
        ((413, b'{"detail": "too large"}', {}), "status 413 too large"),
        ((301, b"", {"Location": "http://127.0.0.1:9/"}), "status 301"),
        ((200, b" " * (5 * 1024 * 1024), {}), "more than 4,194,304 bytes"),
        ((200, b"{}", {"Content-Length": "9000"}), "no answer"),
    ],
)
def test_answers_that_are_none(
    command: Command, pictures: Path, answer: tuple[int, bytes, dict[str, str]], said: str
) -> None:
    (pictures / "portrait.jpg").unlink()
    (pictures / "broken.jpeg").unlink()
    with answering(answer) as (base, asked):
        done = command("caption", pictures, "--url", base, code=1)
        assert len(asked) == 1
    assert said in done.err
    assert texts(pictures) == {}


def test_words_that_are_no_unicode_are_still_written(command: Command, pictures: Path) -> None:
    (pictures / "portrait.jpg").unlink()
    (pictures / "broken.jpeg").unlink()
    with answering((200, result(data="caf\u00e9 \ud800"), {})) as (base, _):
        command("caption", pictures, "--url", base)
    assert texts(pictures) == {"coffee.txt": "café ?".encode()}


@pytest.mark.parametrize(
    "words",
    [
        ("--max-length", 0),
        ("--max-length", 5000),
        ("--callers", 0),
        ("--callers", "x"),
        ("--nonsense",),
    ],
)
def test_wrong_options(command: Command, pictures: Path, words: tuple[object, ...]) -> None:
    command("caption", pictures, *words, code=2)


@pytest.mark.parametrize("url", ["ftp://host", "host:80", "http://", "http://host:99999"])
def test_addresses_that_are_none(command: Command, pictures: Path, url: str) -> None:
    assert "expected http://" in command("caption", pictures, "--url", url, code=1).err


def test_nobody_listens(command: Command, pictures: Path) -> None:
    done = command("caption", pictures, "--url", "http://127.0.0.1:9", code=1)
    assert done.err.count("no answer") == 3


def test_no_folder(command: Command, tmp_path: Path) -> None:
    assert "no such folder" in command("caption", tmp_path / "none", code=1).err
    (tmp_path / "file.png").touch()
    assert "no such folder" in command("caption", tmp_path / "file.png", code=1).err


def test_an_empty_folder_needs_no_model(command: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "0 captioned, 0 skipped, 0 failed" in command("caption", tmp_path / "empty").err


def test_without_a_model_nothing_is_begun(command: Command, pictures: Path) -> None:
    pytest.importorskip("transformers")
    done = command("caption", pictures, "--home", pictures / "home", code=1)
    assert "kenspeckle models pull blip-large" in done.err
    assert not texts(pictures)


def test_which_pictures_of_a_folder(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "a.jpg", "c.gif", "c.tiff", "deep/d.webp", "e.txt", "f.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "c.txt").write_text("here")
    (tmp_path / "folder.jpg").mkdir()

    def todo(recursive: bool, force: bool) -> list[str]:
        listed = list_pictures(tmp_path, recursive, force).todo
        assert all(path.with_suffix(".txt") == one.file for one in listed for path in one.pictures)
        return [
            " ".join(path.relative_to(tmp_path).as_posix() for path in one.pictures)
            for one in listed
        ]

    assert todo(False, False) == ["a.jpg a.png", "b.JPG"]
    assert todo(False, True) == ["a.png a.jpg", "b.JPG", "c.tiff c.gif"]
    assert todo(True, False) == ["a.jpg a.png", "b.JPG", "deep/d.webp"]
    skipped = list_pictures(tmp_path, False, False).skipped
    assert [(path.name, why) for path, why in skipped] == [
        ("c.gif", "c.txt is there"),
        ("c.tiff", "c.txt is there"),
    ]
    with pytest.raises(InputError):
        list_pictures(tmp_path / "e.txt", False, False)


def namesakes(folder: Path) -> Path:
    """Three pictures that share `a.txt`."""
    folder.mkdir()
    for name in ("a.jpg", "a.png", "a.webp"):
        Image.new("RGB", (40, 30), (9, 99, 200)).save(folder / name)
    return folder


@pytest.mark.parametrize(
    ("words", "of"),
    [((), ("a.jpg", "a.png", "a.webp")), (("--force",), ("a.webp", "a.png", "a.jpg"))],
)
def test_a_picture_that_fails_leaves_the_text_to_its_namesake(
    command: Command, tmp_path: Path, words: tuple[str, ...], of: tuple[str, str, str]
) -> None:
    first, second, third = of
    folder = namesakes(tmp_path / "pictures")
    if words:
        (folder / "a.txt").write_text("an old text")
    broken = result(status="error", data=None, error_message="it is broken")
    with answering((200, broken, {}), (200, result(), {})) as (base, _):
        done = command("caption", folder, "--url", base, "--json", *words, code=1)
    told = {Path(one["picture"]).name: one for one in map(json.loads, done.out.splitlines())}
    assert "error" in told[first]
    assert told[second]["caption"] == "a cup"
    assert told[third]["skipped"] == f"a.txt is of {second}"
    assert texts(folder) == {"a.txt": b"a cup"}
    assert "1 captioned, 1 skipped, 1 failed" in done.err


def test_where_all_namesakes_fail_nothing_is_written(command: Command, tmp_path: Path) -> None:
    folder = namesakes(tmp_path / "pictures")
    with answering((200, result(data=""), {})) as (base, _):
        done = command("caption", folder, "--url", base, code=1)
    assert "0 captioned, 0 skipped, 3 failed" in done.err
    assert not texts(folder)


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (4, "Allow a longer one: --max-length 50"),
        (50, "Another captioner may find words (that of the server)"),
    ],
)
def test_what_helps_against_an_empty_caption(
    command: Command, pictures: Path, length: int, said: str
) -> None:
    with answering((200, result(data=""), {})) as (base, _):
        done = command("caption", pictures, "--url", base, "--max-length", length, code=1)
    assert said in done.err


def test_a_text_that_cannot_be_written(command: Command, pictures: Path) -> None:
    (pictures / "broken.jpeg").unlink()
    (pictures / "portrait.txt").mkdir()
    with answering((200, result(), {})) as (base, _):
        done = command("caption", pictures, "-f", "--url", base, code=1)
    assert "it cannot be written" in done.err
    assert "1 captioned, 0 skipped, 1 failed" in done.err
    assert not list(pictures.glob(".*.new"))
