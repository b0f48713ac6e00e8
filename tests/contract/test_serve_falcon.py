"""The surface `falcon` on a real server: items 9 to 17, 20 and 22 of the list of `identify`."""

from __future__ import annotations

import io
import json
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx2
import numpy as np
import pytest
from PIL import Image
from prints import card
from rephotographed import laid, photo, prints, scenes, table, taken, unrelated
from serving import PATIENCE, Process, served

from kenspeckle.config import IndexSettings, ModelSettings, ServeSettings, Settings
from kenspeckle.gallery import Gallery
from kenspeckle.serve.routes.falcon_state import Falcon
from kenspeckle.serve.service import Service

if TYPE_CHECKING:
    from commands import Command

MASK = {
    "bbox_norm": dict, "area_fraction": float, "label": str, "name": str, "rarity": str,
    "score": float, "top_k": list, "margin": float, "confident": bool, "ref_filename": str,
    "price": dict | None, "listing_id": str | None,
}  # fmt: skip
PRICE = (
    "code", "median", "min", "max", "currency", "name_jp", "usd_median", "usd_min", "usd_max",
)  # fmt: skip
CARDS = {
    "LOCH-JP001_moon_pscr": "moon",
    "LOCH-JP002_coffee_ur": "coffee",
    "LOCH-JP003_astronaut": "astronaut",
    "LOCR-JP004_red_motorcycle_sr": "motorcycle_left",
    "odd name #1 100%": "chelsea",
}


@pytest.fixture(scope="module")
def things() -> dict[str, Image.Image]:
    return scenes() | prints()


def made(folder: Path, pictures: dict[str, Image.Image], settings: Settings | None = None) -> Path:
    """An index of these pictures, in a folder `refs`."""
    refs = folder / "refs"
    refs.mkdir()
    for name, image in pictures.items():
        image.save(refs / f"{name}.png")
    path = folder / "gallery.ken"
    with Gallery.create(path, settings=settings) as gallery:
        gallery.index(refs)
    return path


