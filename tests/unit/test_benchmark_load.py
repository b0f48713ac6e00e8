"""The clients of the load benchmark: what they send, and how they count what comes back."""

from __future__ import annotations

import asyncio
import contextlib
from email import message_from_bytes
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT)
    return import_module("benchmarks._load_clients")


def test_a_request_is_a_form_with_one_picture(clients: ModuleType) -> None:
    sent = clients.request(
        clients.Asked("http://127.0.0.1:8500", "/v1/x", "", 1), b"\xff\xd8 picture \r\n"
    )
    first, _, rest = sent.partition(b"\r\n")
    head, _, body = rest.partition(b"\r\n\r\n")
    assert first == b"POST /v1/x HTTP/1.1"
    assert b"Host: 127.0.0.1:8500" in head
    assert f"Content-Length: {len(body)}".encode() in head
    (part,) = message_from_bytes(head + b"\r\n\r\n" + body).get_payload()
    assert part.get_filename() == "photo.jpg"
    assert part.get_payload(decode=True) == b"\xff\xd8 picture \r\n"


class Server:
    """Answers every third picture with a refusal, and cuts its answers in two."""

    def __init__(self) -> None:
        self.asked = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET /health"):
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                    continue
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                self.asked += 1
                if self.asked % 3 == 0:
                    told = b"HTTP/1.1 503 Busy\r\nretry-after: 0.01\r\nconnection: close\r\n"
                    writer.write(told + b"content-length: 0\r\n\r\n")
                    return
                writer.write(b"HTTP/1.1 200 OK\r\nConte")
                await writer.drain()
                await asyncio.sleep(0.001)
                writer.write(b"nt-Length: 4\r\n\r\nfi")
                await writer.drain()
                await asyncio.sleep(0.001)
                writer.write(b"ne")
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@pytest.mark.parametrize("how", [{"clients": 3}, {"rate": 100.0}])
def test_answers_are_counted_by_status(
    clients: ModuleType, tmp_path: Path, how: dict[str, float]
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a" * 5000)

    async def run(seconds: float) -> tuple[Any, int]:
        server = Server()
        async with await asyncio.start_server(server.answer, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            asked = clients.Asked(
                f"http://127.0.0.1:{port}", "/v1/x", str(tmp_path), seconds, warm=0.1, **how
            )
            found = await clients.Load(asked).run()
        while len(asyncio.all_tasks()) > 1:  # the server's ends of the lines
            await asyncio.sleep(0.001)
        return found, server.asked

    found, asked = asyncio.run(run(0.3))
    if len(found.seconds) < 2 or len(found.health) < 2:  # a busy machine answers less
        found, asked = asyncio.run(run(3.0))
    assert set(found.seconds) == {200, 503}
    assert found.lost == 0
    assert all(0 < seconds < 5 for values in found.seconds.values() for seconds in values)
    assert len(found.health) >= 2
    assert sum(map(len, found.seconds.values())) <= found.answered <= asked


def test_a_run_is_summed_up(clients: ModuleType) -> None:
    summed = import_module("benchmarks.serve_load").summed
    run = {
        "seconds": {"200": [0.1, 0.2, 0.3, 0.4], "503": [0.001]},
        "health": [0.01, 0.02],
        "measured": 2.0,
        "busy": 0.5,
        "core_seconds": 0.02,
    }
    found = summed(run)
    assert (found["rate"], found["p50"], found["p99"]) == (2.0, 0.2, 0.4)
    assert (found["others"], found["health_p99"]) == ({"503": 1}, 0.02)
