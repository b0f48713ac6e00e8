"""Where settings come from, level by level, and what is then in force."""

from __future__ import annotations

import dataclasses
import difflib
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kenspeckle.config.checks import check
from kenspeckle.config.sections import Settings
from kenspeckle.errors import SettingError

FILE = "kenspeckle.toml"
PREFIX = "KENSPECKLE_"
FOR_TESTS = "KENSPECKLE_TEST_"
"""Names that the tests of this package read; they are no settings."""


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
