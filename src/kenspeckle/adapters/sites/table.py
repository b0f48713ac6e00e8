"""The price sites there are. Another one is one file beside this one and one row here."""

from __future__ import annotations

from kenspeckle.adapters.sites import yuyu_tei
from kenspeckle.adapters.sites.listing import Site
from kenspeckle.errors import SettingError

SITES = (
    Site(
        "yuyu-tei",
        "card shop in Japan, prices in yen",
        "JPY",
        yuyu_tei.address,
        yuyu_tei.read,
    ),
)


def find_site(name: str) -> Site:
    """The site of that name. SettingError lists those there are."""
    for site in SITES:
        if site.name == name:
            return site
    names = ", ".join(site.name for site in SITES)
    raise SettingError("--site", repr(name), expected=names)