def settings(**given: Any) -> Settings:
    """Settings of a service that asks nobody for a rate of exchange."""
    return Settings(serve=ServeSettings(**{"fx_feed": "", **given}))


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cards with set codes, and whatever else is there."""
    folder, all_scenes = tmp_path_factory.mktemp("cards"), scenes()
    named = {name: all_scenes.pop(scene) for name, scene in CARDS.items()}
    return made(folder, named | all_scenes)


@pytest.fixture(scope="module")
def price_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return priced(tmp_path_factory.mktemp("prices"))


def entry(median: float, low: float, high: float, name: str = "", **rarities: int) -> Any:
    told = {"median": median, "min": low, "max": high, "count": max(len(rarities), 1)}
    return told | {"name_jp": name, "rarities": rarities}


def priced(folder: Path, currency: str = "JPY") -> Path:
    rows = {
        "LOCH-JP001": entry(1000, 300, 9000, "月", PScR=9000, N=300),
        "LOCH-JP002": entry(30, 30, 30),
        "LOCH-JP003": entry(500.5, 1, 1000, "宇宙", UR=1000, N=1),
        "ABCD-JP100": entry(77, 77, 77, "無"),
        "BAD-JP001": {"median": "many"},
    }
    path = folder / "card_prices.json"
    data = {"scraped_at": "2026-01-02T03:04:05", "site": "x", "currency": currency, "prices": rows}
    path.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def running(cards: Path, price_file: Path) -> Iterator[tuple[httpx2.Client, Service]]:
    asked = settings(prices=str(price_file), usd_per_jpy=0.01)
    with served(asked, [cards]) as (base, service), httpx2.Client(base_url=base) as client:
        client.timeout = PATIENCE
        yield client, service


@pytest.fixture(scope="module")
def client(running: tuple[httpx2.Client, Service]) -> httpx2.Client:
    return running[0]


def ask(client: httpx2.Client, data: bytes, query: str = "card") -> httpx2.Response:
    return client.post(
        "/api/falcon", files={"image": ("frame.jpg", data, "image/jpeg")}, data={"query": query}
    )


def masks(client: httpx2.Client, data: bytes) -> list[dict[str, Any]]:
    answer = ask(client, data)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["masks"]
    return found


# Item 9


def test_item_9_all_fields_with_their_types(client: httpx2.Client) -> None:
    told = ask(client, photo(scenes()["moon"], 1), "trading card, 竜").json()
    assert set(told) == {"image_size", "count", "masks", "query", "elapsed_seconds"}
    assert told["image_size"] == [640, 480] or told["image_size"] == [480, 640]
    assert told["count"] == len(told["masks"]) == 1
    assert told["query"] == "trading card, 竜"
    assert told["elapsed_seconds"] == round(told["elapsed_seconds"], 3) > 0
    (mask,) = told["masks"]
    for name, kind in MASK.items():
        assert isinstance(mask[name], kind), name
    box = mask["bbox_norm"]
    assert set(box) == {"x1", "y1", "x2", "y2"}
    assert 0 <= box["x1"] < box["x2"] <= 1
    assert 0 <= box["y1"] < box["y2"] <= 1
    assert mask["area_fraction"] == pytest.approx((box["x2"] - box["x1"]) * (box["y2"] - box["y1"]))
    assert mask["label"] == "Moon (PScR)"
    assert (mask["name"], mask["rarity"]) == ("Moon", "PScR")
    assert mask["ref_filename"] == "LOCH-JP001_moon_pscr.png"
    assert -1 <= mask["score"] <= 1
    assert mask["margin"] > 0
    assert mask["confident"] is True
    first, *_ = mask["top_k"]
    assert len(mask["top_k"]) <= 3
    assert first == {
        "name": "Moon Pscr", "filename": mask["ref_filename"], "score": mask["score"],
    }  # fmt: skip
    assert mask["listing_id"].startswith("lst_")
    assert len(mask["listing_id"]) == 12


def test_item_9_other_parts_and_types_change_nothing(client: httpx2.Client) -> None:
    data = photo(scenes()["coffee"], 2)
    answer = client.post(
        "/api/falcon",
        files={"image": ("x", data, "text/plain"), "model": ("m.bin", b"abc", "x/y")},
        data={"query": "q"},
    )
    assert answer.status_code == 200
    assert [one["name"] for one in answer.json()["masks"]] == ["Coffee"]


# Item 10


@pytest.mark.slow
def test_item_10_photographed_anew_and_unrelated(
    tmp_path: Path, things: dict[str, Image.Image]
) -> None:
    path = made(tmp_path, things)
    with served(settings(), [path]) as (base, service), httpx2.Client(base_url=base) as client:
        client.timeout = PATIENCE
        ask(client, photo(things["moon"], 0))
        Falcon.of(service).deciding.wait(PATIENCE)
        right = [
            [one["ref_filename"] for one in masks(client, photo(image, seed + number))]
            == [f"{name}.png"]
            for number, (name, image) in enumerate(things.items())
            for seed in (0, 100)
        ]
        assert np.mean(right) >= 0.95
        for number, image in enumerate(unrelated()):
            assert masks(client, taken(image)) == []
            assert masks(client, photo(image, number)) == []


@pytest.mark.slow
@pytest.mark.assets
def test_item_10_with_stamps(tmp_path: Path, assets: Path) -> None:
    files = sorted((assets / "data/stamps/images/ref").iterdir())[:80]
    images = [Image.open(file).convert("RGB") for file in files]
    path = made(tmp_path, {f"stamp {n}": image for n, image in enumerate(images[:40])})
    with served(settings(), [path]) as (base, service), httpx2.Client(base_url=base) as client:
        client.timeout = PATIENCE
        ask(client, photo(images[0], 0))
        Falcon.of(service).deciding.wait(PATIENCE)
        right = [
            [one["ref_filename"] for one in masks(client, photo(image, number))]
            == [f"stamp {number}.png"]
            for number, image in enumerate(images[:40])
        ]
        assert np.mean(right) >= 0.95
        false = [masks(client, taken(image)) for image in unrelated()]
        assert not any(false)


def test_several_things_in_one_photo_get_a_mask_each(client: httpx2.Client) -> None:
    all_scenes = scenes()
    ground = table(np.random.default_rng(5), (1200, 700))
    laid(ground, all_scenes["coffee"], (230, 330), 230, 9)
    laid(ground, all_scenes["astronaut"], (640, 330), 300, -7)
    laid(ground, all_scenes["chelsea"], (1010, 430), 200, 4)
    laid(ground, unrelated()[0], (1000, 140), 170, -12)
    found = masks(client, taken(ground, 0.6))
    centres = {one["name"]: (one["bbox_norm"]["x1"] + one["bbox_norm"]["x2"]) / 2 for one in found}
    assert sorted(centres) == ["Astronaut", "Coffee", "Odd Name #1 100%"]
    assert centres["Coffee"] < centres["Astronaut"] < centres["Odd Name #1 100%"]


# Item 11


def bomb() -> bytes:
    """A PNG of a few hundred bytes that says it is 60,000 pixels a side."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return len(data).to_bytes(4) + kind + data + check.to_bytes(4)

    size = (60_000).to_bytes(4) * 2
    head = chunk(b"IHDR", size + bytes((8, 2, 0, 0, 0)))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000)))


