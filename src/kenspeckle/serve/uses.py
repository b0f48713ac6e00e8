"""What the models of an analysis are called: by the settings, by a task, in the pool, to strangers.

Settings name a model of the table, one of a hub, or a path; who asks from outside neither names a
path nor learns one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from types import MappingProxyType

from kenspeckle.config import AnalyzeSettings, Settings
from kenspeckle.engines import files, table
from kenspeckle.errors import InputError, KenspeckleError, ModelError, ModelMissing, SettingError

MAKES: Mapping[str, str] = MappingProxyType(
    {
        "person": "boxes",
        "face": "boxes",
        "clip": "features",
        "dino": "features",
        "caption": "captions",
    }
)
"""Uses, and what their models make of a picture."""

_KNOWN = frozenset(
    name.lower()
    for row in table.MODELS
    for name in (row.name, row.source if row.origin == "hub" else row.name)
) | frozenset(table.ALIASES)


def set_for(use: str, asked: AnalyzeSettings) -> str:
    """The model that the settings name for a use, as they name it."""
    found: str = getattr(asked, use)
    return found


def check_set(asked: AnalyzeSettings) -> None:
    """Refuse settings that name what can never serve: nothing that is known, no loader, something
    that makes other things of a picture. A model that is only not here is none of these.

    Raises SettingError that names the setting.
    """
    for use, makes in MAKES.items():
        name = set_for(use, asked)
        try:
            row = table.find(name)
        except ModelMissing:
            continue
        except (ModelError, RuntimeError) as error:  # the latter for the home of an unknown user
            told = error if isinstance(error, ModelError) else ModelError(name, str(error))
            raise SettingError(
                f"analyze.{use}", f"{name!r}: {told.found}", expected=told.expected, do=told.do
            ) from error
        if row.task not in ("", makes):
            found = f"{name or row.name} is a model of {row.task}"
            raise SettingError(f"analyze.{use}", found, expected=f"one of {makes}")
        if use == "caption" and row.kind != "torch":
            found = f"{row.name} is an ONNX file"
            raise SettingError(f"analyze.{use}", found, expected="a checkpoint of transformers")


def absent(settings: Settings) -> Iterator[str]:
    """A remark for each model that somebody set and that is not on this machine."""
    usual = AnalyzeSettings()
    for use in MAKES:
        name = set_for(use, settings.analyze)
        if name == set_for(use, usual):
            continue
        try:
            files.check_present(table.find(name), settings.models)
        except ModelError as error:
            why = str(error).rstrip(".")
            yield f"analyze.{use}: {why}. Its tasks are skipped until it is there."


def shown_names(asked: AnalyzeSettings) -> dict[str, str]:
    """What the model of each use is called to strangers: a path by its last part alone.

    Where that part would be taken for another model (one of the table, or that of another use) the
    setting stands behind it, as in `clip (analyze.clip)`.
    """
    paths = {use: path for use in MAKES if (path := _path(set_for(use, asked))) is not None}
    last = {use: path.name or path.anchor for use, path in paths.items()}
    found = {use: last.get(use, set_for(use, asked)) for use in MAKES}

    def mistaken(use: str) -> bool:
        name = last[use].lower()
        return name in _KNOWN or any(
            found[other].lower() == name and paths.get(other) != paths[use] for other in MAKES
        )

    behind = {use: f"{name} (analyze.{use})" for use, name in last.items() if mistaken(use)}
    return found | behind


def known_as(use: str, model: str) -> str:
    """What the model of a use is called in the pool, by any of its names."""
    return f"{use}:{_table_name(model)}"


def identity(name: str) -> str:
    """The same for all names of one model, whose network is held once."""
    try:
        row = table.find(name)
    except ModelError:
        return name
    return row.name if row.task else row.source


def check_named(use: str, model: str) -> None:
    """Refuse a model that a task may not name, or that makes something else. InputError."""
    if model.strip().lower() not in _KNOWN:
        raise InputError(
            "model",
            repr(model[:80]),
            expected="a name of `kenspeckle models list`",
            do="Leave it out for the one that is set",
        )
    makes = table.find(model).task
    if makes != MAKES[use]:
        raise InputError(model, f"a model of {makes}", expected=f"one of {MAKES[use]}")


def may_name(use: str, model: str) -> bool:
    """Whether a task may name that model for a use; empty is no name."""
    try:
        check_named(use, model)
    except KenspeckleError:
        return False
    return True


def _path(name: str) -> Path | None:
    """The path that a setting means; None for a name."""
    try:
        if table.find(name).origin != "local":
            return None
    except ModelMissing:  # a path where nothing is
        pass
    return Path(name.strip()).expanduser().absolute()


def _table_name(name: str) -> str:
    """The name in the table of a model, for one of its aliases; the bare name of a file."""
    try:
        return table.find(name).name
    except ModelError:
        return PurePath(name).name
