"""Changes of one thing at once: each as if it were alone, the last one stays."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image
from serving import PATIENCE, served

from kenspeckle import Gallery
from kenspeckle.config import ModelSettings, Settings

SETTINGS = Settings(models=ModelSettings(name="dummy"))
THINGS = "/v1/galleries/things"
ROUNDS, AT_ONCE = 6, 4


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (48, 48, 3), np.uint8)
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, "PNG")
    return made.getvalue()


@pytest.fixture(params=["ken", "npz"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    index = tmp_path / f"things.{request.param}"
    with Gallery.create(index, settings=SETTINGS) as gallery:
        gallery.add(png(0), label="Mug")
    with served(SETTINGS, [index]) as (base, _):
        yield base


def at_once(base: str, calls: list[tuple[str, str, dict[str, Any]]]) -> list[int]:
    """The statuses of calls that are sent together, in order of size."""
    ready, codes = threading.Barrier(len(calls)), []

    def one(method: str, path: str, more: dict[str, Any]) -> None:
        with httpx2.Client(base_url=base, timeout=PATIENCE) as client:
            client.get("/livez")
            ready.wait()
            codes.append(client.request(method, f"{THINGS}/{path}", **more).status_code)

    threads = [threading.Thread(target=one, args=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(codes)


def exchanges(path: str, first: int) -> list[tuple[str, str, dict[str, Any]]]:
    """Requests that give `path` each another picture."""
    return [
        ("PUT", path, {"content": png(first + n), "headers": {"content-type": "image/png"}})
        for n in range(AT_ONCE)
    ]


def pictures(base: str, key: str) -> int:
    return int(httpx2.get(f"{base}{THINGS}/items/{key}").json()["references"])


def test_of_exchanges_at_once_the_last_stays(base: str) -> None:
    for turn in range(ROUNDS):
        calls = exchanges("items/mug/references", 100 + AT_ONCE * turn)
        assert at_once(base, calls) == [200] * AT_ONCE
        assert pictures(base, "mug") == 1


def test_one_reference_is_exchanged_once(base: str) -> None:
    for turn in range(ROUNDS):
        (one,) = httpx2.get(f"{base}{THINGS}/references").json()["items"]
        calls = exchanges(f"references/{one['id']}", 300 + AT_ONCE * turn)
        assert at_once(base, calls) == [200, *[404] * (AT_ONCE - 1)]


@pytest.mark.parametrize("items", [1, AT_ONCE])
def test_a_file_is_one_reference_of_one_item(base: str, items: int) -> None:
    for turn in range(ROUNDS):
        data = png(500 + turn)
        codes = at_once(
            base,
            [
                (
                    "POST",
                    f"items?key={turn}-{n % items}",
                    {"files": {"image": (f"{n}.png", data, "image/png")}},
                )
                for n in range(AT_ONCE)
            ],
        )
        if items == 1:
            assert codes == [201] * AT_ONCE
            assert pictures(base, f"{turn}-0") == 1
        else:
            assert codes == [201, *[409] * (AT_ONCE - 1)]