@pytest.mark.parametrize("data", [b"", b"junk", b"\xff\xd8\xff" + bytes(100), b"<svg/>"])
def test_item_11_junk(client: httpx2.Client, data: bytes) -> None:
    answer = ask(client, data)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("bad image: ")


def test_item_11_a_missing_part(client: httpx2.Client) -> None:
    data = photo(scenes()["moon"], 1)
    no_query = client.post("/api/falcon", files={"image": ("a.jpg", data)})
    no_image = client.post("/api/falcon", data={"query": "card"})
    text = client.post("/api/falcon", data={"query": "card", "image": "text"})
    nothing = client.post("/api/falcon")
    for answer, missing in ((no_query, "query"), (no_image, "image"), (text, "image")):
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["body", missing]
    assert nothing.status_code == 422


def test_item_11_too_much(cards: Path) -> None:
    asked = settings(max_body=200_000)
    with served(asked, [cards]) as (base, _), httpx2.Client(base_url=base) as client:
        answer = ask(client, bytes(300_000))
        assert answer.status_code == 413
        assert answer.json()["detail"]
        assert ask(client, photo(scenes()["moon"], 1)).status_code == 200


def test_item_11_a_bomb(client: httpx2.Client) -> None:
    answer = ask(client, bomb())
    assert 400 <= answer.status_code < 500
    assert "detail" in answer.json()


def test_item_11_a_malformed_form(client: httpx2.Client) -> None:
    for body in (b"", b"--x\r\n", b"--x\r\nContent-Disposition: form-data\r\n\r\n\r\n--x--"):
        headers = {"content-type": "multipart/form-data; boundary=x"}
        answer = client.post("/api/falcon", content=body, headers=headers)
        assert 400 <= answer.status_code < 500
        assert "detail" in answer.json()


@pytest.mark.slow
def test_item_11_health_answers_beside_20_posts(client: httpx2.Client) -> None:
    data, statuses = photo(scenes()["moon"], 3), list[int]()

    def post() -> None:
        statuses.append(ask(client, data).status_code)

    threads = [threading.Thread(target=post) for _ in range(20)]
    for thread in threads:
        thread.start()
    waits = []
    while any(thread.is_alive() for thread in threads):
        start = time.perf_counter()
        assert client.get("/health").status_code == 200
        waits.append(time.perf_counter() - start)
    for thread in threads:
        thread.join()
    assert statuses == [200] * 20
    assert waits
    assert np.median(waits) < 0.5


# Item 12


def test_item_12_health_and_info(client: httpx2.Client) -> None:
    told = client.get("/health").json()
    kinds = {
        "phase": str, "model_loaded": bool, "device": str, "index_size": int,
        "has_projection": bool, "has_yolo": bool, "sim_threshold": float,
        "margin_threshold": float, "requests_served": int, "last_query": str,
    }  # fmt: skip
    for name, kind in kinds.items():
        assert isinstance(told[name], kind), name
    assert told["phase"] == "ready"
    assert told["index_size"] == len(scenes())
    assert told["last_query"] == ""
    before = told["requests_served"]
    ask(client, photo(scenes()["moon"], 1), "a secret")
    told = client.get("/health").json()
    assert told["requests_served"] == before + 1
    assert told["last_query"] == ""
    assert "secret" not in client.get("/").text
    info = client.get("/api/info")
    assert info.status_code == 200
    assert info.json()["falcon"]
    assert info.json()["decides"]["kind"] == "calibrated"


