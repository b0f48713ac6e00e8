"""The list of commands, and the one class that makes exit codes and prefixes follow the contract.

A command's module is imported when that command runs: the table below is all that the help needs.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from kenspeckle.cli.console import safe


@dataclass(frozen=True, slots=True)
class Row:
    """One command: its name, where it is (`module:attribute`), and one line about it.

    `former` are the long options that it has taken over from `data_label_factory.identify`: a
    prefix that means one of these and one of ours means the former one, as it did there. A `hidden`
    name works and is in no list of commands.
    """

    name: str
    place: str
    about: str
    former: tuple[str, ...] = ()
    hidden: bool = False


PRICES = "Ask a price site what cards cost (formerly scrape_prices, prices)."

COMMANDS = (
    Row(
        "index",
        "index:index",
        "Make or update an index from a folder of reference pictures.",
        ("--refs", "--out", "--projection", "--clip-model"),
    ),
    Row(
        "identify",
        "identify:identify",
        "Say which item each photo shows, or that it is none of them, and why.",
    ),
    Row(
        "verify",
        "verify:verify",
        "Check the rows of an index against each other, and against perturbed pictures.",
        ("--index", "--top-confusables"),
    ),
    Row(
        "sweep",
        "sweep:sweep",
        "Try a grid of rules, models and numbers on labelled pictures, a row for each.",
    ),
    Row(
        "evaluate",
        "evaluate:evaluate",
        "Measure on labelled pictures: new photos of enrolled items, and strangers.",
    ),
    Row(
        "calibrate",
        "calibrate:calibrate",
        "Fit when a photo is called unknown, to keep a stated rate of strangers that get a name.",
    ),
    Row("add", "contents:add", "Enrol one picture. A later `index` leaves it alone."),
    Row(
        "remove",
        "contents:remove",
        "Erase items or single references, with their vectors and thumbnails.",
    ),
    Row("list", "contents:list_", "List the items, or their references."),
    Row("confirm", "feedback:confirm", "Say that a photo shows an item; it becomes a reference."),
    Row("reject", "feedback:reject", "Say that a photo does not show what it was named."),
    Row("rename", "feedback:rename", "Give an item another name, which later runs keep."),
    Row("feedback", "feedback:feedback", "List what was confirmed and rejected; take it back."),
    Row("info", "info:info", "Show what an index holds, what made it, and what it promises."),
    Row(
        "export",
        "exchange:export",
        "Copy an index to a new file, as an .npz that numpy and older programs read.",
    ),
    Row(
        "import",
        "exchange:import_",
        "Make an index from an .npz, also from one of the former system.",
    ),
    Row(
        "serve",
        "serve:serve",
        "Answer over HTTP: the native API under /v1, and surfaces for clients of former systems.",
        ("--index", "--projection", "--refs", "--port", "--host", "--prices"),
    ),
    Row(
        "mcp",
        "mcp:mcp",
        "Let an assistant ask about a gallery, over MCP on standard input and output.",
    ),
    Row(
        "scrape-prices",
        "prices:scrape_prices",
        PRICES,
        ("--refs", "--out", "--site", "--max-prefixes"),
    ),
    Row("scrape_prices", "prices:scrape_prices", PRICES, hidden=True),
    Row("prices", "prices:scrape_prices", PRICES, hidden=True),
    Row("keys", "keys:app", "Keys of the service: create, list, revoke."),
    Row(
        "caption", "caption:caption", "Write a caption of each picture into a text file beside it."
    ),
    Row("data", "data:app", "Make data sets ready to evaluate on: logodet prepare."),
    Row("models", "models:app", "Models: list, info, pull, verify, pack."),
    Row("config", "configuration:config", "Show the settings in force and where each came from."),
    Row(
        "demo",
        "demo:demo",
        "Index a small real collection, identify photos of it and of strangers, write a page.",
    ),
)

STOPPED = 130
"""Exit code after Ctrl-C."""

UsageError: Any = typer.BadParameter.__mro__[1]
"""A wrong use of an option: exit code 2. Typer does not export it by name."""


def load(row: Row) -> Any:
    """Import the command of `row` and make it a command of typer."""
    module, _, attribute = row.place.partition(":")
    found = getattr(import_module(f"kenspeckle.cli.{module}"), attribute)
    if isinstance(found, typer.Typer):
        found.info.cls = Group
        for entry in found.registered_commands:
            entry.cls = Command
    else:
        app = typer.Typer(rich_markup_mode=None, add_completion=False)
        app.command(row.name, cls=Command)(found)
        found = app
    command = typer.main.get_command(found)
    command.name = row.name
    return command


def expand(
    params: Sequence[Any], arguments: Sequence[str], former: Sequence[str] = ()
) -> list[str]:
    """Write unique prefixes of long options out; values and what follows `--` stay as they are.

    Among several matches the only one in `former` wins. Raises typer's UsageError, which names all
    matches, when a prefix is ambiguous.
    """
    sides = {
        option: (param, side)
        for param in params
        for side, options in enumerate((param.opts, param.secondary_opts))
        for option in options
        if option.startswith("--")
    }
    done: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*done, word, *rest]
        name, equals, value = word.partition("=")
        if not name.startswith("--"):
            done.append(word)
            continue
        name = _match(name, sides, former)
        done.append(name + equals + value)
        known = sides.get(name)
        if known and not equals and rest and not getattr(known[0], "is_flag", False):
            done.append(rest.pop(0))
    return done


def _match(name: str, sides: dict[str, tuple[Any, int]], former: Sequence[str]) -> str:
    if name in sides:
        return name
    found = [option for option in sides if option.startswith(name)]
    kept = [option for option in found if option in former]
    if len(kept) == 1:
        return kept[0]
    if len({(id(sides[option][0]), sides[option][1]) for option in found}) > 1:
        raise UsageError(f"ambiguous option: {safe(name)} could match {', '.join(sorted(found))}")
    return found[0] if found else name


def describe(params: Sequence[Any], context: Any) -> tuple[list[tuple[str, str]], ...]:
    """Arguments and options as `(how it is written, what it means)`."""
    arguments, options = [], []
    for param in params:
        if param.hidden:
            continue
        meaning = param.help or ""
        value = param.metavar or "TEXT"
        if param.param_type_name == "argument":
            arguments.append((value + ("..." if param.nargs != 1 else ""), meaning))
            continue
        written = ", ".join(sorted(param.opts, key=lambda option: option.startswith("--")))
        if param.secondary_opts:
            written += " / " + ", ".join(param.secondary_opts)
        if not param.is_flag:
            written += f" {value}"
            default = param.get_default(context, call=False)
            if param.show_default and default not in (None, ""):
                meaning += f" [default: {default}]"
        options.append((written, meaning))
    return arguments, options


class _Help:
    """Help in our words: arguments and options by their own names, without Python's types."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What follows the name in a line of use: `[OPTIONS] PHOTO...`."""
        me: Any = self
        pieces = ["[OPTIONS]"]
        for param in me.get_params(ctx):
            if param.param_type_name == "argument":
                word = param.metavar or param.name.upper()
                word = word if param.required else f"[{word}]"
                pieces.append(word + ("..." if param.nargs != 1 else ""))
        return pieces + (["COMMAND [ARGS]..."] if isinstance(me, TyperGroup) else [])

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, options and, for a group, its commands."""
        me: Any = self
        titles = ("Arguments", "Options")
        for title, records in zip(titles, describe(me.get_params(ctx), ctx), strict=True):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
        if isinstance(me, TyperGroup):
            me.format_commands(ctx, formatter)


class Command(_Help, TyperCommand):
    """One command of ours."""


class Group(_Help, TyperGroup):
    """A group of commands with the manners of the contract.

    No arguments, `help`, `-h` and `--help` list the commands on stdout (exit 0); an unknown command
    lists them on stderr (exit 1); a wrong option exits 2; unique prefixes of long options count.
    """

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Names in the order in which they were added."""
        return list(self.commands)

    def about(self, ctx: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        """Name and first line of each command."""
        lines = ((name, command.help or "") for name, command in self.commands.items())
        return [(name, text.split("\n\n")[0]) for name, text in lines]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands with their whole first line."""
        with formatter.section("Commands"):
            formatter.write_dl(self.about(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take `help` and `help COMMAND` as what they mean, and no arguments as `help`."""
        if not args or args == ["help"]:
            typer.echo(self.get_help(ctx))
            ctx.exit(0)
        if args[0] == "help":
            args = [*args[1:], "--help"]
        own = self.get_params(ctx)
        leading = next((i for i, word in enumerate(args) if not word.startswith("-")), len(args))
        args = [*expand(own, args[:leading]), *args[leading:]]
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed

    def invoke(self, ctx: Any) -> Any:
        """Run the command; Ctrl-C is one line and exit code 130."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("Stopped.", err=True)
            raise typer.Exit(STOPPED) from None

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that `args` begin with, and the rest with prefixes written out."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None:
            near = difflib.get_close_matches(name, self.list_commands(ctx), n=3)
            meant = f"did you mean {' or '.join(near)}?\n" if near else ""
            typer.echo(f"unknown command: {safe(name)}\n{meant}\n{self.get_help(ctx)}", err=True)
            raise typer.Exit(1)
        if isinstance(command, TyperGroup):
            return name, command, args[1:]
        former = next((row.former for row in COMMANDS if row.name == name), ())
        return name, command, expand(command.get_params(ctx), args[1:], former)


class LazyGroup(Group):
    """The commands of the table, each imported when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Names in the order of the table."""
        return [row.name for row in COMMANDS if not row.hidden]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Import one command; None when there is no such name."""
        row = next((row for row in COMMANDS if row.name == cmd_name), None)
        return load(row) if row else None

    def about(self, ctx: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        """Name and line of each command, without importing a single one."""
        return [(row.name, row.about) for row in COMMANDS if not row.hidden]


def show_version(wanted: bool) -> None:
    """Print name and version, and stop."""
    if wanted:
        from kenspeckle import __version__

        sys.stdout.write(f"kenspeckle {__version__}\n")
        raise typer.Exit
