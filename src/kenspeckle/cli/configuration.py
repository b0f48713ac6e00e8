"""`kenspeckle config`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from kenspeckle.cli import console
from kenspeckle.cli.options import AsJson
from kenspeckle.config import Setting, load

MASK = "(set, not shown)"


def config(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Show only settings whose name begins so.", metavar="NAME"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the settings in force and where each came from.

    Later wins: defaults, kenspeckle.toml, .env, environment, options of a command.
    """
    _, rows = load()
    wanted = tuple(names or [""])
    chosen = [row for row in rows if row.name.startswith(wanted)]
    if not chosen:
        raise typer.BadParameter(f"no setting begins with {' or '.join(map(repr, wanted))}")
    if as_json:
        for row in chosen:
            console.json_line(
                {
                    "name": row.name,
                    "value": shown(row),
                    "origin": row.origin,
                    "meaning": row.doc,
                    "environment": row.environment,
                }
            )
        return
    console.table(
        ("setting", "value", "from", "meaning"),
        [(row.name, _text(shown(row)), row.origin, row.doc) for row in chosen],
    )


def shown(row: Setting) -> Any:
    """The value of a setting as it may be printed: a secret is masked."""
    return MASK if row.secret and row.value else row.value


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)
