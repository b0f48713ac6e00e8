"""What tests of the surface `falcon` share: galleries of cards, a price file, how it is asked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kenspeckle.config import ModelSettings, ServeSettings, Settings
from kenspeckle.gallery import Gallery

if TYPE_CHECKING:
    import httpx2
    from PIL import Image

CARDS = {
    "LOCH-JP001_moon_pscr": "moon",
    "LOCH-JP002_coffee_ur": "coffee",
    "LOCH-JP003_astronaut": "astronaut",
    "LOCR-JP004_red_motorcycle_sr": "motorcycle_left",
    "odd name #1 100%": "chelsea",
}


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


def dummy() -> Settings:
    return replace(settings(), models=ModelSettings(name="dummy"))


def ask(client: httpx2.Client, data: bytes, query: str = "card") -> httpx2.Response:
    return client.post(
        "/api/falcon", files={"image": ("frame.jpg", data, "image/jpeg")}, data={"query": query}
    )


def masks(client: httpx2.Client, data: bytes) -> list[dict[str, Any]]:
    answer = ask(client, data)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["masks"]
    return found
