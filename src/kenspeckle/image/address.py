"""Which network addresses belong to the public internet, and which may be asked."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from kenspeckle.config.hosts import Network, plain, read_rule

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

PUBLIC = "public"
"""The rule that allows every host of the public internet."""

_EMBEDDED = (  # (network, bits to the right of the IPv4 address inside)
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),  # mapped
    (ipaddress.IPv6Network("::ffff:0:0:0/96"), 0),  # translated
    (ipaddress.IPv6Network("::/96"), 0),  # compatible
    (ipaddress.IPv6Network("2002::/16"), 80),  # 6to4
)
# Python releases differ in what they call global; these never are.
_NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        "100.64.0.0/10",  # shared by the customers of a provider
        "192.88.99.0/24",  # relays of 6to4
        "64:ff9b:1::/48",  # NAT64 of one's own
        "2001::/32",  # Teredo
        "5f00::/16",  # segment routing
        "fec0::/10",  # site-local
    )
)


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet.

    An IPv4 address inside an IPv6 one (mapped, translated, compatible, 6to4, NAT64) counts as
    itself. What is no address is not public.

    >>> is_public("127.0.0.1"), is_public("::ffff:10.0.0.1"), is_public("9.9.9.9")
    (False, False, True)
    """
    found = _meant(address)
    if found is None:
        return False
    if any(found.version == network.version and found in network for network in _NEVER):
        return False
    return found.is_global and not found.is_multicast and not found.is_reserved


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be asked: names of hosts, ranges of addresses (one address is a range, too).

    A range is allowed whatever is in it, private addresses too; a name only where it leads to
    public ones.
    """

    names: tuple[str, ...]
    ranges: tuple[Network, ...]

    @classmethod
    def read(cls, rules: Iterable[str]) -> Self:
        """Rules as settings hold them: a host, `.example.org` for all below it too, an address, a
        range of them (`10.1.0.0/16`), or `public`. No rule at all is `public`, any other rule
        leaves it out. Raises ValueError for what is none of these.
        """
        names: list[str] = []
        ranges: list[Network] = []
        for rule in map(read_rule, rules):
            if isinstance(rule, str):
                names.append(rule)
            else:
                ranges.append(rule)
        return cls(tuple(names) if names or ranges else (PUBLIC,), tuple(ranges))

    def name(self, host: str) -> bool:
        """Whether a host may be asked where it is public.

        >>> allowed = Allowed.read([".example.org"])
        >>> allowed.name("a.example.org"), allowed.name("example.com")
        (True, False)
        """
        host = plain(host)
        return any(
            rule == PUBLIC
            or host == rule.lstrip(".")
            or (rule.startswith(".") and host.endswith(rule))
            for rule in self.names
        )

    def address(self, address: str) -> bool:
        """Whether an address is in one of the ranges, an IPv4 one inside IPv6 as itself.

        >>> Allowed.read(["10.1.0.0/16"]).address("::ffff:10.1.2.3")
        True
        """
        found = (_read(address), _meant(address))
        return any(
            one is not None and one.version == range_.version and one in range_
            for range_ in self.ranges
            for one in found
        )


def _meant(address: str) -> _Address | None:
    """The address that is reached: the IPv4 one inside an IPv6 one; None for what is no address."""
    found = _read(address)
    if isinstance(found, ipaddress.IPv6Address):
        for network, shift in _EMBEDDED:
            if found in network:
                return ipaddress.IPv4Address(int(found) >> shift & 0xFFFFFFFF)
    return found


def _read(address: str) -> _Address | None:
    try:
        return ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
