"""Changes while another process holds an index: all are told in time, and other galleries go on."""

from __future__ import annotations

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from drawing import draw_folder
from serving import served

from kenspeckle import Gallery
from kenspeckle.config import IndexSettings, ModelSettings, ServeSettings, Settings
from kenspeckle.errors import IndexBusy
from kenspeckle.serve.routes.v1 import working
from kenspeckle.serve.turns import CHANGES

SETTINGS = Settings(
    models=ModelSettings(name="dummy"),
    index=IndexSettings(calibrate=False),
    serve=ServeSettings(surfaces=("falcon",)),
)
CLIENTS = 3 * CHANGES
WAIT = 0.5


@pytest.fixture
def index(tmp_path: Path) -> Path:
    with Gallery.create(tmp_path / "things.ken", settings=SETTINGS) as made:
        made.index(draw_folder(tmp_path / "things"))
    return tmp_path / "things.ken"


def test_all_who_wait_for_another_writer_are_told_in_time(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "LOCKED", WAIT)
    other = index.with_name("others.ken")
    shutil.copy(index, other)
    with (
        served(SETTINGS, [index, other]) as (base, _),
        httpx2.Client(base_url=base, timeout=60) as client,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):

        def renamed(gallery: str, number: int) -> tuple[int, float]:
            start = time.monotonic()
            said = {"item": "thing 1", "label": f"Thing {number}"}
            status = client.post(f"/v1/galleries/{gallery}/rename", json=said).status_code
            return status, time.monotonic() - start

        with Gallery.open(index, settings=SETTINGS, write=True):
            asked = [pool.submit(renamed, "things", number) for number in range(CLIENTS)]
            time.sleep(WAIT / 5)
            status, seconds = renamed("others", 50)
            assert (status, seconds < CLIENTS * WAIT / 2) == (200, True)
            assert not all(one.done() for one in asked)
            found = [one.result() for one in asked]
            assert {status for status, _ in found} == {409}
            assert max(seconds for _, seconds in found) < CLIENTS * WAIT / 2
        assert renamed("things", 51)[0] == 200


def test_threads_that_wait_for_another_writer_do_so_at_once(index: Path) -> None:
    found: list[float] = []
    with (
        Gallery.open(index, settings=SETTINGS) as gallery,
        Gallery.open(index, settings=SETTINGS, write=True),
    ):

        def change() -> None:
            start = time.monotonic()
            with pytest.raises(IndexBusy, match="is writing to it"), gallery.writing(WAIT):
                pass
            found.append(time.monotonic() - start)

        threads = [threading.Thread(target=change) for _ in range(CLIENTS)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert len(found) == CLIENTS
    assert WAIT * 0.9 < min(found) <= max(found) < CLIENTS * WAIT / 2
