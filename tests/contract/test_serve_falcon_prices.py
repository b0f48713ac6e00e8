"""Prices of the surface `falcon` (items 15, 16, 17) and where they come from (item 22)."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
from falcon import masks, priced, settings
from rephotographed import photo, scenes, taken
from serving import PATIENCE, served

from kenspeckle import Gallery
from kenspeckle.serve.routes.falcon_state import Falcon

if TYPE_CHECKING:
    from commands import Command

PRICE = (
    "code", "median", "min", "max", "currency", "name_jp", "usd_median", "usd_min", "usd_max",
)  # fmt: skip


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


def test_item_15_a_photo_added_by_hand_has_the_price_of_its_print(
    cards: Path, price_file: Path, tmp_path: Path
) -> None:
    """Its own file name says nothing; the item does, as long as it has one print."""
    moon, coffee = (scenes()[name] for name in ("moon", "coffee"))
    shots = {"moon": photo(moon, 1), "coffee": photo(coffee, 1)}
    gallery_file = tmp_path / "gallery.ken"
    shutil.copy(cards, gallery_file)
    (tmp_path / "mine.jpg").write_bytes(shots["moon"])
    with Gallery.open(gallery_file, write=True) as gallery:
        gallery.confirm(tmp_path / "mine.jpg", "moon")
        gallery.add(shots["coffee"], label="Coffee")
    asked = settings(prices=str(price_file), usd_per_jpy=0.01, detector=False)
    with served(asked, [gallery_file]) as (base, _), httpx2.Client(base_url=base) as client:
        (mask,) = masks(client, shots["moon"])
        assert mask["ref_filename"].endswith("mine.jpg"), "that very photo won"
        assert (mask["label"], mask["variant"]) == ("Moon (PScR)", "LOCH-JP001 PScR")
        assert mask["price"]["median"] == 9000
        assert mask["listing_id"]
        (mask,) = masks(client, shots["coffee"])
        assert mask["ref_filename"].startswith("added/")
        assert (mask["label"], mask["variant"]) == ("Coffee (UR)", "")
        assert (mask["price"]["code"], mask["price"]["median"]) == ("LOCH-JP002", 30)
        with Gallery.open(gallery_file, write=True) as gallery:
            gallery.add(taken(coffee.rotate(4)), label="Coffee", variant="LOCR-JP009 SR")
        (mask,) = masks(client, shots["coffee"])
        assert (mask["label"], mask["price"]) == ("Coffee", None), "which of two is not guessed"


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
    assert [one["rarity"] for one in told["top"]] == ["", "", ""], "the medians are of all"
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


def sold_out(folder: Path) -> tuple[object, ...]:
    """The words that ask again, of a page that has lost a card and a rarity of another one."""
    refs = refs_of(folder, "LOCH-JP001_moon_ur.png")
    left = '<p title="LOCH-JP001 N 月">1,200 円</p>'
    (folder / "left.html").write_text(left, encoding="utf-8")
    return ("scrape-prices", "--refs", refs, "--out", "p.json", "--pages", folder / "left.html")


def test_item_22_what_is_sold_out_keeps_its_price(command: Command, tmp_path: Path) -> None:
    again = sold_out(tmp_path)
    (tmp_path / "page.html").write_text(PAGE, encoding="utf-8")
    command(*again[:-1], tmp_path / "page.html")
    said = command(*again)
    assert "2 cards (LOCH-JP001, LOCH-JP003)" in said.err
    told = json.loads(Path("p.json").read_text(encoding="utf-8"))["prices"]
    assert told["LOCH-JP001"]["rarities"] == {"UR": 1234, "N": 1200, "20thSE": 12000}
    assert told["LOCH-JP003"]["median"] == 80
    said = command(*again, "--replace")
    assert "gone from p.json: 2 cards (LOCH-JP001, LOCH-JP003)" in said.err
    told = json.loads(Path("p.json").read_text(encoding="utf-8"))["prices"]
    assert {code: one["rarities"] for code, one in told.items()} == {"LOCH-JP001": {"N": 1200}}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"site": "shop", "currency": "JPY", "prices": {"A-B1": {"median": 5}}}', "shop in JPY"),
        ('{"site": "yuyu-tei", "prices": {"A-B1": {"median": 5}}}', "yuyu-tei in USD"),
        ('{"currency": "JPY", "prices": {"A-B1": {"median": 5}}}', "does not name"),
        ('{"currency": "JPY", "prices": {"A-B1": {"med', "not JSON"),
        ("[]", "no table of prices"),
    ],
)
def test_item_22_a_file_that_is_not_ours_is_replaced_when_told_only(
    command: Command, tmp_path: Path, text: str, named: str
) -> None:
    words = sold_out(tmp_path)
    Path("p.json").write_text(text)
    said = command(*words, code=1)
    assert named in said.err
    assert "--replace" in said.err
    assert Path("p.json").read_text() == text
    said = command(*words, "--replace")
    assert named in said.err
    assert list(json.loads(Path("p.json").read_text())["prices"]) == ["LOCH-JP001"]


def test_item_22_amounts_are_told_in_full(command: Command, tmp_path: Path) -> None:
    words = sold_out(tmp_path)
    page = '<p title="LOCH-JP001 N 月">12,345,678 円</p>'
    (tmp_path / "left.html").write_text(page, encoding="utf-8")
    assert "LOCH-JP001  12345678  月" in command(*words).out


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
