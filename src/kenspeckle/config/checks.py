"""Which values a setting may have."""

from __future__ import annotations

from typing import Any

from kenspeckle.config import hosts, origins
from kenspeckle.config.sections import MODES, RATE
from kenspeckle.errors import SettingError

CHECKS: dict[str, tuple[Any, str]] = {
    "image.max_bytes": (lambda v: v > 0, "above 0"),
    "image.max_pixels": (lambda v: v > 0, "above 0"),
    "image.max_frames": (lambda v: v > 0, "above 0"),
    "image.fetch_timeout": (lambda v: 0 < v <= 3600, "above 0, at most 3600"),
    "image.fetch_allow": (hosts.is_rule, hosts.FORMS),
    "models.mode": (lambda v: v in ("", *MODES), ", ".join(MODES)),
    "index.naming": (lambda v: v in ("cards", "plain", "auto"), "cards, plain or auto"),
    "index.label_from": (lambda v: v in ("query", "title"), "query or title"),
    "index.views": (lambda v: -1 <= v <= 32, "-1 to 32"),
    "index.callers": (lambda v: 0 <= v <= 256, "0 to 256"),
    "index.thumbnail": (lambda v: 0 <= v <= 512, "0 to 512"),
    "identify.regions": (
        lambda v: v in ("", "whole", "center", "windows", "quad", "auto"),
        "whole, center, windows, quad or auto",
    ),
    "identify.fpir": (lambda v: v == 0 or 1e-6 <= v < 1, RATE),
    "identify.top": (lambda v: 1 <= v <= 100, "1 to 100"),
    "identify.second_look": (lambda v: v in ("", "sift", "orb", "off"), "sift, orb or off"),
    "identify.evidence": (lambda v: v in ("codes", "text"), "codes, text or both"),
    "identify.shortlist": (lambda v: 0 <= v <= 100, "0 to 100"),
    "serve.origins": (origins.is_origin, origins.FORMS),
    "serve.port": (lambda v: 0 <= v <= 65535, "0 to 65535"),
    "serve.max_body": (lambda v: v > 0, "above 0"),
    "serve.max_tasks": (lambda v: 1 <= v <= 10_000, "1 to 10000"),
    "serve.body_timeout": (lambda v: 0 < v <= 3600, "above 0, at most 3600"),
    "serve.timeout": (lambda v: 0 < v <= 3600, "above 0, at most 3600"),
    "serve.queue": (lambda v: 1 <= v <= 100_000, "1 to 100000"),
    "serve.connections": (lambda v: 1 <= v <= 100_000, "1 to 100000"),
    "serve.per_address": (lambda v: 0 <= v <= 100_000, "0 to 100000"),
    "serve.rate": (lambda v: 0 <= v < float("inf"), "0 or more"),
    "serve.idle_grace": (lambda v: 0 <= v < float("inf"), "0 or more"),
    "serve.patience": (lambda v: 0.1 <= v <= 3600, "0.1 to 3600"),
    "serve.grace": (lambda v: 0 <= v <= 3600, "0 to 3600"),
    "serve.log_format": (lambda v: v in ("text", "json"), "text or json"),
    "serve.similarity": (lambda v: v == -2 or -1 <= v <= 1, "-1 to 1"),
    "serve.margin": (lambda v: v == -1 or 0 <= v <= 2, "0 to 2"),
    "serve.detector_score": (lambda v: 0 <= v <= 1, "0 to 1"),
    "serve.usd_per_jpy": (lambda v: 0 <= v < float("inf"), "0 or more"),
    "analyze.max_caption": (lambda v: 1 <= v <= 100_000, "1 to 100000"),
    "analyze.person_score": (lambda v: 0 <= v <= 1, "0 to 1"),
    "analyze.face_score": (lambda v: 0 <= v <= 1, "0 to 1"),
}
"""What is allowed, of a list what each entry may be, and how that is told."""


def check(name: str, value: Any, thing: str = "") -> None:
    """Refuse a value that the setting `name` cannot have, called `thing` in the SettingError."""
    allowed, expected = CHECKS.get(name, (lambda _: True, ""))
    for one in value if isinstance(value, tuple | list) else (value,):
        if not allowed(one):
            raise SettingError(thing or name, repr(one), expected=expected)


def check_rate(rate: float, thing: str = "fpir") -> None:
    """Refuse what is no false-positive rate to ask for, 0 included. Raises SettingError."""
    if not 1e-6 <= rate < 1:
        raise SettingError(thing, repr(rate), expected=RATE)
