"""Options that several commands share, and the settings they make.

A command's parameters are its options, so the function of a command takes as many arguments as it
has options. An option that was not given is None and leaves the setting as it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from kenspeckle.config import RATE, USUAL_FPIR, Setting, Settings, load
from kenspeckle.errors import KenspeckleError, SettingError

AsJson = Annotated[bool, typer.Option("--json", help="Write JSON lines for programs.")]
Index = Annotated[
    str | None,
    typer.Option(
        "--index",
        metavar="FILE",
        help="The index. Default: gallery.ken, else card_index.npz.",
        show_default=False,
    ),
]
Place = Annotated[
    str | None,
    typer.Argument(metavar="INDEX", help="The index. Default: gallery.ken, else card_index.npz."),
]
"""The same by its position, where a command takes nothing else by position."""
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "--clip-model",
        metavar="NAME",
        help="Model: a name of `kenspeckle models list`, or a path.",
        show_default=False,
    ),
]
Head = Annotated[
    str | None,
    typer.Option(
        "--projection",
        metavar="FILE",
        help="Projection head: safetensors, or a checkpoint.",
        show_default=False,
    ),
]
Mode = Annotated[
    str | None,
    typer.Option(
        "--preprocess-mode",
        metavar="MODE",
        help="How pictures are made square for the model: default, letterbox, stretch; legacy-… "
        "of each does as the former bench did.",
        show_default=False,
    ),
]
Home = Annotated[
    str | None,
    typer.Option("--home", metavar="FOLDER", help="Folder of pulled models.", show_default=False),
]
Offline = Annotated[
    bool | None,
    typer.Option("--offline", help="Never fetch a model.", show_default=False),
]
Callers = Annotated[
    int | None,
    typer.Option(
        "--callers",
        metavar="N",
        help="Pictures worked on at once; 0 is one a core.",
        show_default=False,
    ),
]
Regions = Annotated[
    str | None,
    typer.Option(
        "--regions",
        metavar="RULE",
        help="Parts of a photo that are asked about: whole, center, windows, quad or auto.",
        show_default=False,
    ),
]
Fpir = Annotated[
    float | None,
    typer.Option(
        "--fpir",
        metavar="RATE",
        help="Share of strangers that may get a name, 0 to 1. Default: as the index was "
        f"calibrated, else {USUAL_FPIR:g}.",
        show_default=False,
    ),
]

OPTION_OF = {
    "index.path": "--index",
    "index.refs": "--refs",
    "index.naming": "--naming",
    "index.label_from": "--label-from",
    "index.views": "--views",
    "index.calibrate": "--calibrate",
    "index.callers": "--callers",
    "identify.regions": "--regions",
    "identify.fpir": "--fpir",
    "identify.top": "--top",
    "models.name": "--model",
    "models.head": "--projection",
    "models.mode": "--preprocess-mode",
    "models.home": "--home",
    "models.offline": "--offline",
    "serve.surfaces": "--surface",
    "serve.host": "--host",
    "serve.port": "--port",
    "serve.prices": "--prices",
    "serve.keys": "--keys",
    "serve.origins": "--origin",
    "serve.log_format": "--log-format",
    "serve.similarity": "--sim-threshold",
    "serve.margin": "--margin-threshold",
    "serve.detector_score": "--yolo-conf",
}


def once(placed: str | None, given: str | None, names: str = "'INDEX' / '--index'") -> str | None:
    """A file that may be named by its position or by its option; both only where they agree."""
    if placed is not None and given is not None and placed != given:
        what = "index" if "INDEX" in names else "file"
        raise typer.BadParameter(f"name the {what} once", param_hint=names)
    return given if placed is None else placed


def settings(given: dict[str, Any]) -> Settings:
    """Settings in force under the options `given` by dotted name; None means not given."""
    return sourced(given)[0]


def sourced(given: dict[str, Any]) -> tuple[Settings, tuple[Setting, ...]]:
    """The same, and for each setting where it came from.

    A value that its setting cannot have is a wrong option (exit code 2) when it was given as one;
    from a file or the environment it stays a SettingError (exit code 1).
    """
    if given.get("identify.fpir") == 0:  # 0 in a file means that none is asked for
        raise typer.BadParameter(f"0; expected {RATE}", param_hint="--fpir")
    try:
        return load(given)
    except SettingError as error:
        if given.get(error.thing) is None:
            raise
        found = f"{error.found}; expected {error.expected}" if error.expected else error.found
        raise typer.BadParameter(found, param_hint=OPTION_OF.get(error.thing)) from error


@contextlib.contextmanager
def traced(rows: Sequence[Setting]) -> Iterator[None]:
    """Let an error out that is about a setting of a file or the environment, and say from where
    that came: whoever reads it may know the variable alone."""
    try:
        yield
    except KenspeckleError as error:
        thing, expected = error.thing, error.expected
        for row in rows:
            if row.origin in ("default", "argument"):
                continue
            told = f"{row.name}, from {row.origin}"
            if thing in (row.name, OPTION_OF.get(row.name)):
                thing = told
            elif thing and row.value and isinstance(row.value, str):
                thing = f"{thing}, from {row.origin}" if Path(thing) == Path(row.value) else thing
            expected = expected.replace(f" {row.name} ", f" {told}, ")
        if (thing, expected) == (error.thing, error.expected):
            raise
        raise type(error)(thing, error.found, expected=expected, do=error.do) from error
