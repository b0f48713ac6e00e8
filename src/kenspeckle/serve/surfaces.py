"""Which surfaces are served, on which ports, under which paths."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kenspeckle.errors import SettingError

USUAL_PORT = 8500
"""Where several surfaces are served, or none is named."""

GRAMMAR = "NAME[=:PORT|=/prefix][:open]"
_WRITTEN = re.compile(r"([a-z-]+)(?:=(?::(\d{1,5})|(/[A-Za-z0-9_/-]*[A-Za-z0-9_-])))?(:open)?")
_OURS = ("/v1", "/openapi", "/livez", "/readyz", "/metrics", "/health")


@dataclass(frozen=True, slots=True)
class Kind:
    """One surface of this release: its name, the port that its clients have built in, its app.

    `place` is `module:function` below `kenspeckle.serve.routes`; the function takes the service.
    `gallery` says that it answers from one.
    """

    name: str
    port: int
    place: str
    gallery: bool = True


KINDS = (
    Kind("falcon", 8500, "falcon:create"),
    Kind("analyze", 8000, "analyze:create", gallery=False),
)
"""In the order in which they are served where none is named."""


@dataclass(frozen=True, slots=True)
class Surface:
    """One surface as it is served: `port` 0 is the port of the service, `prefix` a folder of
    paths, `open` that it asks for no key."""

    name: str
    port: int = 0
    prefix: str = ""
    open: bool = False


def read_surfaces(written: Sequence[str]) -> tuple[Surface, ...]:
    """The surfaces named, each `NAME[=:PORT|=/prefix][:open]`; none named are all. SettingError.

    >>> read_surfaces(["falcon=:9000:open"])
    (Surface(name='falcon', port=9000, prefix='', open=True),)
    """
    if not written:
        return tuple(Surface(kind.name) for kind in KINDS)
    surfaces = tuple(map(_surface, written))
    names = [surface.name for surface in surfaces]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise SettingError("--surface", f"{min(twice)} is named twice", expected="each once")
    taken: set[tuple[int, str]] = set()
    for surface in surfaces:
        if surface.prefix and (surface.port, surface.prefix) in taken:
            raise SettingError("--surface", f"two under {surface.prefix}", expected="one each")
        taken.add((surface.port, surface.prefix))
    return surfaces


def _surface(written: str) -> Surface:
    found = _WRITTEN.fullmatch(written)
    if found is None:
        raise SettingError("--surface", repr(written), expected=GRAMMAR)
    name, port, prefix, key = found.groups()
    names = [kind.name for kind in KINDS]
    if name not in names:
        raise SettingError("--surface", f"no surface {name!r}", expected=" or ".join(names))
    if port is not None and not 1 <= int(port) <= 65535:
        raise SettingError("--surface", f"port {port}", expected="1 to 65535")
    prefix = prefix or ""
    if "//" in prefix or f"/{prefix.split('/')[1] if prefix else ''}" in _OURS:
        raise SettingError("--surface", f"prefix {prefix!r}", expected="a path of its own")
    return Surface(name, int(port or 0), prefix, key is not None)


def by_port(surfaces: Sequence[Surface], port: int) -> dict[int, tuple[Surface, ...]]:
    """The ports to listen on, each with its surfaces; `port` 0 is the usual one.

    The native API is on each of them.
    """
    needed = not surfaces or any(not surface.port for surface in surfaces)
    if not port:
        port = usual_port(surfaces)
    ports: dict[int, tuple[Surface, ...]] = {port: ()} if needed else {}
    for surface in surfaces:
        own = surface.port or port
        ports[own] = (*ports.get(own, ()), surface)
    return ports


def need_gallery(surfaces: Sequence[Surface]) -> bool:
    """Whether one of the surfaces answers from a gallery, or there is none beside `/v1`.

    >>> need_gallery(read_surfaces(["analyze"])), need_gallery(read_surfaces([]))
    (False, True)
    """
    without = {kind.name for kind in KINDS if not kind.gallery}
    return not surfaces or any(surface.name not in without for surface in surfaces)


def unused_port(surfaces: Sequence[Surface], port: int) -> str:
    """What to say where `port` was asked for and every surface has another one; else nothing.

    >>> unused_port((Surface("falcon", 9000),), 8500)
    'Nothing listens on port 8500, which --port names: each surface has a port of its own.'
    """
    if not port or port in by_port(surfaces, port):
        return ""
    return (
        f"Nothing listens on port {port}, which --port names: each surface has a port of its own."
    )


def usual_port(surfaces: Sequence[Surface]) -> int:
    """The port where none is asked for: that of the only surface, else the usual one."""
    if len(surfaces) == 1:
        return next(kind.port for kind in KINDS if kind.name == surfaces[0].name)
    return USUAL_PORT
