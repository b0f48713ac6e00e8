"""`kenspeckle serve`."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Annotated

import typer

from kenspeckle._extras import need
from kenspeckle.cli import console, options, streams

if TYPE_CHECKING:
    from kenspeckle.serve.run import Sockets
    from kenspeckle.serve.service import Service

MOMENT = 0.3
"""Seconds that threads without work get to end."""


def serve(
    indexes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INDEX",
            help="Indexes, each FILE or NAME=FILE. Default: --index; analyze alone needs none.",
        ),
    ] = None,
    index: options.Index = None,
    surface: Annotated[
        list[str] | None,
        typer.Option(
            "--surface",
            metavar="SURFACE",
            help="Surface for clients of a former system: falcon, analyze; with =:PORT or =/PREFIX "
            "elsewhere, with :open for clients without a key. May be given several times. "
            "Default: all.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option("--host", metavar="ADDRESS", help="Address to listen on.", show_default=False),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            metavar="PORT",
            help="Port. Default: that of the only surface, else 8500.",
            show_default=False,
        ),
    ] = None,
    refs: Annotated[
        str | None,
        typer.Option("--refs", metavar="FOLDER", help="Folder of the reference pictures."),
    ] = None,
    prices: Annotated[
        str | None, typer.Option("--prices", metavar="FILE", help="Price file.", show_default=False)
    ] = None,
    keys: Annotated[
        str | None,
        typer.Option(
            "--keys",
            metavar="FILE",
            help="File of API keys. Default: beside the first index, gallery.ken.keys without one.",
            show_default=False,
        ),
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(
            "--origin", metavar="ORIGIN", help="Web origin whose pages may ask.", show_default=False
        ),
    ] = None,
    log_format: Annotated[
        str | None,
        typer.Option("--log-format", metavar="FORM", help="text or json.", show_default=False),
    ] = None,
    sim_threshold: Annotated[
        float | None,
        typer.Option(
            "--sim-threshold",
            metavar="COSINE",
            help="falcon: a fixed threshold in place of the calibration.",
            show_default=False,
        ),
    ] = None,
    margin_threshold: Annotated[
        float | None,
        typer.Option(
            "--margin-threshold",
            metavar="MARGIN",
            help="falcon: a fixed margin in place of the calibration.",
            show_default=False,
        ),
    ] = None,
    yolo_conf: Annotated[
        float | None,
        typer.Option(
            "--yolo-conf",
            metavar="SCORE",
            help="Least score of a detected box.",
            show_default=False,
        ),
    ] = None,
    no_yolo: Annotated[
        bool | None,
        typer.Option(
            "--no-yolo", help="falcon: at most one thing in a picture.", show_default=False
        ),
    ] = None,
    omniparser: Annotated[
        str | None,
        typer.Option(
            "--omniparser", metavar="FILE", help="Accepted and ignored.", show_default=False
        ),
    ] = None,
    regions: options.Regions = None,
    fpir: options.Fpir = None,
    model: options.Model = None,
    projection: options.Head = None,
    home: options.Home = None,
    offline: options.Offline = None,
    callers: options.Callers = None,
) -> None:
    """Answer over HTTP: the native API under /v1, and surfaces for clients of former systems.

    Runs until it is told to stop (Ctrl-C, SIGTERM), and finishes then what it has begun.
    """
    for module in ("fastapi", "uvicorn"):
        need(module, "the HTTP service")
    given = {
        "index.path": index,
        "index.refs": refs,
        "index.callers": callers,
        "serve.surfaces": surface or None,
        "serve.host": host,
        "serve.port": port,
        "serve.prices": prices,
        "serve.keys": keys,
        "serve.origins": origin or None,
        "serve.log_format": log_format,
        "serve.similarity": sim_threshold,
        "serve.margin": margin_threshold,
        "serve.detector_score": yolo_conf,
        "serve.detector": None if no_yolo is None else not no_yolo,
        "identify.regions": regions,
        "identify.fpir": fpir,
        "models.name": model,
        "models.head": projection,
        "models.home": home,
        "models.offline": offline,
    }
    settings, rows = options.sourced(given)
    form = settings.serve.log_format
    if omniparser:
        _note(form, "--omniparser: ignored, this service does not look for parts of web pages.")
    from kenspeckle.serve.quiet import few_heaps
    from kenspeckle.serve.run import Running, close, opened
    from kenspeckle.serve.service import open_service

    few_heaps()
    before = set(threading.enumerate())
    with options.traced(rows):
        sockets = opened(settings)  # a port that is taken is told before anything is opened
        try:
            service = open_service(settings, indexes or ())
        except BaseException:
            close(sockets)
            raise
    logging.captureWarnings(capture=True)  # they are lines of the log, too
    Running(service, sockets).run(lambda: _tell(service, sockets))
    if service.log.stuck:  # on a stream that nobody reads, and so would be whatever we said
        os._exit(0)
    with contextlib.suppress(OSError):
        _note(form, "Stopped.")
    _leave(before)


def _leave(before: set[threading.Thread]) -> None:
    """End here and now where work still runs whose time is over: Python would wait for it, or
    take what it works with from under it.

    Everything is closed by then, and what it would answer nobody hears. `before` are threads that
    are not ours.
    """
    until = time.monotonic() + MOMENT
    for thread in set(threading.enumerate()) - before:
        thread.join(max(0.0, until - time.monotonic()))
        if thread.is_alive():
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
            os._exit(0)


def _tell(service: Service, sockets: Sockets) -> None:
    """The line that says that it is ready, where, and what it holds."""
    from kenspeckle.serve.ready import elsewhere

    places = [_place(some[0].getsockname()[:2]) for some, _ in sockets.values()]
    held = ", ".join(f"{name} ({len(one):,})" for name, one in service.galleries.items())
    held = held or "no gallery"
    state = service.access.state()
    try:
        for remark in (*service.notes, *elsewhere(service.models.standings())):
            _note(service.settings.serve.log_format, remark)
        console.line(f"Ready on {' and '.join(places)}: {held}; {state}.")
    except OSError:  # whoever was to read this has left, or there is nobody
        streams.silence()
    gc.freeze()  # what is there now stays: 50 ms less for each full collection


def _note(form: str, message: str) -> None:
    """A remark on stderr, where the log is: a line of it where programs read that."""
    from kenspeckle.serve.logs import record

    console.note(record(form, "note", {"message": message}) if form == "json" else message)


def _place(address: tuple[str, int]) -> str:
    host, port = address
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
