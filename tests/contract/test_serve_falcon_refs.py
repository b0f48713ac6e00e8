"""Reference pictures of the surface `falcon` (item 13), and where its galleries come from."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from falcon import dummy, masks
from PIL import Image
from prints import card
from rephotographed import photo, scenes, taken
from serving import PATIENCE, served

from kenspeckle.config import IndexSettings
from kenspeckle.gallery import Gallery
from kenspeckle.serve.routes.falcon_state import Falcon


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """References with difficult names, beside them what is nobody's business."""
    refs = tmp_path / "refs"
    (refs / "below").mkdir(parents=True)
    for number, name in enumerate(["a b.png", "c#1.png", "50%.png", "what?.png", "below/é.png"]):
        card(number).save(refs / name)
    (refs / "notes.txt").write_text("private")
    card(8).save(tmp_path / "outside.png")
    (refs / "link.png").symlink_to(tmp_path / "outside.png")
    with Gallery.create(tmp_path / "g.ken", settings=dummy()) as gallery:
        gallery.index(refs)
        gallery.add(str(tmp_path / "outside.png"), label="Elsewhere")
        gallery.add((refs / "a b.png").read_bytes(), label="Sent")
    card(9).save(refs / "unlisted.png")
    return tmp_path


def test_item_13_only_what_is_indexed(folder: Path) -> None:
    with (
        served(dummy(), [folder / "g.ken"]) as (base, service),
        httpx2.Client(base_url=base, follow_redirects=True) as client,
    ):
        for name in ("a b.png", "c#1.png", "50%.png", "what?.png", "below/é.png"):
            answer = client.get(f"/refs/{quote(name)}")
            assert answer.status_code == 200, name
            assert answer.content == (folder / "refs" / name).read_bytes()
            assert answer.headers["content-type"] == "image/png"
            assert client.head(f"/refs/{quote(name)}").status_code == 200
            again = {"if-none-match": answer.headers["etag"]}
            assert client.get(f"/refs/{quote(name)}", headers=again).status_code == 304
        hidden = [
            *("unlisted.png", "notes.txt", "link.png", "", "below", "nothing.png"),
            *("..%2fg.ken", "%2e%2e/g.ken", "..%5cg.ken", "below%2f..%2fnotes.txt"),
            *(quote(str(folder / "outside.png"), safe=""), quote(str(folder / "outside.png"))),
            *("/etc/passwd", "%2fetc%2fpasswd", "file:%2f%2f%2fetc%2fpasswd", "%ff%fe", "x" * 3000),
        ]
        for name in hidden:
            assert client.get(f"/refs/{name}").status_code == 404, name
        assert client.get("/refs/a%20b.png%00").status_code in (400, 404)
        for one in Falcon.of(service).gallery.references():
            if one.origin == "added":
                told = falcon_address(one)
                assert str(folder) not in told
                assert client.get(told).headers["content-type"] == "image/jpeg"
        (folder / "refs" / "c#1.png").write_text("private, under the name of a picture")
        assert client.get("/refs/c%231.png").status_code == 404


def test_an_npz_of_the_former_layout_with_a_folder_of_references(
    folder: Path, price_file: Path
) -> None:
    refs = folder / "cards"
    refs.mkdir()
    for number in range(3):
        card(number).save(refs / f"LOCH-JP00{number + 1}_card_{number}_ur.png")
    with Gallery.create(folder / "c.ken", settings=dummy()) as gallery:
        gallery.index(refs)
        gallery.export(folder / "c.npz")
    asked = replace(dummy(), index=IndexSettings(refs=str(refs)))
    given = {"prices": str(price_file), "similarity": 0.5, "detector": False}
    asked = replace(asked, serve=replace(asked.serve, **given))
    with served(asked, [folder / "c.npz"]) as (base, _), httpx2.Client(base_url=base) as client:
        (mask,) = masks(client, (refs / "LOCH-JP001_card_0_ur.png").read_bytes())
        assert mask["label"].startswith("Card 0 (UR)")
        assert mask["price"]["code"] == "LOCH-JP001"
        assert client.get(mask["ref_url"]).content == (refs / mask["ref_filename"]).read_bytes()
        assert client.get("/refs/a%20b.png").status_code == 404


def test_an_empty_gallery_names_nothing(tmp_path: Path) -> None:
    Gallery.create(tmp_path / "g.ken", settings=dummy()).close()
    with served(dummy(), [tmp_path / "g.ken"]) as (base, _), httpx2.Client(base_url=base) as client:
        assert masks(client, taken(scenes()["moon"])) == []
        assert client.get("/api/info").json()["index_size"] == 0
        assert client.get("/health").json()["decides"]["kind"] == "fixed"


def test_below_a_prefix_addresses_lead_below_it(folder: Path) -> None:
    asked = dummy()
    asked = replace(asked, serve=replace(asked.serve, surfaces=("falcon=/old",), similarity=0.5))
    with served(asked, [folder / "g.ken"]) as (base, _), httpx2.Client(base_url=base) as client:
        files = {"image": ("frame.jpg", (folder / "refs" / "a b.png").read_bytes())}
        told = client.post("/old/api/falcon", files=files, data={"query": "x"}).json()["masks"]
        assert told[0]["ref_url"].startswith("/old/refs/")
        assert client.get(told[0]["ref_url"]).status_code == 200
        assert client.get("/api/info").status_code == 404


def falcon_address(reference: Any) -> str:
    from kenspeckle.serve.routes.falcon_names import address_of

    return address_of(reference)


def test_item_13_the_address_that_the_answer_gives(client: httpx2.Client) -> None:
    (mask,) = masks(client, photo(scenes()["chelsea"], 4))
    assert mask["ref_filename"] == "odd name #1 100%.png"
    answer = client.get(mask["ref_url"])
    assert answer.status_code == 200
    assert Image.open(io.BytesIO(answer.content)).size == scenes()["chelsea"].size


def test_no_question_reads_the_whole_gallery(
    folder: Path, price_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def all_of_it(*_: object, **__: object) -> None:
        raise AssertionError("the whole gallery was read for one request")

    asked = dummy()
    asked = replace(asked, serve=replace(asked.serve, prices=str(price_file)))
    with (
        served(asked, [folder / "g.ken"]) as (base, service),
        httpx2.Client(base_url=base, timeout=PATIENCE) as client,
    ):
        outside = [
            falcon_address(one)
            for _, one in service.gallery().store.page()
            if one.filename == "outside.png"
        ]
        for name in ("references", "items", "snapshot"):
            monkeypatch.setattr(service.gallery().store, name, all_of_it)
        assert client.get("/refs/added/0000000000000000/a.png").status_code == 404
        assert [client.get(address).status_code for address in outside] == [200]
        for address in ("/", "/health", "/api/info", "/api/top-prices"):
            assert client.get(address).status_code == 200, address
