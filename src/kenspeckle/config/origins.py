"""How `serve.origins` names the origins of web pages."""

from __future__ import annotations

import ipaddress
import re

from kenspeckle.config.hosts import Network, read_rule

FORMS = (
    "origins as browsers send them, a scheme, a host and its port unless it is the usual one "
    "(https://shop.example, http://localhost:3000), a name with letters like ß as xn--..., "
    "null, or * for all"
)
"""What may stand on the list, as whoever wrote something else is told."""

_WRITTEN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[\w.-]+)(?::([0-9]{1,5}))?/?")
_WHOLE = ("*", "null", "file://")
_USUAL = {"http": 80, "https": 443}


def read_origin(text: str) -> str:
    """An origin as a browser sends it: small ASCII letters, no slash at its end, no usual port.

    Raises ValueError for what no browser sends: no scheme, a path, a host that is a pattern; and
    for a name that is not sure to be the one that browsers would send.

    >>> read_origin("HTTPS://Shop.Example:443/"), read_origin("http://[0:0::1]:3000")
    ('https://shop.example', 'http://[::1]:3000')
    """
    if text in _WHOLE:
        return text
    found = _WRITTEN.fullmatch(text.lower())
    if found is None:
        raise ValueError(text)
    scheme, host, port = found[1], _host(found[2]), int(found[3] or 0)
    if port > 65535:
        raise ValueError(text)
    return f"{scheme}://{host}" + (f":{port}" if port not in (0, _USUAL.get(scheme)) else "")


def is_origin(text: str) -> bool:
    """Whether a browser could send it, or it stands for all."""
    try:
        read_origin(text)
    except ValueError:
        return False
    return True


def _host(text: str) -> str:
    if text.startswith("["):
        return f"[{ipaddress.IPv6Address(text[1:-1]).compressed}]"
    rule: Network | str = read_rule(text)
    if not isinstance(rule, str):
        return str(rule.network_address)
    if rule.startswith(".") or not rule.isascii():
        raise ValueError(text)
    return rule + "." * text.endswith(".")
