"""Listening: sockets, servers on one event loop, the line that says so, and a graceful stop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kenspeckle._extras import has, need
from kenspeckle.config import Settings
from kenspeckle.errors import SettingError
from kenspeckle.serve.app import build
from kenspeckle.serve.logs import heard
from kenspeckle.serve.quiet import rest
from kenspeckle.serve.service import Service
from kenspeckle.serve.surfaces import Surface, by_port, read_surfaces
from kenspeckle.serve.wire import protocol

BACKLOG = 512
PAUSE = 0.02
"""Seconds between two looks at what still runs while the service stops."""

Sockets = Mapping[int, tuple[list[socket.socket], tuple[Surface, ...]]]


def bound(host: str, port: int) -> list[socket.socket]:
    """Sockets that have their port, one for each address that `host` means; none listens yet.

    SettingError says who or what is in the way.
    """
    kinds = socket.AI_PASSIVE | socket.AI_NUMERICSERV
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=kinds)
    except (OSError, UnicodeError) as error:  # the latter for what can be no name
        raise _elsewhere(host, error) from error
    made: list[socket.socket] = []
    try:
        for family, _, _, _, address in sorted(found, key=lambda one: one[0] != socket.AF_INET):
            try:
                made.append(_bound(family, address))
            except OSError:
                if not made:  # a machine may have a name for a kind of address that it lacks
                    raise
    except OSError as error:
        raise _taken(host, port, error) from error
    return made


def _elsewhere(host: str, error: Exception) -> SettingError:
    why = getattr(error, "strerror", None) or "no name of a host"
    return SettingError("--host", f"{host} ({why})", expected="an address of this machine")


def _taken(host: str, port: int, error: OSError) -> SettingError:
    if error.errno == errno.EADDRNOTAVAIL:
        return _elsewhere(host, error)
    return SettingError(
        f"port {port} of {host}",
        error.strerror or str(error),
        expected="a free port",
        do="End the program that listens there, or name another: --port",
    )


def _bound(family: int, address: Any) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    return made


def opened(settings: Settings, port: int = 0) -> Sockets:
    """The sockets of a service by port, each with the surfaces that are there.

    They take their ports, so that one that is taken is known before anything else is opened, and
    nobody is connected before there is somebody to answer. `port` stands in for that of the
    settings. Raises SettingError.
    """
    asked = settings.serve
    made: dict[int, tuple[list[socket.socket], tuple[Surface, ...]]] = {}
    try:
        for number, surfaces in by_port(read_surfaces(asked.surfaces), port or asked.port).items():
            made[number] = bound(asked.host, number), surfaces
    except BaseException:
        close(made)
        raise
    return made


def close(sockets: Sockets) -> None:
    """Give the ports back."""
    for some, _ in sockets.values():
        for one in some:
            one.close()


class Running:
    """A service that answers on its sockets until it is told to stop."""

    def __init__(self, service: Service, sockets: Sockets) -> None:
        self._service, self._sockets = service, sockets
        self._servers = [
            (_server(service, port, shown), some) for port, (some, shown) in sockets.items()
        ]
        self._stop: asyncio.Event | None = None
        self._at_once = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Answer until `stop` or a signal; `ready` is called when everything listens.

        Raises SettingError where another program began to listen on a port meanwhile.
        """
        make = need("uvloop", "the HTTP service").new_event_loop if has("uvloop") else None
        try:
            with heard(self._service.log), asyncio.Runner(loop_factory=make) as runner:
                runner.run(self._run(ready))
        finally:
            close(self._sockets)  # also where a server never came to use them

    def stop(self) -> None:
        """Finish what runs, refuse what comes, and end; from any thread."""
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._stop.set)

    def _listen(self) -> None:
        for port, (some, _) in self._sockets.items():
            for one in some:
                try:
                    one.listen(BACKLOG)
                except OSError as error:
                    raise _taken(self._service.settings.serve.host, port, error) from error

    async def _run(self, ready: Callable[[], None]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        with _signals(self._loop, self._signalled):
            tasks: list[asyncio.Task[None]] = []
            try:
                self._listen()
                tasks += [
                    asyncio.create_task(server.serve(sockets=some))
                    for server, some in self._servers
                ]
                while not all(server.started for server, _ in self._servers):
                    for task in tasks:
                        if task.done():
                            task.result()
                    await asyncio.sleep(PAUSE / 4)
                if await self._warmed(self._stop):
                    self._service.ready = True
                    ready()
                    besides = rest(self._service.limits), self._service.lookout.keep()
                    lasting = [asyncio.create_task(one) for one in besides]
                    await self._stop.wait()
                    for task in lasting:
                        task.cancel()
            finally:
                await self._ended(tasks)

    async def _warmed(self, stop: asyncio.Event) -> bool:
        """Wait until the models are loaded, or until it is told to stop; whether it may begin.

        Raises ModelError.
        """
        loading = asyncio.create_task(self._service.warmed())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((loading, stopping), return_when=asyncio.FIRST_COMPLETED)
            if loading.done():
                loading.result()
        finally:
            loading.cancel()
            stopping.cancel()
        return not stop.is_set()

    async def _ended(self, tasks: list[asyncio.Task[None]]) -> None:
        """What runs may finish, all of it within the grace; whoever comes meanwhile is told to
        come back later, and a client that does not take its answer is left."""
        service, loop = self._service, asyncio.get_running_loop()
        service.stop()
        for server, _ in self._servers:
            for line in server.server_state.connections:
                line.hasten()
        until = loop.time() + service.settings.serve.grace

        def left() -> float:
            return 0.0 if self._at_once else max(0.0, until - loop.time())

        while service.in_flight and left():
            await asyncio.sleep(PAUSE)
        for server, _ in self._servers:
            server.config.timeout_graceful_shutdown = left()
            server.should_exit = True
        await asyncio.gather(*tasks, return_exceptions=True)
        await service.close(left())

    def _signalled(self) -> None:
        """The first signal stops gracefully, the second at once."""
        assert self._stop is not None  # noqa: S101  signals are caught while it runs
        if self._stop.is_set():
            self._at_once = True
            for server, _ in self._servers:
                server.should_exit = server.force_exit = True
        self._stop.set()


def _server(service: Service, port: int, surfaces: tuple[Surface, ...]) -> Any:
    import uvicorn

    class Server(uvicorn.Server):
        """A server that leaves signals to the one who runs it."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    settings = service.settings.serve
    config = uvicorn.Config(
        build(service, surfaces),
        host=settings.host,
        port=port,
        http=protocol(service.limits),
        lifespan="off",
        log_config=None,
        access_log=False,
        ws="none",
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=30,
        backlog=BACKLOG,
    )
    return Server(config)


@contextlib.contextmanager
def _signals(loop: asyncio.AbstractEventLoop, told: Callable[[], None]) -> Iterator[None]:
    """Call `told` on SIGTERM and SIGINT; only the main thread of a process hears them."""
    caught = (signal.SIGTERM, signal.SIGINT)
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.getsignal(one) for one in caught}
    for one in caught:
        signal.signal(one, lambda *_: loop.call_soon_threadsafe(told))
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
