"""Forms that hold up a service, or would store what nobody meant, on every surface."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from drawing import draw, draw_folder
from hostile_requests import GALLERY, PICTURE_ROUTES
from serving import served

from kenspeckle import Gallery
from kenspeckle.config import ModelSettings, ServeSettings, Settings

FORM = "multipart/form-data; boundary=x"
PATHS = tuple(path for path, _, _ in PICTURE_ROUTES)
SLOW = b"\r\n--xq" * 800_000
"""What the framework's parser goes through byte by byte, in a second or more."""
VALUES = "application/x-www-form-urlencoded"


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


def picture() -> bytes:
    out = io.BytesIO()
    draw(77).save(out, "PNG")
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    return head + out.getvalue() + b"\r\n"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("charset", ["punycode", "undefined", "idna"])
def test_another_charset_is_refused_by_name(base: str, path: str, charset: str) -> None:
    form = field("label", b"xn--\xc3.") + b"--x--\r\n"
    told = post(base, path, form, f"{FORM}; charset={charset}")
    assert told.status_code == 422, told.text
    assert f"charset '{charset}'; expected utf-8, us-ascii, iso-8859-1, iso-8859-15 or" in told.text


@pytest.mark.parametrize("charset", ["", "windows-1252", "ISO-8859-15"])
def test_a_charset_that_clients_name_is_taken_everywhere(base: str, charset: str) -> None:
    for path, (name, other) in {
        "/api/falcon": ("image", field("query", b"mug")),
        "/analyze_image_upload/": ("image_file", field("tasks_json", b"[]")),
        f"{GALLERY}/identify": ("image", b""),
    }.items():
        form = picture().replace(b'"image"', f'"{name}"'.encode()) + other + b"--x--\r\n"
        told = post(base, path, form, f"multipart/form-data; charset={charset}; boundary=x")
        assert told.status_code == 200, told.text


def test_a_form_that_can_hold_no_picture_is_small(base: str) -> None:
    assert post(base, "/api/falcon", b"&" * (256 * 1024), VALUES).status_code == 422
    told = post(base, "/api/falcon", b"&" * (256 * 1024 + 1), VALUES)
    assert told.status_code == 413, told.text
    assert "expected multipart/form-data" in told.json()["detail"]


def test_a_text_for_a_picture_is_told_as_the_clients_of_each_surface_know_it(base: str) -> None:
    form = field("image", b"hello") + field("query", b"mug") + b"--x--\r\n"
    (fault,) = post(base, "/api/falcon", form).json()["detail"]
    assert fault["msg"] == "Value error, Expected UploadFile, received: <class 'str'>"
    (fault,) = httpx2.post(f"{base}{GALLERY}/search", json={}).json()["errors"]
    assert fault["msg"].startswith("none of them; expected one of")


def test_names_that_no_job_has_are_counted(base: str) -> None:
    told = httpx2.post(f"{base}{GALLERY}/jobs", json={f"{n:x}": 1 for n in range(40_000)})
    assert told.status_code == 413, told.text
    assert told.json()["detail"] == "request: 40000 names; expected at most 100"


def slow(name: str) -> bytes:
    head = f'\r\n--x\r\nContent-Disposition: form-data; name="{name}"; filename="a"\r\n\r\n'
    return head.encode() + SLOW + b"\r\n--x--\r\n"


@pytest.mark.parametrize("kind", [FORM, f"{FORM}; charset=utf-8", f"{FORM}; charset=us-ascii"])
@pytest.mark.parametrize(("before", "value"), [(b"", b"caf\xe9"), (b"\r\n", b"\xed\xa0\x80")])
def test_a_text_that_is_none_is_refused_and_not_stored_damaged(
    base: str, before: bytes, value: bytes, kind: str
) -> None:
    form = before + field("key", b"cafe") + field("label", value) + picture() + b"--x--\r\n"
    told = post(base, f"{GALLERY}/items", form, kind)
    assert told.status_code == 422, told.text
    (fault,) = told.json()["errors"]
    assert fault["loc"] == ["body", "label"]
    assert fault["msg"].endswith("expected text in UTF-8")
    assert httpx2.get(f"{base}{GALLERY}/items/cafe").status_code == 404


@pytest.mark.parametrize(
    ("kind", "value"),
    [(FORM, b"caf\xc3\xa9"), (f"{FORM}; charset=iso-8859-1", b"caf\xe9")],
)
def test_a_text_is_stored_as_it_was_meant(base: str, kind: str, value: bytes) -> None:
    form = field("key", b"here") + field("label", value) + picture() + b"--x--\r\n"
    told = post(base, f"{GALLERY}/items", form, kind)
    assert told.status_code == 201, told.text
    assert httpx2.get(f"{base}{GALLERY}/items/here").json()["label"] == "café"
    assert httpx2.delete(f"{base}{GALLERY}/items/here").status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "kind", "form"),
    [
        (f"{GALLERY}/identify", FORM, slow("image")),
        ("/v1/analyze", FORM, slow("image")),
        ("/analyze_image_upload/", FORM, slow("image_file")),
        ("/api/falcon", FORM, slow("image")),
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
