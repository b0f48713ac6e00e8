"""Photos at addresses, by the command, from the server that Python brings."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest


class Folder(http.server.SimpleHTTPRequestHandler):
    """HTTP/1.0 files of a folder; `/moved/…` leads to the same path by another name."""

    def do_GET(self) -> None:
        if not self.path.startswith("/moved/"):
            return super().do_GET()
        port = self.server.server_address[1]
        other = "127.0.0.1" if self.headers["Host"].startswith("localhost") else "localhost"
        self.send_response(302)
        self.send_header("Location", f"http://{other}:{port}/{self.path[7:]}")
        return self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(things: Path) -> Iterator[str]:
    handler = functools.partial(Folder, directory=things)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


OWN = {"KENSPECKLE_IMAGE_FETCH_PRIVATE": "yes"}


def test_photos_and_references_come_from_addresses(run, things, served):
    table = things / "list.csv"
    table.write_text("key,url\n" + "".join(f"k{n},{served}/thing_{n}.png\n" for n in range(6)))
    made = run("index", table, "--no-calibrate", "--json", env=OWN)
    assert made.returncode == 0, made.stdout + made.stderr
    assert json.loads(made.stdout)["added"] == 6
    done = run(
        "identify", f"{served}/thing_2.png", f"{served}/moved/thing_4.png", "--json", env=OWN
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [json.loads(line)["key"] for line in done.stdout.splitlines()] == ["k2", "k4"]


@pytest.mark.parametrize(
    ("path", "allowed", "said"),
    [
        ("thing_0.png", "", "a private or reserved address"),
        ("moved/thing_0.png", "localhost", "host 127.0.0.1 is not allowed"),
        ("list.txt", "127.0.0.1", "status 404"),
    ],
)
def test_addresses_that_may_not_be_asked_are_refused(run, things, served, path, allowed, said):
    assert run("index", things, "--no-calibrate").returncode == 0
    env = OWN | {"KENSPECKLE_IMAGE_FETCH_ALLOW": allowed} if allowed else {}
    host = served.replace("127.0.0.1", allowed or "127.0.0.1")
    done = run("identify", f"{host}/{path}", "--json", env=env)
    assert done.returncode == 1
    assert said in json.loads(done.stdout)["error"]
