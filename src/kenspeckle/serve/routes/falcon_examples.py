"""Answers of the surface `falcon` as its OpenAPI document shows them."""

from __future__ import annotations

from typing import Any

FX = {
    "base": "USD",
    "rate": 0.0067,
    "currency": "JPY",
    "as_of": "2026-01-02T00:00:01+00:00",
    "source": "live",
}

PRICE = {
    "code": "LOCH-JP001",
    "median": 9000,
    "min": 300,
    "max": 9000,
    "currency": "JPY",
    "name_jp": "ブラック・マジシャン",
    "usd_median": 60.3,
    "usd_min": 2.01,
    "usd_max": 60.3,
    "rarity": "PScR",
}

MASK = {
    "bbox_norm": {"x1": 0.21, "y1": 0.1, "x2": 0.52, "y2": 0.93},
    "area_fraction": 0.2573,
    "label": "Dark Magician (PScR)",
    "name": "Dark Magician",
    "rarity": "PScR",
    "score": 0.83,
    "top_k": [
        {
            "name": "Dark Magician Pscr",
            "filename": "LOCH-JP001_dark_magician_pscr.jpg",
            "score": 0.83,
        },
        {"name": "Bolt Cr", "filename": "LOCH-JP007_bolt_cr.jpg", "score": 0.41},
    ],
    "margin": 0.42,
    "confident": True,
    "ref_filename": "LOCH-JP001_dark_magician_pscr.jpg",
    "price": PRICE,
    "listing_id": "lst_1c2ab34d",
    "ref_url": "/refs/LOCH-JP001_dark_magician_pscr.jpg",
    "key": "dark magician",
    "variant": "LOCH-JP001 PScR",
    "variant_certain": True,
    "confidence": 0.93,
    "reasons": ["margin 0.420 above the threshold 0.102"],
}

FRAME: dict[str, Any] = {
    "image_size": [1280, 720],
    "count": 1,
    "masks": [MASK],
    "query": "card",
    "elapsed_seconds": 0.041,
}

TOP: dict[str, Any] = {
    "ok": True,
    "count": 1,
    "top": [
        {
            "code": "LOCH-JP001",
            "jpy_median": 9000,
            "usd_median": 60.3,
            "median": 9000,
            "currency": "JPY",
            "name": "Dark Magician",
            "name_jp": "ブラック・マジシャン",
            "rarity": "",
            "ref_filename": "LOCH-JP001_dark_magician_pscr.jpg",
            "ref_url": "/refs/LOCH-JP001_dark_magician_pscr.jpg",
        }
    ],
    "fx": FX,
}

INFO: dict[str, Any] = {
    "falcon": True,
    "name": "kenspeckle",
    "version": "1.0.0",
    "index_size": 150,
    "items": 132,
    "decides": {"kind": "calibrated", "score": "margin", "threshold": 0.102, "fpir": 0.05},
    "prices": {
        "count": 40,
        "site": "yuyu-tei",
        "currency": "JPY",
        "scraped_at": "2026-01-02T03:04:05",
        "note": "",
    },
    "fx": FX,
}
