"""`kenspeckle models …`: which models there are, bring them here, check them, carry them away."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kenspeckle.cli import console
from kenspeckle.cli.options import AsJson, Home, Offline, settings
from kenspeckle.errors import KenspeckleError

if TYPE_CHECKING:
    from kenspeckle.config import ModelSettings
    from kenspeckle.engines.table import ModelRow

app = typer.Typer(
    help="Models: list, info, pull, verify, pack.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

Names = Annotated[
    list[str] | None, typer.Argument(help="Names of models.", metavar="NAME", show_default=False)
]


def _models(home: str | None, offline: bool | None = None) -> ModelSettings:
    return settings({"models.home": home, "models.offline": offline}).models


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size else ""


@app.command("list")
def list_models(home: Home = None, as_json: AsJson = False) -> None:
    """List the models that have a name, and which of them are on this machine."""
    from kenspeckle.engines import files, table

    chosen = _models(home)
    if as_json:
        for row in files.rows(chosen):
            console.json_line({**asdict(row), "installed": files.installed(row, chosen)})
        return
    names = {
        target: alias for alias, target in table.ALIASES.items() if alias in ("default", "fast")
    }
    console.table(
        ("model", "here", "width", "side", "size", "licence", "from", "about"),
        [
            (
                row.name,
                "yes" if files.installed(row, chosen) else "no",
                row.width,
                row.recipe.side if row.recipe else "",
                _megabytes(row.bytes),
                row.licence,
                row.source if row.origin == "hub" else row.origin,
                f"`{names[row.name]}`: {row.note}" if row.name in names else row.note,
            )
            for row in files.rows(chosen)
        ],
    )


@app.command()
def info(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Show one model: files, hashes, recipe, space, cohort, licence, card."""
    from kenspeckle.engines import files, table

    chosen = _models(home)
    row = table.find(name)
    data: dict[str, Any] = {**asdict(row), "installed": True, "card": "", "where": "", "space": ""}
    try:
        data |= _found(row, chosen)
    except KenspeckleError as error:
        data |= {"installed": files.installed(row, chosen), "missing": str(error)}
    if as_json:
        console.json_line(data)
        return
    for name in ("cohort_keys", "cohort_sha256"):  # for programs
        data.pop(name)
    shown = {key: value for key, value in data.items() if value not in ("", None, 0)}
    recipe = shown.pop("recipe", None) or {}
    shown |= {f"recipe.{key}": value for key, value in recipe.items()}
    console.table(("what", "value"), list(shown.items()))


def _found(row: ModelRow, chosen: ModelSettings) -> dict[str, Any]:
    """What only the files of an installed model can tell."""
    from kenspeckle.engines import files
    from kenspeckle.engines.lock import read_lock
    from kenspeckle.types import Fingerprint

    card = files.card(row, chosen)
    locked = read_lock(files.home(chosen)).get(row.source)
    data: dict[str, Any] = {
        "card": str(card) if card else "",
        "commit": locked.commit if locked else "",
        "licence": (locked.licence if locked else "") or row.licence,
    }
    if row.task not in ("", "features"):
        path, sha256 = files.weights(row, chosen)
        return data | {"where": str(path), "sha256": sha256}
    found = files.locate(row, chosen)
    data |= {
        "where": str(found.weights) if row.origin != "made" else "",
        "sha256": found.sha256,
        "recipe": asdict(found.recipe),
        "general_strangers": "yes, by its cohort" if found.cohort else "no: it has no cohort",
    }
    if found.width:
        data["width"] = found.width
        data["space"] = Fingerprint(row.name, found.sha256, found.recipe, found.width).space_id
    return data


@app.command()
def pull(
    names: Names = None,
    from_pack: Annotated[
        Path | None,
        typer.Option("--from-pack", metavar="FILE", help="Take it out of an offline bundle."),
    ] = None,
    endpoint: Annotated[
        str, typer.Option(metavar="URL", help="Address of the hub. Default: HF_ENDPOINT.")
    ] = "",
    renew: Annotated[
        bool, typer.Option(help="Take the hub's newest and lock it anew (a new space).")
    ] = False,
    home: Home = None,
    offline: Offline = None,
    as_json: AsJson = False,
) -> None:
    """Bring models to this machine: from a hub, or from a bundle made by `models pack`."""
    from kenspeckle.engines import bundle, files, table

    chosen = _models(home, offline)
    rows = [table.find(name) for name in names or []]
    if from_pack is not None:
        for entry, what in bundle.unpack(from_pack, chosen, rows):
            _tell({"name": entry.name, "result": what}, as_json)
        return
    if not rows:
        raise typer.BadParameter("name a model, or a bundle by --from-pack", param_hint="NAME")
    for row in rows:
        if row.origin == "hub":
            from kenspeckle.engines import hub

            folder = hub.pull(row, chosen, endpoint=endpoint, renew=renew, say=console.note)
            _tell({"name": row.name, "result": "installed", "where": str(folder)}, as_json)
        else:
            files.weights(row, chosen)
            _tell({"name": row.name, "result": "here already"}, as_json)


def _tell(data: dict[str, Any], as_json: bool) -> None:
    if as_json:
        console.json_line(data)
    else:
        console.line(f"{data['name']}: {data['result']}")


@app.command()
def verify(names: Names = None, home: Home = None, as_json: AsJson = False) -> None:
    """Compare the files of installed models with their hashes. Exit 1 if one differs."""
    from kenspeckle.engines import files, table

    chosen = _models(home)
    rows = [table.find(name) for name in names or []]
    rows = rows or [row for row in files.rows(chosen) if files.verifiable(row, chosen)]
    bad = False
    for row in rows:
        checked = files.verify(row, chosen)
        bad = bad or bool(checked.wrong)
        if as_json:
            console.json_line(
                {"name": row.name, "files": checked.files, "ok": not checked.wrong}
                | {"wrong": list(checked.wrong)}
            )
        elif checked.wrong:
            console.line(f"{row.name}: {'; '.join(checked.wrong)}")
        else:
            console.line(f"{row.name}: as it should be ({checked.files} checked)")
    if bad:
        raise typer.Exit(1)


@app.command()
def pack(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="The bundle to write.")],
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Models to put into it.")],
    add: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="File or folder with weights that are not installed."),
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Write one offline bundle: weights, cards, licences and hashes."""
    from kenspeckle.engines import bundle, table

    rows = [table.find(name) for name in names]
    for entry in bundle.pack(out, rows, _models(home), add or ()):
        size = sum(file.bytes for file in entry.files.values())
        _tell({"name": entry.name, "result": f"packed, {_megabytes(size)}", "bytes": size}, as_json)
