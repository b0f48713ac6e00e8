"""Settings: one frozen object with a section per room, and where each value came from.

Order, later wins: defaults < `kenspeckle.toml` (working folder, else the user's configuration
folder) < `.env` (working folder) < environment < arguments. Within one level a `KENSPECKLE_*` name
wins over the older names that users of other systems have set.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kenspeckle.errors import SettingError

FILE = "kenspeckle.toml"
RATE = "a rate above 0 and below 1, such as 0.05 for 5 %"
USUAL_FPIR = 0.05
"""Aimed at where nobody asks; why, is in docs/decisions/usual-fpir.md."""
MODES = (
    *("default", "letterbox", "stretch"),
    *("legacy-default", "legacy-letterbox", "legacy-stretch"),
)
"""Ways to make a picture square for a model; `kenspeckle.engines.recipes.in_mode` says what each
does."""
PREFIX = "KENSPECKLE_"
FOR_TESTS = "KENSPECKLE_TEST_"
"""Names that the tests of this package read; they are no settings."""


def _setting(default: Any, doc: str, *old: str, secret: bool = False) -> Any:
    """One row of the table: default, meaning, older environment names."""
    return field(default=default, metadata={"doc": doc, "old": old, "secret": secret})


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """Limits on pictures that come from outside."""

    max_bytes: int = _setting(32 * 1024 * 1024, "largest picture file, bytes")
    max_pixels: int = _setting(50_000_000, "largest picture, pixels, read before decoding")
    max_frames: int = _setting(1000, "most frames of an animated picture; the first one is used")
    fetch_timeout: float = _setting(20.0, "seconds one address may take altogether")
    fetch_private: bool = _setting(False, "fetch from private and loopback addresses too")
    fetch_allow: tuple[str, ...] = _setting((), "host names to fetch from; empty allows all")


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Which model makes the vectors, and where models are kept."""

    name: str = _setting(
        "", "model: a name of `kenspeckle models list`, or a path; empty: the gallery's own"
    )
    head: str = _setting("", "projection head: safetensors, or a checkpoint", "CLIP_PROJ")
    mode: str = _setting(
        "", "how pictures are made square, a recipe of its own; empty: the gallery's, else default"
    )
    folder: str = _setting(
        "",
        "checkpoint to take for the pulled model asked for; an error where it holds another",
        "LOGO_EMBEDDING_MODEL_DIR",
        "LOGO_CLIP_MODEL_DIR",
    )
    home: str = _setting("", "folder of pulled models; empty: the user's cache folder")
    offline: bool = _setting(False, "never fetch a model", "HF_HUB_OFFLINE")
    device: str = _setting("cpu", "cpu, or an ONNX Runtime provider", "IMAGE_EMBED_DEVICE")


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """How references become an index."""

    path: str = _setting("", "index file; empty: gallery.ken, else card_index.npz", "CARD_INDEX")
    refs: str = _setting("", "folder of reference pictures", "REFS_DIR")
    naming: str = _setting("auto", "cards, plain, or auto")
    label_from: str = _setting("query", "label of gathered pictures: query or title")
    views: int = _setting(
        -1, "camera views enrolled beside each reference; -1: as the gallery has them, else none"
    )
    calibrate: bool = _setting(True, "fit the rule for unknowns after indexing")
    callers: int = _setting(0, "pictures worked on at once; 0: one a core")
    thumbnail: int = _setting(96, "longest side of the stored thumbnail, pixels; 0: none")


