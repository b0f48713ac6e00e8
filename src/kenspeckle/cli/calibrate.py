"""`kenspeckle calibrate`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kenspeckle.cli import console, options, wording
from kenspeckle.cli.opening import device, opened
from kenspeckle.flows.calibrate import MOST_VIEWS
from kenspeckle.flows.index import Step
from kenspeckle.gallery import Gallery
from kenspeckle.match.promise import promise_lines
from kenspeckle.match.second_look import USUAL
from kenspeckle.types import Calibration


def calibrate(
    index_file: Annotated[
        str | None,
        typer.Argument(metavar="INDEX", help="The index. Default: gallery.ken."),
    ] = None,
    fpir: options.Fpir = None,
    strangers: Annotated[
        str | None,
        typer.Option(
            "--strangers",
            metavar="FOLDER",
            help="Photos of things that are not in the gallery; a folder below it is one thing.",
            show_default=False,
        ),
    ] = None,
    photos: Annotated[
        str | None,
        typer.Option(
            "--photos",
            metavar="TABLE",
            help="Labelled photos: path, label and, of strangers, item. No label: a stranger.",
            show_default=False,
        ),
    ] = None,
    views: Annotated[
        int | None,
        typer.Option(
            "--views",
            metavar="N",
            min=0,
            max=MOST_VIEWS,
            help="Camera views made of each item. Default: 2 to 10, by their number.",
            show_default=False,
        ),
    ] = None,
    regions: options.Regions = None,
    second_look: Annotated[
        bool,
        typer.Option(
            "--second-look",
            help="Also fit what agreeing local features count (extra 'geometry').",
        ),
    ] = False,
    index: options.Index = None,
    model: options.Model = None,
    projection: options.Head = None,
    callers: options.Callers = None,
    home: options.Home = None,
    offline: options.Offline = None,
    as_json: options.AsJson = False,
) -> None:
    """Fit when a photo is called unknown, to keep a stated rate of strangers that get a name.

    A rate that the trials do not support is refused, with the number of strangers it takes (59 for
    5 %, 299 for 1 %); the index then stays as it was.
    """
    if index_file is not None and index is not None:
        raise typer.BadParameter("name the index once", param_hint="'INDEX' / '--index'")
    given = {
        "index.path": index_file if index_file is not None else index,
        "index.callers": callers,
        "identify.fpir": fpir,
        "identify.regions": regions,
        "models.name": model,
        "models.head": projection,
        "models.home": home,
        "models.offline": offline,
    }
    settings = options.settings(given)
    with opened(settings, write=True) as gallery:
        device(gallery, settings)
        with console.progress("judged") as tell:

            def step(one: Step) -> None:
                tell(one.done, one.total, one.path)

            gallery.calibrate(
                fpir=settings.identify.fpir,
                strangers=strangers,
                photos=photos,
                views=views,
                second_look=USUAL.features if second_look else "",
                progress=step,
            )
        _tell(gallery, as_json)


def _tell(gallery: Gallery, as_json: bool) -> None:
    calibration = gallery.calibration
    assert calibration is not None  # noqa: S101  a full calibration is a rule or an error
    if as_json:
        console.json_line(_data(gallery, calibration))
        return
    for note in calibration.notes:
        console.prose(f"{note[:1].upper()}{note[1:]}.")
    console.prose(
        f"Rule: {calibration.score} above {calibration.threshold:.4g}, regions "
        f"{calibration.regions}, {console.counted(calibration.items, 'item')}."
    )
    console.prose(f"Confidence {wording.confidence(calibration)}.")
    for text in promise_lines(calibration, gallery.stale):
        console.prose(text)


def _data(gallery: Gallery, calibration: Calibration) -> dict[str, Any]:
    return {
        "index": gallery.store.path,
        "calibration": calibration.to_dict(),
        "promise": wording.promise(calibration, gallery.stale),
    }
