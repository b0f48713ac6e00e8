"""`kenspeckle mcp`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kenspeckle._extras import need
from kenspeckle.cli import options
from kenspeckle.cli.opening import opened
from kenspeckle.errors import SettingError


def mcp(
    index: Annotated[
        str | None,
        typer.Argument(
            metavar="INDEX",
            help="The index. Default: gallery.ken, else card_index.npz.",
            show_default=False,
        ),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow",
            metavar="FOLDER",
            help="Pictures below it may be read; several times for several. Default: none, "
            "pictures come in the call.",
            show_default=False,
        ),
    ] = None,
    regions: options.Regions = None,
    model: options.Model = None,
    projection: options.Head = None,
    home: options.Home = None,
    offline: options.Offline = None,
) -> None:
    """Let an assistant ask about a gallery, over MCP on standard input and output.

    It may identify pictures, list the items, find similar ones, and confirm what a picture shows.
    """
    need("mcp", "a gallery for assistants")
    from kenspeckle.serve.assistant import Assistant
    from kenspeckle.serve.protocol import serve_stdio

    settings = options.settings(
        {
            "index.path": index,
            "identify.regions": regions,
            "models.name": model,
            "models.head": projection,
            "models.home": home,
            "models.offline": offline,
        }
    )
    folders = [_folder(one) for one in allow or ()]
    with opened(settings) as gallery:
        try:
            serve_stdio(Assistant(gallery, folders))
        except ExceptionGroup as group:  # each stream has a task of its own
            raise _stream_error(group) from None


def _stream_error(group: ExceptionGroup[Exception]) -> Exception:
    """What went wrong first with a stream that is closed; else all that went wrong."""
    broken: ExceptionGroup[OSError] | OSError | None = group.subgroup(OSError)
    while isinstance(broken, ExceptionGroup):
        broken = broken.exceptions[0]
    if isinstance(broken, OSError):
        broken.filename = broken.filename or "stdin or stdout"
        return broken
    return group


def _folder(word: str) -> Path:
    if not Path(word).is_dir():
        raise SettingError("--allow", word, expected="a folder")
    return Path(word)
