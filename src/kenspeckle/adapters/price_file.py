"""The file of prices: by set code, as `scrape-prices` writes it and other programs read it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kenspeckle._aside import written
from kenspeckle.errors import InputError

MOST_BYTES = 64 * 1024 * 1024
EXPECTED = "a price file as `kenspeckle scrape-prices` writes it"


@dataclass(frozen=True, slots=True)
class Price:
    """What the cards of one set code cost, in the currency of the file.

    `median`, `min` and `max` are over all rarities, of which `count` were listed; `rarities` are
    the prices of each, by rarity as it is displayed. `name_jp` is the Japanese name, or empty.
    """

    median: float
    min: float
    max: float
    count: int = 1
    name_jp: str = ""
    rarities: Mapping[str, float] = field(default_factory=dict)

    def of(self, rarity: str) -> tuple[float, str]:
        """The price of that rarity, and the rarity; of all, and nothing, where it is not listed.

        >>> Price(550, 100, 1000, rarities={"UR": 1000, "N": 100}).of("ur")
        (1000, 'UR')
        """
        for name, price in self.rarities.items():
            if rarity and name.lower() == rarity.lower():
                return price, name
        return self.median, ""


@dataclass(frozen=True, slots=True)
class PriceFile:
    """All prices, whose they are, in which currency (ISO code), and of when.

    `dropped` counts entries that could not be read.
    """

    prices: Mapping[str, Price]
    currency: str = "USD"
    site: str = ""
    scraped_at: str = ""
    dropped: int = 0


def read_prices(path: Path) -> PriceFile:
    """The prices of a file. An entry that makes no sense is left out and counted.

    Raises InputError where the file as a whole cannot be read.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(str(path), "too large", expected=f"at most {MOST_BYTES} bytes")
        data: Any = json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=_refused)
    except OSError as error:
        found = f"it cannot be read ({error.strerror})"
        raise InputError(str(path), found, expected=EXPECTED) from error
    except (ValueError, RecursionError) as error:
        raise InputError(str(path), "not JSON", expected=EXPECTED) from error
    listed = data.get("prices", {}) if isinstance(data, dict) else None
    if not isinstance(listed, dict):
        raise InputError(str(path), "no table of prices", expected=EXPECTED)
    prices = {code: _price(entry) for code, entry in listed.items()}
    kept = {code: price for code, price in prices.items() if price is not None}
    currency = _text(data.get("currency"), 8).upper() or "USD"
    site, scraped_at = _text(data.get("site"), 100), _text(data.get("scraped_at"), 40)
    return PriceFile(kept, currency, site, scraped_at, len(prices) - len(kept))


def write_prices(path: Path, file: PriceFile) -> None:
    """Write a price file, all at once. InputError where there is nothing to write, OSError."""
    if not file.prices:
        raise InputError(str(path), "no prices to write", do="The file stays as it was")
    data = {
        "scraped_at": file.scraped_at,
        "site": file.site,
        "currency": file.currency,
        "prices": {code: asdict(price) for code, price in sorted(file.prices.items())},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with written(path) as target:
        text = json.dumps(data, ensure_ascii=False, indent=2, allow_nan=False)
        target.write(f"{text}\n".encode())


def _refused(constant: str) -> float:
    raise ValueError(constant)


def _price(entry: object) -> Price | None:
    """One entry; None without a median that is an amount."""
    if not isinstance(entry, dict) or not _amount(entry.get("median")):
        return None
    median = entry["median"]
    low, high = (entry[name] if _amount(entry.get(name)) else median for name in ("min", "max"))
    listed = entry.get("rarities")
    pairs = listed.items() if isinstance(listed, dict) else ()
    rarities = {_text(name, 40): value for name, value in pairs if _amount(value)}
    count = entry.get("count")
    if not isinstance(count, int) or isinstance(count, bool) or not 0 < count < 1_000_000:
        count = max(len(rarities), 1)
    return Price(median, low, high, count, _text(entry.get("name_jp"), 400), rarities)


def _amount(value: object) -> bool:
    """Whether a value is an amount of money."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return 0 <= value < 1e15 and math.isfinite(value)


def _text(value: object, most: int) -> str:
    """Printable text of at most so many characters, empty for anything else."""
    if not isinstance(value, str):
        return ""
    return "".join(letter for letter in value[:most] if letter.isprintable())
