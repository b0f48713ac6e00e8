"""`kill -9` of a service in the midst of writes, fifty times: what was acknowledged is there.

Acknowledged is what a client has read an answer for. Four clients add, replace and erase
references, confirm photos and take that back, until the process is gone; the next one opens the
same file.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import httpx2
import numpy as np
import pytest
from PIL import Image
from serving import Process, free_port

from kenspeckle import Gallery
from kenspeckle.config import IndexSettings, ModelSettings, Settings
from kenspeckle.image.decode import decode
from kenspeckle.vectors.embed import open_embedder

KILLS, CLIENTS, STANDING, SEED = 50, 4, 4, 17
SETTINGS = Settings(models=ModelSettings(name="dummy"), index=IndexSettings(calibrate=False))
AT = "/v1/galleries/things"

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")


def picture(*seed: int) -> bytes:
    """A picture that no other numbers give."""
    coarse = np.random.default_rng((SEED, *seed)).integers(0, 256, (6, 8, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((160, 120), Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Client:
    """One who changes items of its own and remembers what was acknowledged.

    `holds` are the hashes of pictures that must be there, `said` those that feedback must be there
    for; what was asked for and not answered is in `open`: it may be there or not.
    """

    number: int
    holds: dict[str, int] = field(default_factory=dict)
    said: dict[str, int] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    sent: dict[str, bytes] = field(default_factory=dict)
    answered: int = 0
    step: int = 0

    @property
    def key(self) -> str:
        return f"item {self.number}"

    def work(self, base: str, over: Event, moment: random.Random) -> None:
        """Change one thing after another until the service is gone."""
        with httpx2.Client(base_url=base, timeout=90) as client:
            while not over.is_set():
                try:
                    self._change(client, moment)
                except httpx2.TransportError:
                    return
                self.answered += 1

    def _change(self, client: httpx2.Client, moment: random.Random) -> None:
        ways: list[Callable[[httpx2.Client], None]] = [self._add, self._add, self._confirm]
        if self.holds:
            ways += [self._replace, self._erase]
        if self.said:
            ways.append(self._undo)
        moment.choice(ways)(client)

    def _new(self) -> tuple[str, bytes]:
        self.step += 1
        data = picture(self.number, self.step)
        self.sent[digest(data)] = data
        return digest(data), data

    def _add(self, client: httpx2.Client) -> None:
        name, data = self._new()
        self.open.add(name)
        answer = client.post(
            f"{AT}/items", data={"key": self.key, "label": self.key}, files={"image": ("p", data)}
        )
        assert answer.status_code == 201, answer.text
        (row,) = answer.json()["references"]
        self.holds[name] = row["id"]
        self.open.discard(name)

    def _replace(self, client: httpx2.Client) -> None:
        old, number = self.holds.popitem()
        name, data = self._new()
        self.open |= {old, name}
        answer = client.put(f"{AT}/references/{number}", files={"image": ("p", data)})
        assert answer.status_code == 200, answer.text
        (row,) = answer.json()["references"]
        self.holds[name] = row["id"]
        self.open -= {old, name}

    def _erase(self, client: httpx2.Client) -> None:
        if len(self.holds) + len(self.said) < 3:
            return  # with its last reference the item would go
        old, number = self.holds.popitem()
        self.open.add(old)
        answer = client.delete(f"{AT}/references/{number}")
        assert answer.status_code == 200, answer.text
        self.open.discard(old)

    def _confirm(self, client: httpx2.Client) -> None:
        if not self.holds:
            return
        name, data = self._new()
        self.open.add(name)
        answer = client.post(
            f"{AT}/confirm", params={"key": self.key}, files={"image": ("p", data)}
        )
        assert answer.status_code == 201, answer.text
        self.said[name] = answer.json()["number"]
        self.open.discard(name)

    def _undo(self, client: httpx2.Client) -> None:
        name, number = self.said.popitem()
        self.open.add(name)
        answer = client.delete(f"{AT}/feedback/{number}")
        assert answer.status_code == 200, answer.text
        self.open.discard(name)

    def settle(self, found: dict[str, int], said: dict[str, int]) -> None:
        """What nobody answered is now as the file has it: start from there.

        Feedback without its reference is being taken back; that can be asked for again.
        """
        for name in self.open & set(found):
            if name in said:
                self.said[name] = said[name]
            else:
                self.holds[name] = found[name]
        self.open.clear()


@contextmanager
def service(index: Path, folder: Path) -> Iterator[tuple[str, Process]]:
    """`kenspeckle serve` as a process of its own."""
    process = Process(["--port", free_port(), "--surface", "falcon", index], folder)
    try:
        yield process.ready(), process
    finally:
        process.stop(signal.SIGKILL)


def check(index: Path, clients: list[Client]) -> None:
    """Open the file: everything acknowledged is there, with the vector of its own picture."""
    embedder = open_embedder(SETTINGS.models)
    with Gallery.open(index, settings=SETTINGS) as gallery:
        rows = list(gallery.store.references())
        vectors = gallery.store.rows([number for number, _ in rows])
        said = {one.sha256: one.id for one in gallery.feedback()}
    found = {one.sha256: number for number, one in rows}
    assert len(found) == len(rows), "a picture is there twice"
    for client in clients:
        lost = (set(client.holds) | set(client.said)) - set(found)
        assert not lost, f"client {client.number}: {len(lost)} acknowledged and gone"
        assert set(client.said) <= set(said), "feedback was acknowledged and is gone"
        back = set(client.sent) - set(client.holds) - set(client.said) - client.open
        assert not back & set(found), "what was erased is there again"
    data = {name: one for client in clients for name, one in client.sent.items()}
    for (_, one), vector in zip(rows, vectors, strict=True):
        if one.sha256 in data:
            own = embedder.vector(decode(data[one.sha256]).image)
            assert float(own @ vector) > 0.999, "the vector of something else"
    for client in clients:
        client.settle(found, said)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_fifty_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    index = tmp_path / "things.ken"
    with Gallery.create(index, settings=SETTINGS) as gallery:
        for number in range(STANDING):
            gallery.add(picture(0, number), label=f"something else {number}")
        gallery.calibrate(60)  # or every start would
    moment, clients = random.Random(SEED), [Client(number) for number in range(1, CLIENTS + 1)]
    midst = answered = 0
    for _ in range(KILLS):
        with service(index, tmp_path) as (base, process):
            over = Event()
            threads = [
                Thread(target=one.work, args=(base, over, random.Random(moment.random())))
                for one in clients
            ]
            before = sum(one.answered for one in clients)
            for thread in threads:
                thread.start()
            deadline = time.monotonic() + 60
            while sum(one.answered for one in clients) == before and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(moment.uniform(0.0, 0.4))
            os.kill(process.process.pid, signal.SIGKILL)
            over.set()
            for thread in threads:
                thread.join(90)
                assert not thread.is_alive()
        midst += any(one.open for one in clients)
        check(index, clients)
        answered = sum(one.answered for one in clients)
    assert answered >= 5 * KILLS, f"only {answered} changes were acknowledged"
    assert midst >= KILLS // 2, f"only {midst} of {KILLS} kills met a write"
    kept = sum(len(one.holds) + len(one.said) for one in clients)
    with Gallery.open(index, settings=SETTINGS) as gallery:
        assert len(gallery.references()) == kept + STANDING
