"""yuyu-tei.jp, a card shop in Japan.

A search lists every card of a set on one page. Each product is an element of the class
`card-product`; the picture in it is described by set code, rarity and name
(`alt="LOCH-JP001 UR …"`), and its price is a text such as `1,234 円`.
"""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser
from urllib.parse import quote

from kenspeckle.adapters.sites.listing import Listing

_TITLE = re.compile(r"([A-Z0-9]+-[A-Z]*[0-9]+)\s+(\S.*)", re.DOTALL)
_RARITY = re.compile(r"[A-Za-z0-9+-]{1,10}")
_PRICE = re.compile(r"(?<![0-9,.])([0-9]{1,12}|[0-9]{1,3}(?:,[0-9]{3}){1,3})\s*円")
_SILENT = frozenset({"script", "style", "template", "noscript"})
_LONGEST_NAME = 200


def address(prefix: str) -> str:
    """Where the shop lists the cards whose set code begins so."""
    return f"https://yuyu-tei.jp/sell/ygo/s/search?search_word={quote(prefix, safe='')}"


def read(page: str) -> list[Listing]:
    """The listings of a page, in its order. A product without a price is left out.

    >>> read('<img alt="LOCH-JP001 UR 竜"><b>1234 円</b><img alt="LOCH-JP002 N 城"><b>完売</b>')
    [Listing(code='LOCH-JP001', rarity='UR', name='竜', price=1234)]
    """
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.listings


class _Reader(HTMLParser):
    """Goes through a page; a title opens a listing, the next price closes it.

    Whatever begins another product (its element, or a title) lets go of a listing that has found no
    price, so that no product takes the price of its neighbour.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.listings: list[Listing] = []
        self._open: tuple[str, str, str] | None = None
        self._silent = ""
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._said()
        if tag in _SILENT:
            self._silent = self._silent or tag
        given = dict(attrs)
        if "card-product" in (given.get("class") or "").split():
            self._open = None
        for name in ("alt", "title"):
            self._titled(given.get(name) or "")

    def handle_endtag(self, tag: str) -> None:
        self._said()
        if tag == self._silent:
            self._silent = ""

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._text += data

    def close(self) -> None:
        super().close()
        self._said()

    def _said(self) -> None:
        """Take in the text between two tags."""
        text, self._text = self._text, ""
        if not text.strip():
            return
        self._titled(text)
        found = _PRICE.search(unicodedata.normalize("NFKC", text))
        if self._open and found:
            code, rarity, name = self._open
            self.listings.append(Listing(code, rarity, name, int(found[1].replace(",", ""))))
            self._open = None

    def _titled(self, text: str) -> None:
        """Open a listing where a text is set code, rarity and name. Said twice, it stays open."""
        found = _TITLE.fullmatch(text.strip())
        if found is None:
            return
        rarity, _, name = found[2].partition(" ")
        name = " ".join(name.split())[:_LONGEST_NAME]
        if name and _is_rarity(rarity):  # else a running text that begins with a code
            self._open = (found[1], rarity, name)


def _is_rarity(word: str) -> bool:
    """Whether a word is short for a rarity, as `N`, `ScR` or `20thSE`: most letters are capitals.

    >>> [_is_rarity(word) for word in ("N", "20thSE", "Dark", "2024", "竜")]
    [True, True, False, False, False]
    """
    letters = [letter for letter in word if letter.isalpha()]
    capitals = sum(letter.isupper() for letter in letters)
    return bool(letters and _RARITY.fullmatch(word)) and 2 * capitals >= len(letters)
