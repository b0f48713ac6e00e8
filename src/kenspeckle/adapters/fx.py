"""Rates of exchange to US dollars, and where the one in use comes from.

In this order: a rate that was set, one fetched at the start, the last one that was fetched, the one
built in. The fetch runs beside the start, which never waits for it.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from kenspeckle._aside import written
from kenspeckle.config import ImageSettings, user_folder
from kenspeckle.errors import InputError
from kenspeckle.image.fetch import fetch

USUAL_JPY = 1 / 150
"""US dollars for a yen where nothing else is known."""
SECONDS = 5.0
"""Time one fetch may take altogether."""
MOST_BYTES = 1024 * 1024

Origin = Literal["setting", "live", "cached", "built-in"]


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars for one unit of each currency, where they come from, and of which day they are.

    `as_of` is an ISO time (UTC), empty where it is not known.
    """

    usd: Mapping[str, float]
    source: Origin
    as_of: str = ""

    def in_usd(self, amount: float, currency: str) -> float | None:
        """An amount in US dollars, to the cent; None for a currency without a rate.

        Dollars stay as they are.

        >>> BUILT_IN.in_usd(1234, "JPY"), BUILT_IN.in_usd(9.999, "USD"), BUILT_IN.in_usd(1, "EUR")
        (8.23, 9.999, None)
        """
        if currency == "USD":
            return amount
        rate = self.usd.get(currency)
        return None if rate is None else round(amount * rate, 2)

    def in_jpy(self, amount: float, currency: str) -> float | None:
        """An amount in yen, rounded to whole ones unless it is one; None without a rate."""
        if currency == "JPY":
            return amount
        dollars = amount if currency == "USD" else self.usd.get(currency, math.nan) * amount
        yen = dollars / self.usd["JPY"] if "JPY" in self.usd else math.nan
        return round(yen) if math.isfinite(yen) else None


BUILT_IN = Rates({"JPY": USUAL_JPY}, "built-in")


def read_feed(data: bytes, source: Origin = "live") -> Rates:
    """The rates of a feed with the fields of `open.er-api.com`. Raises InputError.

    >>> rates = read_feed(b'{"base_code": "USD", "rates": {"JPY": 160, "USD": 1}}')
    >>> rates.usd["JPY"], rates.source
    (0.00625, 'live')
    """
    try:
        told: Any = json.loads(data)
        base, listed = told["base_code"], dict(told["rates"])
        seconds = told.get("time_last_update_unix", 0)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        expected = "JSON with base_code and rates"
        raise InputError("rates of exchange", "something else", expected=expected) from error
    if base != "USD":
        raise InputError("rates of exchange", f"base {base!r}"[:40], expected="USD")
    usd = {str(name): 1 / value for name, value in listed.items() if _usable(value)}
    if "JPY" not in usd:
        raise InputError("rates of exchange", "no rate for JPY", expected="one above 0")
    return Rates(usd, source, _time(seconds))


def _usable(value: object) -> bool:
    """Whether a rate is a number that an amount can be divided by."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 1e-9 <= value <= 1e12  # type: ignore[operator]  # false for nan as well


def _time(seconds: object) -> str:
    """Seconds since 1970 as an ISO time, empty for what is none."""
    if not isinstance(seconds, (int, float)) or not 0 < seconds < 1e11:
        return ""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def cache_file() -> Path:
    """Where the last rates that were fetched are kept."""
    return user_folder("cache") / "rates.json"


class Exchange:
    """The rates in use. They change at most once, when the fetch has succeeded.

    `usd_per_jpy` is the rate that was set, 0 for none; `feed` the address of a feed, empty for no
    fetch; `cache` the file of the last rates.
    """

    def __init__(
        self,
        usd_per_jpy: float = 0.0,
        *,
        feed: str = "",
        cache: Path | None = None,
        private: bool = False,
    ) -> None:
        self._feed, self._cache = "" if usd_per_jpy else feed, cache
        self._limits = ImageSettings(
            max_bytes=MOST_BYTES, fetch_timeout=SECONDS, fetch_private=private
        )
        self._thread: threading.Thread | None = None
        self.note = ""
        """Why no rate was fetched, empty where one was or none was wanted."""
        if usd_per_jpy:
            self.now = Rates({"JPY": usd_per_jpy}, "setting")
        else:
            self.now = self._remembered() or BUILT_IN

    def start(self) -> None:
        """Begin to fetch, once, without waiting for it."""
        if self._feed and self._thread is None:
            self._thread = threading.Thread(
                target=self._fetch, name="kenspeckle-rates", daemon=True
            )
            self._thread.start()

    def wait(self, seconds: float) -> Rates:
        """The rates in use once the fetch has ended, or after so many seconds."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self.now

    def _fetch(self) -> None:
        try:
            data = fetch(self._feed, self._limits)
            self.now = read_feed(data)
        except InputError as error:
            self.note = str(error)
            return
        if self._cache is not None:
            try:
                self._cache.parent.mkdir(parents=True, exist_ok=True)
                with written(self._cache) as file:
                    file.write(data)
            except OSError as error:
                self.note = f"{self._cache}: not kept ({error.strerror})"

    def _remembered(self) -> Rates | None:
        """The last rates that were fetched, None where there are none that can be read."""
        if self._cache is None:
            return None
        try:
            if self._cache.stat().st_size > MOST_BYTES:
                return None
            return read_feed(self._cache.read_bytes(), "cached")
        except (OSError, InputError):
            return None
