"""What a price site offers, and what we have to know of a site."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Listing:
    """One offer: the set code of a card, its rarity as it is displayed, its name, the price."""

    code: str
    rarity: str
    name: str
    price: float


@dataclass(frozen=True, slots=True)
class Site:
    """One price site: in which currency it sells, where it lists a set, how its page is read.

    `address` turns a set prefix (`LOCH-JP`) into the address of one page; `read` turns the text of
    that page into listings, without fail: what it does not understand it leaves out.
    """

    name: str
    about: str
    currency: str
    address: Callable[[str], str]
    read: Callable[[str], list[Listing]]
    encoding: str = "utf-8"
