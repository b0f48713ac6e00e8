"""Forms made to hold up a service, on every surface that reads them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from drawing import draw_folder
from hostile_requests import GALLERY, PICTURE_ROUTES
from serving import served

from kenspeckle import Gallery
from kenspeckle.config import ModelSettings, ServeSettings, Settings

FORM = "multipart/form-data; boundary=x"
PATHS = tuple(path for path, _, _ in PICTURE_ROUTES)
SLOW = b"\r\n--xq" * 800_000
"""What the framework's parser goes through byte by byte, in a second or more."""
VALUES = b"&".join([b"a=" + b"%41" * 330_000] * 12)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("forms")
    settings = Settings(
        models=ModelSettings(name="dummy", offline=True),
        serve=ServeSettings(keys=str(folder / "none.keys")),
    )
    draw_folder(folder / "things")
    with Gallery.create(folder / "things.ken", settings=settings) as gallery:
        gallery.index(folder / "things")
    with served(settings, [folder / "things.ken"]) as (address, _):
        yield address


def post(base: str, path: str, form: bytes, kind: str = FORM) -> httpx2.Response:
    headers = {"content-type": kind}
    return httpx2.post(f"{base}{path}", content=form, headers=headers, timeout=90)


def field(name: str, value: bytes) -> bytes:
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
    return head.encode() + value + b"\r\n"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("charset", ["punycode", "undefined", "idna"])
def test_another_charset_is_refused_by_name(base: str, path: str, charset: str) -> None:
    form = field("label", b"xn--\xc3.") + b"--x--\r\n"
    told = post(base, path, form, f"{FORM}; charset={charset}")
    assert told.status_code == 422, told.text
    assert f"charset '{charset}'; expected utf-8, iso-8859-1 or us-ascii" in told.text


def slow(name: str) -> bytes:
    head = f'\r\n--x\r\nContent-Disposition: form-data; name="{name}"; filename="a"\r\n\r\n'
    return head.encode() + SLOW + b"\r\n--x--\r\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "kind", "form"),
    [
        (f"{GALLERY}/identify", FORM, slow("image")),
        ("/v1/analyze", FORM, slow("image")),
        ("/analyze_image_upload/", FORM, slow("image_file")),
        ("/api/falcon", "application/x-www-form-urlencoded", VALUES),
    ],
    ids=["identify", "v1", "analyze", "falcon"],
)
def test_others_are_answered_while_a_form_is_read(
    base: str, path: str, kind: str, form: bytes
) -> None:
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(post(base, path, form, kind).status_code)

    thread = threading.Thread(target=ask)
    begun, worst = time.monotonic(), 0.0
    thread.start()
    while thread.is_alive():
        asked = time.monotonic()
        assert httpx2.get(f"{base}/livez", timeout=60).status_code == 200
        worst = max(worst, time.monotonic() - asked)
    thread.join()
    assert 400 <= statuses[0] < 500
    assert worst < (time.monotonic() - begun) / 2
