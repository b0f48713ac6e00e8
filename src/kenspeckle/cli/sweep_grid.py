"""From options, the bench's environment names and a preset to the cells of a sweep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import typer

from kenspeckle.config import MODES, ModelSettings
from kenspeckle.errors import InputError, SettingError
from kenspeckle.evaluate.sweep.grid import (
    BASELINE,
    PRESETS,
    TUNED,
    Axis,
    Cell,
    Preset,
    Sampling,
    axis,
    cells,
    methods,
    with_axes,
)

ENVIRONMENT = {
    "NUM_LOGOS": "logos",
    "POSITIVE_SAMPLES": "positives",
    "NEGATIVE_SAMPLES": "negatives",
    "SEED": "seed",
    "THRESHOLD": "threshold",
    "THRESHOLDS": "thresholds",
    "MARGIN": "margin",
    "MARGINS": "margins",
    "REFS_PER_LOGO": "refs",
    "MIN_MATCHING_REFS": "least",
    "MATCHING_METHOD": "method",
    "USE_MAX_SIM": "pool",
    "MODEL": "model",
    "EMBEDDING_MODEL": "model",
    "TUNED_MODEL": "tuned",
    "PREPROCESS_MODE": "mode",
}
"""Names that the scripts of the former bench took; weaker than every option and setting."""

HEADS = frozenset((".safetensors", ".pt", ".pth", ".bin", ".npz"))
_YES = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False}
_OPTIONS = {
    "method": "--methods",
    "threshold": "--thresholds",
    "margin": "--margins",
    "refs": "--refs",
    "model": "--models",
    "mode": "--modes",
    "head": "--heads",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What was given on the command line; None is not given. `lists` are axes, by field of `Cell`
    and separated by commas; `single` and `sampling` single numbers."""

    preset: str = ""
    lists: Mapping[str, str | None] = field(default_factory=dict)
    single: Mapping[str, float | None] = field(default_factory=dict)
    sampling: Mapping[str, int | None] = field(default_factory=dict)
    maximum: bool | None = None
    legacy: bool = False
    tuned: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The cells of a sweep, its draw, and the environment names that took part."""

    cells: tuple[Cell, ...]
    sampling: Sampling
    details: bool
    environment: tuple[str, ...]


def planned(asked: Asked, models: ModelSettings, environ: Mapping[str, str]) -> Plan:
    """The cells. An option wins over the environment, that over the preset's common settings.

    The grid of a preset gives way to options only, and to THRESHOLDS and MARGINS. Raises typer's
    BadParameter for an option, SettingError for an environment name, with a value it cannot have.
    """
    preset = _preset(asked.preset)
    found = {name: environ[name] for name in ENVIRONMENT if environ.get(name, "").strip()}
    env = {ENVIRONMENT[name]: (name, text.strip()) for name, text in found.items()}
    base = _from_environment(preset.base, env, models)
    base = replace(base, legacy=asked.legacy)
    if asked.maximum is not None:
        base = replace(base, pool="max" if asked.maximum else "mean")
    if asked.single.get("least") is not None:
        base = replace(base, least=asked.single["least"])  # type: ignore[arg-type]
    axes: dict[str, Axis] = {}
    for name in ("threshold", "margin"):
        if f"{name}s" in env:
            axes[name] = axis(name, _values(*env[f"{name}s"], float, SettingError))
    for name, number in asked.single.items():
        if number is not None and name != "least":
            axes[name] = axis(name, (number,))
    for name, text in asked.lists.items():
        if text is not None:
            axes[name] = _axis(name, text, base)
    made = cells(base, with_axes(preset.axes, axes))
    tuned = asked.tuned or env.get("tuned", ("", ""))[1]
    resolved = tuple(dict.fromkeys(_resolved(cell, tuned) for cell in made))
    try:
        for cell in resolved:
            cell.rule()  # a number that no rule takes is refused before anything is embedded
    except InputError as error:
        raise typer.BadParameter(str(error)) from error
    return Plan(resolved, _sampling(asked, preset, env), preset.details, tuple(sorted(found)))


def _preset(name: str) -> Preset:
    if not name:
        return Preset("", ())
    if name not in PRESETS:
        expected = ", ".join(PRESETS)
        raise typer.BadParameter(f"{name!r}; expected {expected}", param_hint="--preset")
    return PRESETS[name]


def _sampling(asked: Asked, preset: Preset, env: Mapping[str, tuple[str, str]]) -> Sampling:
    values: dict[str, int] = {}
    for name in ("logos", "positives", "negatives", "seed"):
        given = asked.sampling.get(name)
        if given is not None:
            values[name] = given
        elif name in env:
            values[name] = _values(*env[name], int, SettingError)[0]
    return replace(preset.sampling, **values)


def _from_environment(
    base: Cell, env: Mapping[str, tuple[str, str]], models: ModelSettings
) -> Cell:
    changes: dict[str, Any] = {}
    for name, kind in (("threshold", float), ("margin", float), ("refs", int), ("least", int)):
        if name in env:
            changes[name] = _values(*env[name], kind, SettingError)[0]
    if "pool" in env:
        variable, text = env["pool"]
        if text.lower() not in _YES:
            raise SettingError(variable, repr(text), expected="true or false")
        changes["pool"] = "max" if _YES[text.lower()] else "mean"
    if "method" in env:
        method, pool = methods(env["method"][1], pool=changes.get("pool", base.pool))[1][0]
        changes |= {"method": method, "pool": pool}
    if "model" in env and not models.name:
        changes["model"] = env["model"][1]
    if "mode" in env and not models.mode:
        changes["mode"] = _mode(env["mode"][1], env["mode"][0])
    return replace(base, **changes)


def _axis(name: str, text: str, base: Cell) -> Axis:
    """An axis from an option. BadParameter."""
    option = _OPTIONS[name]
    try:
        if name == "method":
            return methods(*_values(option, text, str, typer.BadParameter), pool=base.pool)
        if name == "mode":
            words = _values(option, text, str, typer.BadParameter)
            return axis(name, [_mode(word, option) for word in words])
    except SettingError as error:
        found = f"{error.found}; expected {error.expected}"
        raise typer.BadParameter(found, param_hint=option) from error
    kind = {"threshold": float, "margin": float, "refs": int}.get(name, str)
    return axis(name, _values(option, text, kind, typer.BadParameter))


def _values(
    name: str, text: str, kind: Callable[[str], Any], error: type[Exception]
) -> Sequence[Any]:
    """Values separated by commas, numbers also by blanks."""
    words = text.split(",") if kind is str else text.replace(",", " ").split()
    words = [word.strip() for word in words if word.strip()]
    try:
        values = [kind(word) for word in words]
    except ValueError:
        values = []
    least = 1 if kind is int and name in ("--refs", "REFS_PER_LOGO", "MIN_MATCHING_REFS") else None
    if not values or (least is not None and min(values) < least):
        expected = {int: "whole numbers, at least 1" if least else "a whole number"}.get(
            kind,
            "numbers" if kind is float else "names",  # type: ignore[call-overload]
        )
        if error is SettingError:
            raise SettingError(name, repr(text), expected=expected)
        raise typer.BadParameter(f"{text!r}; expected {expected}", param_hint=name)
    return values


def _mode(word: str, thing: str) -> str:
    if word not in MODES:
        raise SettingError(thing, repr(word), expected=", ".join(MODES))
    return word


def _resolved(cell: Cell, tuned: str) -> Cell:
    """The cell with `baseline` and `tuned` as a model and a head."""
    if cell.model == BASELINE:
        return replace(cell, model="")
    if cell.model != TUNED:
        return cell
    if not tuned:
        raise typer.BadParameter(
            "a tuned model takes part; expected a head's file, a checkpoint or a name",
            param_hint="--tuned",
        )
    path = Path(tuned)
    if path.suffix.lower() in HEADS and not path.is_dir():
        return replace(cell, model="", head=tuned)
    return replace(cell, model=tuned)