@dataclass(frozen=True, slots=True)
class IdentifySettings:
    """How a photo is asked about."""

    regions: str = _setting(
        "", "whole, center, windows, quad, or auto; empty: the calibration's, else whole"
    )
    fpir: float = _setting(
        0.0,
        f"false-positive rate to aim at; 0: that of the gallery's calibration, else {USUAL_FPIR:g}",
    )
    top: int = _setting(5, "candidates listed with each answer")
    second_look: str = _setting(
        "", "compare local features of the nearest items: sift, orb, off; empty: as calibrated"
    )
    shortlist: int = _setting(0, "items that get a second look; 0: as calibrated, else 10")
    evidence: tuple[str, ...] = _setting(
        (), "what else is read of the nearest items: codes (EAN, QR), text; empty: nothing"
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, a section per room."""

    image: ImageSettings = field(default_factory=ImageSettings)
    models: ModelSettings = field(default_factory=ModelSettings)
    index: IndexSettings = field(default_factory=IndexSettings)
    identify: IdentifySettings = field(default_factory=IdentifySettings)


@dataclass(frozen=True, slots=True)
class Setting:
    """One value in force: its dotted name, where it came from, and what it means."""

    name: str
    value: Any
    origin: str
    doc: str
    environment: tuple[str, ...]
    secret: bool = False


def _fields() -> Iterator[tuple[str, str, dataclasses.Field[Any]]]:
    for section in dataclasses.fields(Settings):
        kind: Any = section.default_factory
        for entry in dataclasses.fields(kind):
            yield section.name, entry.name, entry


def environment_names(section: str, entry: dataclasses.Field[Any]) -> tuple[str, ...]:
    """Environment names of a setting, the strongest first."""
    return (f"KENSPECKLE_{section}_{entry.name}".upper(), *entry.metadata["old"])


def _convert(name: str, value: Any, like: Any) -> Any:
    """Turn text or TOML data into the type of the default; SettingError names the setting."""
    kind = type(like)
    try:
        if kind is bool:
            if isinstance(value, bool):
                return value
            words = {"1": True, "true": True, "yes": True, "on": True}
            words |= {"0": False, "false": False, "no": False, "off": False, "": False}
            return words[str(value).strip().lower()]
        if kind is tuple and isinstance(value, str | list | tuple):
            parts = value.split(",") if isinstance(value, str) else value
            return tuple(str(part).strip() for part in parts if str(part).strip())
        if kind is tuple or isinstance(value, bool | list | dict):
            raise ValueError
        if kind is int and isinstance(value, float):
            raise ValueError
        converted = kind(value)
    except (ValueError, KeyError, TypeError) as error:
        expected = {bool: "yes or no", int: "a whole number", float: "a number", tuple: "a list"}
        raise SettingError(name, repr(value), expected=expected.get(kind, "text")) from error
    return converted


CHECKS: dict[str, tuple[Any, str]] = {
    "image.max_bytes": (lambda v: v > 0, "above 0"),
    "image.max_pixels": (lambda v: v > 0, "above 0"),
    "image.max_frames": (lambda v: v > 0, "above 0"),
    "image.fetch_timeout": (lambda v: 0 < v <= 3600, "above 0, at most 3600"),
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
    "identify.evidence": (lambda v: set(v) <= {"codes", "text"}, "codes, text or both"),
    "identify.shortlist": (lambda v: 0 <= v <= 100, "0 to 100"),
}


def check(name: str, value: Any, thing: str = "") -> None:
    """Refuse a value that the setting `name` cannot have, called `thing` in the SettingError."""
    allowed, expected = CHECKS.get(name, (lambda _: True, ""))
    if not allowed(value):
        raise SettingError(thing or name, repr(value), expected=expected)


def check_rate(rate: float, thing: str = "fpir") -> None:
    """Refuse what is no false-positive rate to ask for, 0 included. Raises SettingError."""
    if not 1e-6 <= rate < 1:
        raise SettingError(thing, repr(rate), expected=RATE)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # editors on Windows write the mark
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(str(path), f"cannot be read ({error})", expected="UTF-8 text") from error


def _read_env_file(path: Path) -> dict[str, str]:
    """`NAME=value` lines; comments, blank lines and `export ` are passed over.

    SettingError names a line that is nothing of this; its text may be a secret and is not shown.
    """
    values = {}
    for number, raw in enumerate(_read_text(path).splitlines(), 1):
        line = raw.strip().removeprefix("export ").strip()
        if not line or line.startswith("#"):
            continue
        name, found, value = line.partition("=")
        name = name.strip()
        if not found or not name or any(map(str.isspace, name)):
            raise SettingError(f"{path}, line {number}", "no setting", expected="NAME=value")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        else:
            value = value.partition(" #")[0].rstrip()
        values[name] = value
    return values


def _check_names(level: str, values: Mapping[str, str]) -> None:
    """Refuse a `KENSPECKLE_*` name that no setting has: a slip would silently change nothing."""
    known = {name for section, _, entry in _fields() for name in environment_names(section, entry)}
    for name in values:
        if name.startswith(PREFIX) and name not in known and not name.startswith(FOR_TESTS):
            near = difflib.get_close_matches(name, known, n=3)
            raise SettingError(
                f"{name}, from {level}",
                "no setting has this name",
                expected=" or ".join(near) or "a name that `kenspeckle config --json` lists",
            )


def user_folder(kind: str) -> Path:
    """The user's folder for `config` or `cache`, by the customs of the platform."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
        return Path(base) / "kenspeckle" / kind
    if sys.platform == "darwin":
        library = {"config": "Application Support", "cache": "Caches"}[kind]
        return Path.home() / "Library" / library / "kenspeckle"
    variable, fallback = {
        "config": ("XDG_CONFIG_HOME", ".config"),
        "cache": ("XDG_CACHE_HOME", ".cache"),
    }[kind]
    return Path(os.environ.get(variable) or Path.home() / fallback) / "kenspeckle"


def _read_toml(folder: Path) -> tuple[dict[str, Any], str]:
    for path in (folder / FILE, user_folder("config") / FILE):
        if path.is_file():
            try:
                return tomllib.loads(_read_text(path)), str(path)
            except tomllib.TOMLDecodeError as error:
                raise SettingError(str(path), f"not TOML ({error})") from error
    return {}, ""


def _check_toml(data: Mapping[str, Any], path: str) -> None:
    known = {(section, name) for section, name, _ in _fields()}
    for section, values in data.items():
        if not isinstance(values, dict):
            raise SettingError(path, f"'{section}' outside a section", expected="[section] tables")
        for name in values:
            if (section, name) not in known:
                near = ", ".join(sorted(n for s, n in known if s == section)) or ", ".join(
                    sorted({s for s, _ in known})
                )
                raise SettingError(path, f"unknown setting {section}.{name}", expected=near)


def load(
    arguments: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> tuple[Settings, tuple[Setting, ...]]:
    """Settings in force, and for each one where it came from.

    `arguments` maps dotted names (`identify.fpir`) to values; None means not given. `environ` and
    `folder` default to the process's environment and working folder. Raises SettingError.
    """
    environ = os.environ if environ is None else environ
    folder = Path.cwd() if folder is None else folder
    toml, toml_path = _read_toml(folder)
    _check_toml(toml, toml_path)
    env_path = folder / ".env"
    levels = [(str(env_path), _read_env_file(env_path) if env_path.is_file() else {})]
    levels.append(("environment", dict(environ)))
    for level, values in levels:
        _check_names(level, values)
    given = {name: value for name, value in (arguments or {}).items() if value is not None}

    rows: list[Setting] = []
    sections: dict[str, dict[str, Any]] = {}
    for section, key, entry in _fields():
        name = f"{section}.{key}"
        value, origin = entry.default, "default"
        if key in toml.get(section, {}):
            value, origin = toml[section][key], toml_path
        names = environment_names(section, entry)
        for level, values in levels:
            found = next((n for n in names if n in values), None)
            if found is not None:
                value, origin = values[found], f"{level} ({found})"
        if name in given:
            value, origin = given.pop(name), "argument"
        thing = name if origin in ("default", "argument") else f"{name}, from {origin}"
        value = _convert(thing, value, entry.default)
        check(name, value, thing)
        doc, secret = entry.metadata["doc"], entry.metadata["secret"]
        rows.append(Setting(name, value, origin, doc, names, secret))
        sections.setdefault(section, {})[key] = value
    if given:
        raise SettingError("settings", f"unknown {', '.join(sorted(given))}")
    kinds = {f.name: f.default_factory for f in dataclasses.fields(Settings)}
    parts = {section: kinds[section](**values) for section, values in sections.items()}  # type: ignore[operator]
    return Settings(**parts), tuple(rows)
