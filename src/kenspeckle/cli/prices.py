"""`kenspeckle scrape-prices`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kenspeckle.cli import console
from kenspeckle.cli.options import settings
from kenspeckle.flows.given import places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kenspeckle.adapters.price_file import PriceFile
    from kenspeckle.adapters.scrape import Merged, Pages, Scraped
    from kenspeckle.adapters.sites.listing import Site

SAMPLES = 5
LIST = "list"


def scrape_prices(
    refs: Annotated[
        str | None,
        typer.Option("--refs", metavar="FOLDER", help="Folder of the reference pictures."),
    ] = None,
    out: Annotated[
        str, typer.Option("--out", metavar="FILE", help="Price file to write.")
    ] = "card_prices.json",
    site: Annotated[
        str,
        typer.Option("--site", metavar="NAME", help="Price site; `list` lists those there are."),
    ] = "yuyu-tei",
    max_prefixes: Annotated[
        int,
        typer.Option("--max-prefixes", metavar="N", help="Refuse to ask for more sets than this."),
    ] = 10,
    pages: Annotated[
        str | None,
        typer.Option(
            "--pages",
            metavar="PLACE",
            help="Read saved pages instead of asking the site: a folder of PREFIX.html, or one "
            "page for all.",
            show_default=False,
        ),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Write the file anew: old prices that are not found go."),
    ] = False,
) -> None:
    """Ask a price site what cards cost (formerly scrape_prices, prices).

    The cards are those of a folder of references, by the set codes in their file names: one page a
    set, a second apart. What cannot be had keeps the prices that the file has.
    """
    from kenspeckle.adapters.price_file import write_prices
    from kenspeckle.adapters.scrape import merged, scrape
    from kenspeckle.adapters.sites.table import SITES

    if site == LIST:
        console.table(("site", "about"), [(one.name, one.about) for one in SITES])
        return
    chosen = _site(site)
    if refs is None:
        raise typer.BadParameter("missing; expected a folder", param_hint="--refs")
    target = Path(out)
    places(refs=refs)
    prefixes = _prefixes(Path(refs), max_prefixes)
    old = _former(target, chosen, replace=replace)
    console.line(f"Sets: {', '.join(prefixes)}")
    done = scrape(
        chosen,
        prefixes,
        _pages(chosen, pages),
        pause=0 if pages else _pause(),
        tell=lambda one: _tell(chosen, one),
    )
    new = merged(None if replace else old, chosen, done)
    write_prices(target, new.file)
    _show(target, new.file, sum(one.error is not None for one in done))
    _tell_of_old(target, old, new)


def _site(name: str) -> Site:
    from kenspeckle.adapters.sites.table import find_site
    from kenspeckle.errors import SettingError

    try:
        return find_site(name)
    except SettingError as error:
        expected = f"{error.found}; expected {error.expected}"
        raise typer.BadParameter(expected, param_hint="--site") from error


def _pause() -> float:
    from kenspeckle.adapters.scrape import PAUSE

    return PAUSE


def _prefixes(refs: Path, most: int) -> list[str]:
    """The set prefixes in the file names of a folder. Raises CatalogError."""
    from kenspeckle.adapters.scrape import prefix_of
    from kenspeckle.catalog.naming import set_code
    from kenspeckle.catalog.walk import walk_through
    from kenspeckle.errors import CatalogError

    if not refs.is_dir():
        raise CatalogError(str(refs), "no such folder", expected="a folder of pictures")
    names = [found.path.rsplit("/", 1)[-1] for found in walk_through(str(refs), False).pictures]
    prefixes = sorted({prefix_of(code) for code in map(set_code, names) if code})
    if not prefixes:
        raise CatalogError(
            str(refs),
            f"none of {len(names)} pictures has a set code",
            expected="names like LOCH-JP001_dark_magician.jpg",
        )
    if len(prefixes) > most:
        more = ["…"] if len(prefixes) > 10 else []
        raise CatalogError(
            str(refs),
            f"{console.counted(len(prefixes), 'set')}: {', '.join([*prefixes[:10], *more])}",
            expected=f"at most {most}",
            do="Ask for fewer, or allow more: --max-prefixes",
        )
    return prefixes


def _former(target: Path, site: Site, *, replace: bool) -> PriceFile | None:
    """The prices that are there, if any; asked for before the site is.

    Raises InputError for a file to which prices of this site cannot be added, unless it is to be
    replaced.
    """
    from kenspeckle.adapters.price_file import read_prices
    from kenspeckle.adapters.scrape import fits
    from kenspeckle.errors import InputError

    old = None
    if not target.exists():
        return None
    try:
        old = read_prices(target)
        fits(str(target), old, site)
    except InputError as error:
        if not replace:
            do = "Mend it, name another file by --out, or let it be replaced: --replace"
            raise InputError(str(target), error.found, expected=error.expected, do=do) from error
        console.note(f"{target}: {error.found}; it is replaced.")
    return old


def _pages(site: Site, saved: str | None) -> Pages:
    """Where pages come from: the site, or files. Raises CatalogError."""
    from kenspeckle.adapters.scrape import MOST_BYTES, from_site
    from kenspeckle.config import ImageSettings
    from kenspeckle.errors import CatalogError
    from kenspeckle.image.decode import read

    if saved is None:
        return from_site(site, settings({}).image)
    place = Path(saved)
    if not place.exists():
        raise CatalogError(saved, "no such file or folder", expected="saved pages")
    limits = ImageSettings(max_bytes=MOST_BYTES)
    return lambda prefix: read(place / f"{prefix}.html" if place.is_dir() else place, limits)


def _tell(site: Site, one: Scraped) -> None:
    """One line a set, as it is done."""
    if one.error is not None:
        console.line(f"  {one.error}")
        return
    listed = console.counted(len(one.listings), "listing")
    console.line(f"  {one.prefix}: {listed} ({site.address(one.prefix)})")


def _show(target: Path, file: PriceFile, failed: int) -> None:
    """What was written, and a few rows of it."""
    console.line(f"{target}: {console.counted(len(file.prices), 'price')}, {file.currency}")
    for code, price in sorted(file.prices.items())[:SAMPLES]:
        console.line(f"  {code}  {_amount(price.median)}  {price.name_jp}")
    if failed:
        console.note(f"{console.counted(failed, 'set')} could not be had.")


def _amount(value: float) -> str:
    """An amount of money in full.

    >>> _amount(12345678), _amount(500.5), _amount(9000.0), _amount(0)
    ('12345678', '500.5', '9000', '0')
    """
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _tell_of_old(target: Path, old: PriceFile | None, new: Merged) -> None:
    """Which old prices stay though the site does not list them, and which are gone."""
    from kenspeckle.adapters.scrape import missing

    if new.kept:
        console.note(
            f"The pages do not list all of {_codes(new.kept)}: their old prices stay. "
            "--replace lets such prices go."
        )
    if old is None:
        return
    if gone := missing(old.prices, new.file.prices):
        console.note(f"Old prices are gone from {target}: {_codes(gone)}.")
    if old.dropped:
        entries = console.counted(old.dropped, "entry", "entries")
        console.note(f"{entries} of {target} made no sense and went.")


def _codes(codes: Sequence[str]) -> str:
    """How many cards, and the first of them."""
    more = ", …" if len(codes) > SAMPLES else ""
    return f"{console.counted(len(codes), 'card')} ({', '.join(codes[:SAMPLES])}{more})"