# Item 13


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


def dummy() -> Settings:
    return replace(settings(), models=ModelSettings(name="dummy"))


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
    from kenspeckle.serve.routes.falcon_refs import address_of

    return address_of(reference)


def test_item_13_the_address_that_the_answer_gives(client: httpx2.Client) -> None:
    (mask,) = masks(client, photo(scenes()["chelsea"], 4))
    assert mask["ref_filename"] == "odd name #1 100%.png"
    answer = client.get(mask["ref_url"])
    assert answer.status_code == 200
    assert Image.open(io.BytesIO(answer.content)).size == scenes()["chelsea"].size


# Item 14


def test_item_14_another_width_or_backbone_is_refused_at_the_start(tmp_path: Path) -> None:
    rows = np.eye(4, 256, dtype=np.float32)
    names = np.array([f"Card {n}" for n in range(4)], dtype=object)
    np.savez(tmp_path / "head.npz", embeddings=rows, names=names, filenames=names)
    index = made(tmp_path, {f"thing {n}": card(n) for n in range(3)}, dummy())
    for words, env in (
        (["--index", tmp_path / "head.npz"], {}),
        ([index], {"KENSPECKLE_MODELS_NAME": "default"}),
    ):
        process = Process(["--port", "0", *words], tmp_path, **env)
        code = process.process.wait(PATIENCE)
        assert process.process.stdout is not None
        process.process.stdout.close()
        said = process.log.read_text()
        assert code == 1
        assert "Traceback" not in said
        assert len(said.strip().splitlines()) <= 2
        assert "expected" in said


# Items 15 and 16


def test_item_15_prices(client: httpx2.Client) -> None:
    (moon,) = masks(client, photo(scenes()["moon"], 1))
    price = moon["price"]
    assert set(PRICE) <= set(price)
    assert price == {
        "code": "LOCH-JP001", "median": 9000, "min": 300, "max": 9000, "currency": "JPY",
        "name_jp": "月", "usd_median": 90.0, "usd_min": 3.0, "usd_max": 90.0, "rarity": "PScR",
    }  # fmt: skip
    (astronaut,) = masks(client, photo(scenes()["astronaut"], 1))
    assert astronaut["price"]["median"] == 500.5, "no rarity is known, so that of all"
    (chelsea,) = masks(client, photo(scenes()["chelsea"], 1))
    assert chelsea["price"] is None
    assert chelsea["listing_id"] is None


def test_item_15_a_currency_without_a_rate(cards: Path, tmp_path: Path) -> None:
    path = priced(tmp_path, "XTS")
    asked = settings(prices=str(path))
    with served(asked, [cards]) as (base, _), httpx2.Client(base_url=base) as client:
        (moon,) = masks(client, photo(scenes()["moon"], 1))
        assert moon["price"]["currency"] == "XTS"
        assert moon["price"]["median"] == 9000
        assert [moon["price"][name] for name in PRICE[-3:]] == [None, None, None]
        top = client.get("/api/top-prices").json()["top"]
        assert top[0]["code"] == "LOCH-JP001"
        assert all(one["usd_median"] is None and one["jpy_median"] == 0 for one in top)


