"""Price files, price sites and rates of exchange."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kenspeckle.adapters import prices as prices_module
from kenspeckle.adapters.fx import BUILT_IN, Exchange, read_feed
from kenspeckle.adapters.price_file import Price, PriceFile, read_prices, write_prices
from kenspeckle.adapters.prices import PriceBook
from kenspeckle.adapters.scrape import Scraped, from_site, merged, prefix_of, scrape, together
from kenspeckle.adapters.sites.listing import Listing, Site
from kenspeckle.adapters.sites.table import SITES, find_site
from kenspeckle.adapters.sites.yuyu_tei import read
from kenspeckle.config import ImageSettings
from kenspeckle.errors import FetchError, InputError, SettingError

FEED = {
    "result": "success", "base_code": "USD", "time_last_update_unix": 1_700_000_000,
    "rates": {"USD": 1, "JPY": 160, "EUR": 0.8, "XXX": 0, "YYY": None, "ZZZ": True},
}  # fmt: skip
NO_RATES = Exchange()


@pytest.fixture
def answers() -> Iterator[dict[str, tuple[int, bytes]]]:
    """A server on loopback: path → status and body; `base` holds its address."""
    given: dict[str, tuple[int, bytes]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = given.get(self.path, (404, b""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        given["base"] = (0, f"http://127.0.0.1:{server.server_port}".encode())
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield given
        server.shutdown()
        thread.join()


def base(answers: dict[str, tuple[int, bytes]]) -> str:
    return answers["base"][1].decode()


# Rates


def test_a_live_rate_is_used_and_remembered(
    answers: dict[str, tuple[int, bytes]], tmp_path: Path
) -> None:
    answers["/feed"] = (200, json.dumps(FEED).encode())
    cache = tmp_path / "cache/rates.json"
    exchange = Exchange(feed=f"{base(answers)}/feed", cache=cache, private=True)
    assert exchange.now is BUILT_IN, "nothing is fetched before it is asked for"
    exchange.start()
    rates = exchange.wait(30)
    assert (rates.source, rates.as_of) == ("live", "2023-11-14T22:13:20+00:00")
    assert dict(rates.usd) == {"USD": 1, "JPY": 1 / 160, "EUR": 1.25}
    assert (rates.in_usd(100, "EUR"), rates.in_jpy(1, "EUR")) == (125.0, 200)
    again = Exchange(feed="http://127.0.0.1:9/", cache=cache)
    again.start()
    assert again.wait(30).source == "cached"
    assert again.now.usd["JPY"] == 1 / 160
    assert "private" in again.note
    assert Exchange(0.02, feed=f"{base(answers)}/feed", cache=cache).now.source == "setting"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b""), (200, b""), (200, b"[]"), (200, b"{}"), (200, b"[" * 100_000),
        (200, b'{"base_code": "EUR", "rates": {"JPY": 1}}'),
        (200, b'{"base_code": "USD", "rates": {"JPY": -1}}'),
        (200, b'{"base_code": "USD", "rates": {"JPY": 1e999}}'),
        (200, b'{"base_code": "USD", "rates": [1]}'),
        (200, b'{"base_code": "USD", "rates": {"JPY": "160"}}'),
    ],
)  # fmt: skip
def test_a_feed_that_makes_no_sense_leaves_the_rate(
    answers: dict[str, tuple[int, bytes]], tmp_path: Path, status: int, body: bytes
) -> None:
    answers["/feed"] = (status, body)
    cache = tmp_path / "rates.json"
    exchange = Exchange(feed=f"{base(answers)}/feed", cache=cache, private=True)
    exchange.start()
    assert exchange.wait(30) is BUILT_IN
    assert exchange.note
    assert not cache.exists()


def test_a_cache_that_is_broken_is_passed_over(tmp_path: Path) -> None:
    cache = tmp_path / "rates.json"
    cache.write_text("{")
    assert Exchange(cache=cache).now is BUILT_IN


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.floats() | st.text(max_size=5),
    lambda part: st.dictionaries(st.sampled_from(["base_code", "rates", "JPY"]), part),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_feed_is_read_or_refused(data: bytes) -> None:
    try:
        rates = read_feed(data)
    except InputError:
        return
    assert rates.usd["JPY"] > 0


# Files


def test_a_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "below/prices.json"
    entry = Price(550, 100, 1000, 2, "竜", {"UR": 1000, "N": 100})
    file = PriceFile({"A-B1": entry}, "JPY", "x", "2026-01-02T03:04:05")
    write_prices(path, file)
    assert read_prices(path) == file
    assert path.read_text(encoding="utf-8").startswith('{\n  "scraped_at"')
    with pytest.raises(InputError, match="no prices to write"):
        write_prices(path, PriceFile({}))
    assert read_prices(path) == file


def test_entries_that_make_no_sense_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    wrong = [None, 3, [], {}, {"median": None}, {"median": -1}, {"median": True}, {"median": "1"}]
    rows = {f"W-X{n}": one for n, one in enumerate(wrong)}
    kept = {"median": 5, "min": "x", "count": -3, "name_jp": 7, "rarities": {"UR": "x", "N": 5}}
    path.write_text(json.dumps({"prices": rows | {"A-B1": kept}}))
    file = read_prices(path)
    assert file.prices == {"A-B1": Price(5, 5, 5, 1, "", {"N": 5})}
    assert (file.currency, file.dropped) == ("USD", len(wrong))


@pytest.mark.parametrize("text", ["", "[]", '{"prices": 1}', "[" * 100_000, '{"a": Infinity}'])
def test_a_broken_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"p\.json"):
        read_prices(path)


def test_a_book_follows_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices_module, "LOOK_AGAIN", 0.0)
    path = tmp_path / "p.json"
    book = PriceBook(path, NO_RATES)
    assert len(book) == 0
    assert "no such file" in book.note
    write_prices(path, PriceFile({"A-B1": Price(150, 150, 150)}, "JPY"))
    found = book.price("A-B1")
    assert found is not None
    assert found.usd == (1.0, 1.0, 1.0)
    assert book.note == ""
    path.write_text("{")
    assert book.price("A-B1") is not None, "the one before stays"
    assert "not JSON" in book.note
    path.unlink()
    assert book.price("A-B1") is None
    assert book.price("") is None
    assert PriceBook(path, NO_RATES, named=False).note == ""


def test_the_price_of_a_rarity_is_preferred(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    entry = Price(550, 100, 1000, 2, "", {"UR": 1000, "N": 100})
    write_prices(path, PriceFile({"A-B1": entry}, "JPY"))
    book = PriceBook(path, Exchange(0.01))
    for rarity, median, dollars in (("UR", 1000, 10.0), ("ur", 1000, 10.0), ("SR", 550, 5.5)):
        found = book.price("A-B1", rarity)
        assert found is not None
        assert (found.median, found.usd[0]) == (median, dollars)


def test_the_dearest_are_put_in_order_once_for_a_file_and_a_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prices_module, "LOOK_AGAIN", 0.0)
    path, rates = tmp_path / "p.json", Exchange(0.01)
    write_prices(path, PriceFile({f"A-B{n}": Price(n, n, n) for n in range(50)}, "JPY"))
    book, priced, counted = PriceBook(path, rates), PriceBook._priced, []

    def count(*given: object) -> object:
        counted.append(given[2])
        return priced(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(PriceBook, "_priced", count)
    for _ in range(3):
        assert [one.code for one in book.top(2)] == ["A-B49", "A-B48"]
    assert len(counted) == 50
    rates.now = Exchange(0.02).now
    assert book.top(1)[0].usd[0] == 0.98
    assert len(counted) == 100
    write_prices(path, PriceFile({"C-D1": Price(5, 5, 5)}, "JPY"))
    assert [one.code for one in book.top(2)] == ["C-D1"]
    assert len(counted) == 101


# Sites


def test_every_site_has_its_row() -> None:
    names = [site.name for site in SITES]
    assert len(set(names)) == len(names)
    assert all(site.address("A-B").startswith("https://") for site in SITES)
    assert all(site.read("") == [] for site in SITES)
    with pytest.raises(SettingError, match="yuyu-tei"):
        find_site("nowhere")


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ('<img alt="A-JP001 UR 竜"><b>1234 円</b>', [("UR", 1234)]),
        ('<img alt="A-JP001 UR 竜"><b>1,234,567円</b>', [("UR", 1_234_567)]),
        ('<img alt="A-JP001 UR 竜"><b>¥ 80 円 (税込)</b>', [("UR", 80)]),
        ('<img alt="A-JP001 UR 竜"><b>12 34 円</b>', [("UR", 34)]),
        ('<img alt="A-JP001 UR 竜"><b>1,23 円</b>', []),
        ("<p>A-JP001 ScR 竜</p><p>５００ 円</p>", [("ScR", 500)]),
        ('<img alt="A-JP001 UR 竜"><img alt="A-JP002 N 城"><b>5 円</b>', [("N", 5)]),
        ('<img alt="A-JP001 UR 竜"><div class="x card-product"><b>5 円</b></div>', []),
        ('<img alt="A-JP001 UR 竜"><script>5 円</script><b>売切</b>', []),
        ("<!-- A-JP001 UR 竜 --><b>5 円</b>", []),
        ('<img alt="A-JP001 UR 竜', []),
        ("<b>5 円</b>" * 3, []),
    ],
)
def test_yuyu_tei_reads_elements(page: str, found: list[tuple[str, int]]) -> None:
    assert [(one.rarity, one.price) for one in read(page)] == found


@given(st.text(alphabet='<>/"= A-JP001UR竜円,0123alt!-&;#\n', max_size=300))
def test_yuyu_tei_reads_anything(page: str) -> None:
    assert all(one.code and one.price >= 0 for one in read(page))


def test_no_neighbours_price_and_true_medians() -> None:
    offers = [Listing("A-B1", rarity, "竜", price) for rarity, price in (("UR", 900), ("N", 100))]
    assert together(offers)["A-B1"].median == 500
    three = [*offers, Listing("A-B1", "SR", "竜", 101)]
    assert together(three)["A-B1"].median == 101


def test_a_site_is_asked_once_a_set(answers: dict[str, tuple[int, bytes]]) -> None:
    answers["/A-JP"] = (200, '<i title="A-JP001 N 竜">7 円</i>'.encode())
    answers["/C-JP"] = (200, b"<html>")
    site = Site("x", "", "JPY", lambda prefix: f"{base(answers)}/{prefix}", read)
    pages = from_site(site, ImageSettings(fetch_private=True))
    done = scrape(site, ["A-JP", "B-JP", "C-JP"], pages, pause=0)
    assert [len(one.listings) for one in done] == [1, 0, 0]
    assert isinstance(done[1].error, FetchError)
    new = merged(None, site, done)
    assert (list(new.file.prices), new.kept) == (["A-JP001"], ())
    with pytest.raises(InputError, match="no price was found"):
        merged(PriceFile({"A-JP009": Price(2, 2, 2)}, "JPY", "x"), site, done[1:])


SITE = Site("x", "", "JPY", lambda prefix: prefix, read)


def test_what_a_page_does_not_list_keeps_its_price() -> None:
    """It is sold out, or the page came in half."""
    old = PriceFile(
        {
            "B-JP001": Price(1, 1, 1),
            "A-JP009": Price(2, 2, 2, rarities={"N": 2}),
            "A-JP001": Price(450, 100, 800, 2, "竜", {"UR": 800, "N": 100}),
            "A-JP002": Price(3, 3, 3),
        },
        "JPY",
        "x",
    )
    listings = (Listing("A-JP001", "N", "", 120), Listing("A-JP002", "N", "", 4))
    new = merged(old, SITE, [Scraped("A-JP", listings)])
    assert new.kept == ("A-JP001", "A-JP009")
    assert new.file.prices == {
        "B-JP001": Price(1, 1, 1),
        "A-JP009": Price(2, 2, 2, rarities={"N": 2}),
        "A-JP001": Price(460, 120, 800, 2, "竜", {"UR": 800, "N": 120}),
        "A-JP002": Price(4, 4, 4, 1, "", {"N": 4}),
    }
    assert merged(None, SITE, [Scraped("A-JP", listings)]).file.prices.keys() == {
        "A-JP001", "A-JP002",
    }  # fmt: skip


@pytest.mark.parametrize(("site", "currency"), [("x", "USD"), ("y", "JPY"), ("", "JPY")])
def test_prices_of_another_site_or_currency_are_not_mixed(site: str, currency: str) -> None:
    scraped = [Scraped("A-JP", (Listing("A-JP001", "N", "", 120),))]
    with pytest.raises(InputError, match="those of x in JPY"):
        merged(PriceFile({"B-JP001": Price(1, 1, 1)}, currency, site), SITE, scraped)
    assert merged(PriceFile({}, currency, site), SITE, scraped).kept == (), "there is none to lose"


def test_an_address_of_our_own_network_is_not_asked() -> None:
    site = Site("x", "", "JPY", lambda prefix: f"http://127.0.0.1:9/{prefix}", read)
    (done,) = scrape(site, ["A-JP"], from_site(site, ImageSettings()), pause=0)
    assert isinstance(done.error, FetchError)


def test_prefixes() -> None:
    assert prefix_of("LOCH-JP001") == "LOCH-JP"
