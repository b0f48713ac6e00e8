"""How `image.fetch_allow` names hosts and addresses."""

from __future__ import annotations

import ipaddress
import re

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

FORMS = (
    "hosts (cdn.example.org), .suffixes (.example.org), addresses (10.1.2.3, "
    "fd00::1), ranges (10.1.0.0/16) or public, without a scheme, port or path, "
    "a name with letters like ß in its form for browsers (xn--...)"
)
"""What may stand on the list, as whoever wrote something else is told."""

_LABEL = re.compile(r"[\w-]{1,63}")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


def read_rule(rule: str) -> Network | str:
    """One entry of the list: a range of addresses, an address as the range of it alone, else a
    name as `plain` writes it, with its dot in front where it is a suffix.

    Raises ValueError for what could never allow anything: an address with a port, a URL, `*`; and
    for letters that are read in two ways, `straße` as `strasse` by some and as itself by browsers.

    >>> read_rule("127.0.0.1"), read_rule("::1"), read_rule(".Example.org")
    (IPv4Network('127.0.0.1/32'), IPv6Network('::1/128'), '.example.org')
    """
    if "/" in rule or ":" in rule:
        return ipaddress.ip_network(rule, strict=False)
    labels = rule.removeprefix(".").removesuffix(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return ipaddress.ip_network(rule)  # no name ends in a number
    if not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(rule)
    name = plain(".".join(labels))
    if not rule.isascii() and not _leads_back(name, ".".join(labels)):
        raise ValueError(rule)
    return f".{name}" if rule.startswith(".") else name


def plain(name: str) -> str:
    """A name of a host as all its spellings are compared: small ASCII letters, no dot at the end.

    >>> plain("Bücher.Example."), plain("cdn.example")
    ('xn--bcher-kva.example', 'cdn.example')
    """
    name = name.rstrip(".").lower()
    try:
        return name.encode("idna").decode("ascii").lower()
    except UnicodeError:  # no name that anybody could ask for
        return name


def _leads_back(name: str, written: str) -> bool:
    """Whether a name in ASCII is read as the letters that were written."""
    try:
        read = name.encode("ascii").decode("idna")
    except UnicodeError:
        return False
    return read == written.lower()


def is_rule(text: str) -> bool:
    """Whether an entry can be read."""
    try:
        read_rule(text)
    except ValueError:
        return False
    return True
