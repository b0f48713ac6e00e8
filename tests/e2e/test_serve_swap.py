"""The index file is exchanged under load, again and again: no request fails, answers follow."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from serving import served

from kenspeckle import Gallery
from kenspeckle.config import ModelSettings, ServeSettings, Settings
from kenspeckle.serve.service import Service

SETTINGS = Settings(models=ModelSettings(name="dummy"), serve=ServeSettings(surfaces=("falcon",)))
CLIENTS, SWAPS = 6, 12


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, drawn) -> list[bytes]:
    """Indexes of some of the same pictures, with other names and other numbers in the file."""
    made = []
    for kind, numbers in (("red", range(8)), ("blue", range(2, 12)), ("green", range(40))):
        folder = tmp_path_factory.mktemp(kind)
        for number in numbers:
            drawn(number).save(folder / f"{kind}_{number}.png")
        with Gallery.create(folder / "made.ken", settings=SETTINGS) as gallery:
            gallery.index(folder)
        made.append((folder / "made.ken").read_bytes())
    return made


def put(data: bytes, place: Path) -> None:
    """Exchange a file in one step, as people do who know how."""
    beside = place.with_name("beside.tmp")
    beside.write_bytes(data)
    beside.replace(place)


@pytest.fixture
def server(files: list[bytes], tmp_path: Path) -> Iterator[tuple[str, Path, Service]]:
    index = tmp_path / "things.ken"
    index.write_bytes(files[0])
    with served(replace(SETTINGS, serve=replace(SETTINGS.serve)), [index]) as (base, service):
        yield base, index, service


@pytest.fixture
def photo(drawn) -> bytes:
    file = io.BytesIO()
    drawn(3).rotate(3).save(file, "PNG")
    return file.getvalue()


class Load:
    """Clients that ask without a pause, and what they were told."""

    def __init__(self, base: str, photo: bytes) -> None:
        self.base, self.photo = base, photo
        self.statuses: list[int] = []
        self.names: list[str] = []
        self.faults: list[str] = []
        self.mixed: list[str] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def _ask(self) -> None:
        with httpx2.Client(base_url=self.base, timeout=90) as client:
            while not self._over.is_set():
                try:
                    answer = client.post(
                        "/v1/galleries/-/identify", files={"image": ("p.png", self.photo)}
                    )
                except httpx2.HTTPError as error:
                    self.faults.append(repr(error))
                    continue
                self.statuses.append(answer.status_code)
                if answer.status_code == 200:
                    self._note(answer.json()["decision"])
                else:
                    self.faults.append(answer.text)

    def _note(self, decision: dict[str, Any]) -> None:
        """The name, and whether all of an answer is of one index."""
        near = [one["label"] for one in decision["candidates"]]
        kinds = {name.split()[0] for name in (decision["label"], *near) if name}
        if len(kinds) != 1 or decision["label"] not in ("", near[0]):
            self.mixed.append(str(decision))
        self.names.append(decision["label"])

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def until(self, name: str, more: int = 2 * CLIENTS) -> None:
        """Wait until answers from now on have this name, and for so many answers at least."""
        before, deadline = len(self.names), time.monotonic() + 60
        while name not in self.names[before:] or len(self.names) < before + more:
            assert not self.faults, self.faults[0]
            assert time.monotonic() < deadline, f"{name} never came"
            time.sleep(0.005)


@pytest.mark.slow
def test_the_file_is_exchanged_under_load_and_no_request_fails(server, files, photo):
    base, index, _ = server
    with Load(base, photo) as load:
        load.until("red 3")
        for swap in range(SWAPS):
            kind = ("blue", "green", "red")[swap % 3]
            put(files[("red", "blue", "green").index(kind)], index)
            load.until(f"{kind} 3")
    assert not load.faults
    assert not load.mixed
    assert set(load.statuses) == {200}
    assert set(load.names) == {"red 3", "blue 3", "green 3"}


@pytest.mark.slow
def test_the_file_is_exchanged_while_pictures_are_added(server, files, drawn):
    """What is added goes into one file or the other, or is refused; no file is damaged."""
    base, index, _ = server
    over, statuses = threading.Event(), []

    def add(client: httpx2.Client, number: int) -> None:
        file = io.BytesIO()
        drawn(number).save(file, "PNG")
        answer = client.post(
            "/v1/galleries/-/items",
            params={"key": f"more {number}"},
            files={"image": ("p.png", file.getvalue())},
        )
        assert answer.status_code in (201, 409), answer.text
        statuses.append(answer.status_code)

    def adds(start: int) -> None:
        with httpx2.Client(base_url=base, timeout=90) as client:
            for number in range(start, start + 100_000):
                if over.is_set():
                    return
                add(client, number)

    with ThreadPoolExecutor(2) as pool:
        adding = [pool.submit(adds, start) for start in (1000, 200_000)]
        try:
            for swap in range(2 * SWAPS):
                before = len(statuses)
                put(files[swap % 3], index)
                deadline = time.monotonic() + 60
                while len(statuses) < before + 10 and not any(one.done() for one in adding):
                    assert time.monotonic() < deadline
                    time.sleep(0.005)
                assert httpx2.get(f"{base}/readyz", timeout=90).status_code == 200
        finally:
            over.set()
        for one in adding:
            one.result()
    assert statuses.count(201) > statuses.count(409)
    with Gallery.open(index, settings=SETTINGS) as gallery:
        assert gallery.store.check() == []


@pytest.mark.slow
def test_another_process_indexes_anew_under_load(server, photo, tmp_path, drawn, run):
    base, index, _ = server
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(20):
        drawn(number).save(folder / f"new_{number}.png")
    with Load(base, photo) as load:
        load.until("red 3")
        done = run("index", folder, "--out", index, "--replace")
        assert done.returncode == 0, done.stderr
        load.until("new 3")
    # Between its commits the index really holds things of both folders: `load.mixed` may tell.
    assert not load.faults
    assert set(load.statuses) == {200}
    assert set(load.names) <= {"red 3", "new 3", ""}


def test_a_file_that_is_gone_or_damaged_is_told_and_its_return_is_noticed(server, files, photo):
    """What cannot be read is a 503 with a time to come back, never a fault; then all is well."""
    base, index, service = server
    with httpx2.Client(base_url=base, timeout=90) as client:

        def asked() -> httpx2.Response:
            return client.post("/v1/galleries/-/identify", files={"image": ("p.png", photo)})

        assert asked().status_code == 200
        for bad in (b"", b"junk" * 1000, files[1][: len(files[1]) // 2]):
            put(bad, index)
            answer = asked()
            assert answer.status_code in (200, 503), answer.text
            if answer.status_code == 503:
                assert int(answer.headers["retry-after"]) >= 1
                assert str(index.parent) not in answer.text
            assert client.get("/livez").status_code == 200
        index.unlink()
        assert asked().status_code in (200, 404, 503)
        put(files[1], index)
        assert asked().json()["decision"]["label"] == "blue 3"
    assert service.galleries


@pytest.mark.slow
def test_an_index_of_another_model_is_followed_or_refused_in_a_sentence(
    server, photo, tmp_path, drawn
):
    base, index, _ = server
    folder = tmp_path / "others"
    folder.mkdir()
    for number in range(8):
        drawn(number).save(folder / f"other_{number}.png")
    other = Settings(models=ModelSettings(name="dummy", mode="letterbox"))
    with Gallery.create(folder / "other.ken", settings=other) as gallery:
        gallery.index(folder)
    put((folder / "other.ken").read_bytes(), index)
    with httpx2.Client(base_url=base, timeout=90) as client:
        answer = client.post("/v1/galleries/-/identify", files={"image": ("p.png", photo)})
    assert answer.status_code in (200, 409, 503), answer.text
    if answer.status_code == 200:
        assert answer.json()["decision"]["label"] == "other 3"
