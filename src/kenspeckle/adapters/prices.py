"""What a card costs: a file of prices by set code, and a rate of exchange."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from kenspeckle.adapters.fx import Exchange, Rates, cache_file
from kenspeckle.adapters.price_file import Price, PriceFile, read_prices
from kenspeckle.config import Settings
from kenspeckle.errors import InputError

USUAL_FILE = "card_prices.json"
"""Read where no file is named, if it is there."""
LOOK_AGAIN = 1.0
"""Seconds after which a file is looked at again: a new one is taken up without a restart."""
NOTHING = PriceFile({})


@dataclass(frozen=True, slots=True)
class Priced:
    """One price with its set code, in the currency of the file and in US dollars.

    `rarity` says of which rarity the median is, empty for all. `usd` are median, least and most, or
    None without a rate.
    """

    code: str
    price: Price
    median: float
    rarity: str
    currency: str
    usd: tuple[float | None, float | None, float | None]

    def to_dict(self) -> dict[str, Any]:
        """The fields that clients know, and the rarity."""
        dollars = dict(zip(("usd_median", "usd_min", "usd_max"), self.usd, strict=True))
        return {
            "code": self.code,
            "median": self.median,
            "min": self.price.min,
            "max": self.price.max,
            "currency": self.currency,
            "name_jp": self.price.name_jp,
            **dollars,
            "rarity": self.rarity,
        }


class PriceBook:
    """The prices of a file, as the file is now. May be asked from any thread.

    A file that is broken or gone is reported in `note` and priced nothing; the one before stays in
    use as long as a new one cannot be read.
    """

    def __init__(self, path: Path, exchange: Exchange, *, named: bool = True) -> None:
        self._path, self._exchange, self._named = path, exchange, named
        self._file, self._seen, self._next = NOTHING, (-1, -1, -1), 0.0
        self._lock, self._ordering = Lock(), Lock()
        self._ordered: list[Priced] = []
        self._ordered_of: tuple[PriceFile, Rates | None] = NOTHING, None
        self.note = ""
        """Why there are no prices, or not those of the file as it is now; empty when all is well.
        It says the name of the file, and not where it lies."""
        self._current()

    @property
    def file(self) -> PriceFile:
        """The prices as they are now."""
        return self._current()

    @property
    def rates(self) -> Rates:
        """The rates of exchange in use."""
        return self._exchange.now

    @property
    def exchange(self) -> Exchange:
        """Where the rates come from."""
        return self._exchange

    def __len__(self) -> int:
        return len(self._current().prices)

    def price(self, code: str, rarity: str = "") -> Priced | None:
        """What the card of that set code costs, of that rarity if it is listed; None if unknown."""
        file = self._current()
        price = file.prices.get(code) if code else None
        return None if price is None else self._priced(file, code, price, rarity)

    def top(self, limit: int) -> list[Priced]:
        """The dearest first, in US dollars; those without a rate come last.

        They are put in order once for a file and a rate; whoever asks meanwhile waits for that.
        """
        file, rates = self._current(), self.rates
        with self._ordering:
            if self._ordered_of[0] is not file or self._ordered_of[1] is not rates:
                rows = list(self._all(file))
                rows.sort(
                    key=lambda row: (row.usd[0] is None, -(row.usd[0] or row.median), row.code)
                )
                self._ordered, self._ordered_of = rows, (file, rates)
            return self._ordered[:limit]

    def _all(self, file: PriceFile) -> Iterator[Priced]:
        for code, price in file.prices.items():
            yield self._priced(file, code, price, "")

    def _priced(self, file: PriceFile, code: str, price: Price, rarity: str) -> Priced:
        median, known = price.of(rarity)
        rates = self.rates
        low, middle, high = (
            rates.in_usd(amount, file.currency) for amount in (price.min, median, price.max)
        )
        return Priced(code, price, median, known, file.currency, (middle, low, high))

    def _take(self, file: PriceFile) -> None:
        """Use these prices. If they need a rate of exchange it begins to be fetched."""
        self._file = file
        self.note = f"{self._path.name}: {file.dropped} entries left out" if file.dropped else ""
        if file.prices and file.currency != "USD":
            self._exchange.start()

    def _current(self) -> PriceFile:
        """The file as it is now; it is looked at once a second at most."""
        with self._lock:
            now = time.monotonic()
            if now < self._next:
                return self._file
            self._next = now + LOOK_AGAIN
            try:
                stat = self._path.stat()
                seen = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
                if seen != self._seen:
                    self._seen = seen
                    self._take(read_prices(self._path))
            except FileNotFoundError:
                self._seen, self._file = (-1, -1, -1), NOTHING
                self.note = f"{self._path.name}: no such file" if self._named else ""
            except InputError as error:
                self.note = f"{self._path.name}: {error.found}; expected {error.expected}"
            except OSError as error:
                self.note = f"{self._path.name}: it cannot be read ({error.strerror})"
            return self._file


def open_prices(settings: Settings) -> PriceBook:
    """The price book that the settings name, else the usual file of the working folder."""
    serve = settings.serve
    exchange = Exchange(
        serve.usd_per_jpy,
        feed=serve.fx_feed,
        cache=cache_file(),
        private=settings.image.fetch_private,
    )
    return PriceBook(Path(serve.prices or USUAL_FILE), exchange, named=bool(serve.prices))