def test_item_16_the_dearest_cards(client: httpx2.Client) -> None:
    told = client.get("/api/top-prices", params={"limit": 3}).json()
    assert told["ok"] is True
    assert told["count"] == len(told["top"]) == 3
    assert [one["code"] for one in told["top"]] == ["LOCH-JP001", "LOCH-JP003", "ABCD-JP100"]
    assert [one["usd_median"] for one in told["top"]] == [10.0, 5.0, 0.77]
    assert [one["jpy_median"] for one in told["top"]] == [1000, 500.5, 77]
    assert [one["name"] for one in told["top"]] == ["Moon", "Astronaut", ""]
    assert told["fx"] == {
        "base": "USD", "rate": 0.01, "currency": "JPY", "as_of": "", "source": "setting",
    }  # fmt: skip
    assert client.get("/api/top-prices").json()["count"] == 4
    assert client.get("/api/top-prices", params={"limit": 0}).json()["top"] == []
    for wrong in ("-1", "1001", "many", "nan", "9" * 400):
        assert client.get("/api/top-prices", params={"limit": wrong}).status_code == 422


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", '{"prices": 3}', "[" * 100_000, '{"a": NaN}']
)
def test_item_16_without_prices(cards: Path, tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "prices.json"
    if text is not None:
        path.write_text(text)
    with served(settings(prices=str(path)), [cards]) as (base, service):
        told = httpx2.get(f"{base}/api/top-prices")
        assert told.status_code == 200
        assert (told.json()["count"], told.json()["top"]) == (0, [])
        note = httpx2.get(f"{base}/health").json()["prices"]["note"]
        assert "prices.json" in note
        assert str(tmp_path) not in note
        assert any(note in remark for remark in service.notes), "it is said at the start"


# Item 17


def test_item_17_no_network_and_a_rate_that_is_set(cards: Path, price_file: Path) -> None:
    nobody = f"http://127.0.0.1:9/{'x' * 10}"
    start = time.monotonic()
    asked = settings(prices=str(price_file), fx_feed=nobody)
    with served(asked, [cards]) as (base, service):
        assert time.monotonic() - start < PATIENCE
        book = Falcon.of(service).prices
        book.exchange.wait(PATIENCE)
        fx = httpx2.get(f"{base}/health").json()["fx"]
        assert fx["source"] in ("built-in", "cached")
        if fx["source"] == "built-in":
            assert fx["rate"] == pytest.approx(1 / 150)
        assert book.exchange.note
        assert httpx2.get(f"{base}/api/top-prices").json()["fx"] == fx
    asked = settings(prices=str(price_file), fx_feed=nobody, usd_per_jpy=0.02)
    with served(asked, [cards]) as (base, _):
        fx = httpx2.get(f"{base}/health").json()["fx"]
        assert (fx["source"], fx["rate"]) == ("setting", 0.02)


# The fixed rule of the former service


def test_fixed_thresholds_decide_with_their_question_marks(cards: Path) -> None:
    data = photo(scenes()["moon"], 1)
    asked = settings(similarity=-1.0, margin=2.0)
    with served(asked, [cards]) as (base, _), httpx2.Client(base_url=base) as client:
        found = masks(client, data)
        assert found
        assert all(one["label"].endswith("?") and not one["confident"] for one in found)
        assert all(one["listing_id"] is None for one in found)
        told = client.get("/health").json()
        assert (told["sim_threshold"], told["margin_threshold"]) == (-1.0, 2.0)
    asked = settings(similarity=1.0)
    with served(asked, [cards]) as (base, _), httpx2.Client(base_url=base) as client:
        assert masks(client, data) == []
        told = client.get("/health").json()
        assert (told["sim_threshold"], told["margin_threshold"]) == (1.0, 0.04)


def test_without_looking_for_things_the_photo_counts_as_a_whole(cards: Path) -> None:
    asked = settings(detector=False)
    with served(asked, [cards]) as (base, _), httpx2.Client(base_url=base) as client:
        (mask,) = masks(client, taken(scenes()["moon"]))
        assert mask["name"] == "Moon"


# Item 20


def test_item_20_two_prints_of_one_item(tmp_path: Path) -> None:
    all_scenes = scenes() | prints()
    moon = all_scenes.pop("moon")
    rest = dict(list(all_scenes.items())[:18])
    pictures = {"LOCH-JP001_moon_ur": moon, "LOCH-JP002_moon_scr": moon.rotate(2)} | rest
    path = made(tmp_path, pictures)
    with served(settings(), [path]) as (base, _), httpx2.Client(base_url=base) as client:
        (mask,) = masks(client, photo(moon, 1))
        assert mask["name"] == "Moon"
        assert mask["confident"] is True
        assert mask["margin"] > 0.05, "prints of one item do not compete"
        assert mask["variant"]
        if not mask["variant_certain"]:
            assert mask["rarity"] == ""
            assert mask["label"] == "Moon"


# Item 22

PAGE = """<html><body>
<script>var x = '<img alt="LOCH-JP009 UR x">1 円';</script>
<div class="card-product"><img alt="LOCH-JP001 UR 月"><h4>月</h4><strong>1234 円</strong></div>
<div class="card-product"><img alt="LOCH-JP001 N 月"><strong>1,000円</strong></div>
<div class="card-product"><img alt="LOCH-JP001 20thSE 月"><strong>１２,０００ 円</strong></div>
<div class="card-product sold"><img alt="LOCH-JP002 UR 城"><strong>売切</strong></div>
<div class="card-product"><img alt="LOCH-JP003 SR 人 &quot;其&quot;"><strong>80 円</strong></div>
<div class="card-product"><img alt="OTHR-JP003 SR 人"><strong>70 円</strong></div>
</body>"""


def refs_of(folder: Path, *names: str) -> Path:
    refs = folder / "refs"
    refs.mkdir(exist_ok=True)
    for name in names:
        (refs / name).write_bytes(b"x")
    return refs


def test_item_22_prices_of_a_saved_page(command: Command, tmp_path: Path) -> None:
    refs = refs_of(tmp_path, "LOCH-JP001_moon_ur.png", "LOCH-JP003_man.png", "plain.png")
    (tmp_path / "page.html").write_text(PAGE, encoding="utf-8")
    said = command(
        "scrape_prices", "--refs", refs, "--pages", tmp_path / "page.html", "--out", "p.json"
    )
    assert "LOCH-JP: 4 listings" in said.out
    text = Path("p.json").read_text(encoding="utf-8")
    assert "月" in text, "not escaped"
    told = json.loads(text)
    assert (told["site"], told["currency"]) == ("yuyu-tei", "JPY")
    assert "." not in told["scraped_at"]
    assert "+" not in told["scraped_at"]
    assert told["prices"] == {
        "LOCH-JP001": {
            "median": 1234, "min": 1000, "max": 12000, "count": 3, "name_jp": "月",
            "rarities": {"UR": 1234, "N": 1000, "20thSE": 12000},
        },
        "LOCH-JP003": {
            "median": 80, "min": 80, "max": 80, "count": 1, "name_jp": '人 "其"',
            "rarities": {"SR": 80},
        },
    }  # fmt: skip


def test_item_22_a_failure_keeps_the_old_file(command: Command, tmp_path: Path) -> None:
    refs = refs_of(tmp_path, "LOCH-JP001_moon_ur.png", "LOCR-JP001_sun.png")
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "LOCH-JP.html").write_text(PAGE, encoding="utf-8")
    (pages / "LOCR-JP.html").write_text('<p title="LOCR-JP001 N 日">5 円</p>', encoding="utf-8")
    words = ("scrape-prices", "--refs", refs, "--out", "p.json", "--pages", pages)
    command(*words)
    good = Path("p.json").read_bytes()
    for name in ("LOCH-JP.html", "LOCR-JP.html"):
        (pages / name).write_text("<html>busy</html>")
    said = command(*words, code=1)
    assert "no price was found" in said.err
    assert Path("p.json").read_bytes() == good
    (pages / "LOCH-JP.html").unlink()
    (pages / "LOCR-JP.html").write_text('<p title="LOCR-JP001 N 日">6 円</p>', encoding="utf-8")
    command(*words)
    told = json.loads(Path("p.json").read_text(encoding="utf-8"))["prices"]
    assert told["LOCR-JP001"]["median"] == 6
    assert told["LOCH-JP001"]["median"] == 1234, "of the set that failed the old price stays"


def test_item_22_too_many_sets_and_none(command: Command, tmp_path: Path) -> None:
    refs = refs_of(tmp_path, *(f"{a}{b}-JP001_x.png" for a in "ABCD" for b in "EFG"))
    said = command("scrape_prices", "--refs", refs, code=1)
    assert "12 sets" in said.err
    assert "--max-prefixes" in said.err
    assert not Path("card_prices.json").exists()
    command("scrape_prices", "--refs", tmp_path / "nowhere", code=1)
    (tmp_path / "plain").mkdir()
    assert "set code" in command("scrape_prices", "--refs", tmp_path / "plain", code=1).err
    assert "yuyu-tei" in command("scrape_prices", "--site", "list").out
    assert "yuyu-tei" in command("scrape_prices", "--refs", refs, "--site", "x", code=2).err
