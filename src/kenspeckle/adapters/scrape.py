"""Asking a price site: one page for each set, politely, and what comes of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from kenspeckle.adapters.price_file import Price, PriceFile
from kenspeckle.adapters.sites.listing import Listing, Site
from kenspeckle.config import ImageSettings
from kenspeckle.errors import InputError, KenspeckleError
from kenspeckle.image.fetch import fetch

SECONDS = 30.0
"""Time that one page may take altogether."""
PAUSE = 1.0
"""Seconds between two requests to a site."""
MOST_BYTES = 16 * 1024 * 1024

Pages = Callable[[str], bytes]
"""What gets the page of a set prefix: its address is asked, or it was saved. Raises
KenspeckleError."""


@dataclass(frozen=True, slots=True)
class Scraped:
    """What one set came to: its listings, or why there are none."""

    prefix: str
    listings: tuple[Listing, ...]
    error: KenspeckleError | None = None


def prefix_of(code: str) -> str:
    """The part of a set code that names the set, without the number.

    >>> prefix_of("LOCH-JP001")
    'LOCH-JP'
    """
    return code.rstrip("0123456789")


def from_site(site: Site, limits: ImageSettings) -> Pages:
    """Pages as the site answers at this moment. `limits` say which addresses may be asked."""
    own = replace(limits, max_bytes=MOST_BYTES, fetch_timeout=SECONDS)

    def page(prefix: str) -> bytes:
        return fetch(site.address(prefix), own)

    return page


def scrape(
    site: Site,
    prefixes: Sequence[str],
    pages: Pages,
    *,
    pause: float = PAUSE,
    tell: Callable[[Scraped], None] = lambda _: None,
) -> list[Scraped]:
    """Read the page of each set. One that fails, or lists nothing of its set, says why; the others
    go on. `tell` hears of each as it is done."""
    done = []
    for number, prefix in enumerate(prefixes):
        if number:
            time.sleep(pause)
        one = _one(site, prefix, pages)
        tell(one)
        done.append(one)
    return done


def _one(site: Site, prefix: str, pages: Pages) -> Scraped:
    try:
        text = pages(prefix).decode(site.encoding, "replace")
    except KenspeckleError as error:
        return Scraped(prefix, (), error)
    found = tuple(one for one in site.read(text) if prefix_of(one.code) == prefix)
    if found:
        return Scraped(prefix, found)
    why = "its page lists no card of this set with a price"
    return Scraped(prefix, (), InputError(prefix, why, do="Look at the page of the site"))


def together(listings: Iterable[Listing]) -> dict[str, Price]:
    """Prices by set code. Of several offers of one rarity the first counts.

    >>> offers = [Listing("A-B1", "UR", "竜", 900), Listing("A-B1", "N", "竜", 100)]
    >>> together([*offers, Listing("A-B1", "UR", "", 5)])["A-B1"].median
    500
    """
    rarities: dict[str, dict[str, float]] = {}
    names: dict[str, str] = {}
    for one in listings:
        rarities.setdefault(one.code, {}).setdefault(one.rarity, one.price)
        names[one.code] = names.get(one.code) or one.name
    return {code: _price(names[code], prices) for code, prices in rarities.items()}


def _price(name: str, rarities: Mapping[str, float]) -> Price:
    amounts = list(rarities.values())
    median = statistics.median(amounts)
    whole = int(median) if median == int(median) else median
    return Price(whole, min(amounts), max(amounts), len(amounts), name, dict(rarities))


@dataclass(frozen=True, slots=True)
class Merged:
    """A new price file. `kept` are the set codes of which it holds an old price that the pages
    that were read do not list any more."""

    file: PriceFile
    kept: tuple[str, ...]


def fits(path: str, old: PriceFile, site: Site) -> None:
    """Raises InputError where the prices of a file are of another site or in another currency, so
    that none can be added to them."""
    theirs, ours = (old.site, old.currency), (site.name, site.currency)
    if old.prices and theirs != ours:
        raise InputError(
            path,
            f"prices of {old.site or 'a site that it does not name'} in {old.currency}",
            expected=f"those of {site.name} in {site.currency}",
        )


def merged(old: PriceFile | None, site: Site, scraped: Sequence[Scraped]) -> Merged:
    """The new file: what was found, and what the old one of the same site knew beside it.

    A card or a rarity that the site does not list now is sold out, or its page came in half: the
    old price stays, as does that of a set that failed or was not asked for. Raises InputError
    where nothing was found at all, so that no file is written, and as `fits`.
    """
    found = together(listing for one in scraped for listing in one.listings)
    if not found:
        first = next((str(one.error) for one in scraped if one.error), "no set was asked for")
        raise InputError(site.name, f"no price was found ({first})", do="No file was changed")
    former: Mapping[str, Price] = {}
    if old is not None:
        fits("the old file", old, site)
        former = old.prices
    read = {one.prefix for one in scraped if one.listings}
    kept = tuple(code for code in missing(former, found) if prefix_of(code) in read)
    prices = {**former, **{code: _beside(former.get(code), one) for code, one in found.items()}}
    now = datetime.now().isoformat(timespec="seconds")  # local time, as clients expect
    return Merged(PriceFile(prices, site.currency, site.name, now), kept)


def missing(old: Mapping[str, Price], new: Mapping[str, Price]) -> list[str]:
    """The set codes of which the new prices lack something that the old ones have, in order."""
    return sorted(
        code
        for code, one in old.items()
        if code not in new or one.rarities.keys() - new[code].rarities.keys()
    )


def _beside(old: Price | None, new: Price) -> Price:
    """The new price of a card, and the old ones of rarities that it does not list."""
    if old is None:
        return new
    return _price(new.name_jp or old.name_jp, {**old.rarities, **new.rarities})
