"""The index is exchanged for one of another model in the midst of a request: nothing is mixed."""

from __future__ import annotations

import gc
import io
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from drawing import draw
from serving import served

from kenspeckle import Gallery
from kenspeckle.config import ModelSettings, Settings
from kenspeckle.serve.pool import Models
from kenspeckle.store import open_store
from kenspeckle.store.disk import DiskStore

SETTINGS = Settings(models=ModelSettings(name="dummy"))
OTHER = Settings(models=ModelSettings(name="dummy", mode="letterbox"))
THINGS = "/v1/galleries/things"


def png(seed: int) -> bytes:
    out = io.BytesIO()
    draw(seed).crop((0, 0, 90, 40)).save(out, "PNG")
    return out.getvalue()


def file(seed: int, name: str = "") -> tuple[str, tuple[str, bytes]]:
    return ("image", (name or f"new {seed}.png", png(seed)))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two indexes of vectors of one width, by two models; ids have another meaning in each."""
    folder = tmp_path_factory.mktemp("exchanged")
    (folder / "refs").mkdir()
    for seed in range(4):
        (folder / "refs" / f"thing {seed}.png").write_bytes(png(seed))
    for name, settings in (("one", SETTINGS), ("other", OTHER)):
        with Gallery.create(folder / f"{name}.ken", settings=settings) as gallery:
            gallery.index(folder / "refs")
        (folder / "refs" / "thing 0b.png").write_bytes(png(5))
    return folder


@pytest.fixture
def index(made: Path, tmp_path: Path) -> Path:
    shutil.copy(made / "other.ken", tmp_path / "other.ken")
    return Path(shutil.copy(made / "one.ken", tmp_path / "things.ken"))


@pytest.fixture
def service(index: Path) -> Iterator[tuple[httpx2.Client, Gallery]]:
    with (
        served(SETTINGS, [index]) as (base, service),
        httpx2.Client(base_url=base, timeout=60) as client,
    ):
        yield client, service.gallery()


def exchanged_in(
    gallery: Gallery, index: Path, monkeypatch: pytest.MonkeyPatch, call: str, turn: int = 1
) -> None:
    """Put the other index in place of this one, and let it be noticed, after that call."""
    own: Callable[..., Any] = getattr(gallery, call)
    turns: list[str] = []

    def then(*words: object, **more: object) -> object:
        value = own(*words, **more)
        turns.append(call)
        if len(turns) == turn:
            index.with_name("other.ken").replace(index)
            assert gallery.opened.store is gallery.store  # as a question that comes beside does
        return value

    monkeypatch.setattr(gallery, call, then)


def vector(seed: int, settings: Settings, index: Path) -> np.ndarray:
    with Gallery.open(index, settings=settings) as gallery:
        return gallery.vector(png(seed))


def test_the_two_models_cannot_be_mixed_up_unnoticed(made: Path) -> None:
    one, other = (vector(9, SETTINGS, made / f"{name}.ken") for name in ("one", "other"))
    assert one.shape == other.shape
    assert float(one @ other) < 0.99


@pytest.mark.parametrize("way", ["items", "references", "put all", "put one", "confirm"])
def test_pictures_are_stored_with_vectors_of_the_index_that_is_there(
    way: str, service: tuple[httpx2.Client, Gallery], index: Path, monkeypatch
) -> None:
    client, gallery = service
    call, turn = ("look", 1) if way == "confirm" else ("prepare", 1 if way == "put one" else 2)
    exchanged_in(gallery, index, monkeypatch, call, turn)
    many = [file(seed) for seed in (10, 11, 12)]
    at = f"{THINGS}/items/thing%201/references"
    if way == "items":
        seeds, answer = (10, 11, 12), client.post(f"{THINGS}/items", files=many)
    elif way == "references":
        seeds, answer = (10, 11, 12), client.post(at, files=many)
    elif way == "put all":
        seeds, answer = (10, 11, 12), client.put(at, files=many)
    elif way == "put one":
        seeds, answer = (10,), client.put(f"{THINGS}/references/1", files=many[:1])
    else:
        said = {"key": "thing 1"}
        seeds, answer = (10,), client.post(f"{THINGS}/confirm", params=said, files=many[:1])
    assert answer.status_code in (200, 201), answer.text
    with Gallery.open(index, settings=OTHER) as other:
        for seed in seeds:
            assert other.search(png(seed), 1)[0].similarity > 0.999
        for said in other.feedback():
            assert float(said.rows[0] @ other.vector(png(10))) > 0.999


def test_all_vectors_of_an_answer_are_of_the_space_it_names(
    service: tuple[httpx2.Client, Gallery], index: Path, monkeypatch
) -> None:
    client, gallery = service
    exchanged_in(gallery, index, monkeypatch, "vector", 2)
    files = [file(seed) for seed in range(10, 15)] + [("image", ("bad.png", b"bad"))]
    told = client.post(f"{THINGS}/vectors", files=files).json()
    assert told["failed"] == 1
    assert told["model"]["space_id"] == gallery.store.manifest.fingerprint.space_id
    assert told["fingerprint"]["recipe"]["fit"] == "letterbox"
    for seed, one in zip(range(10, 15), told["vectors"], strict=False):
        assert float(np.array(one["vector"]) @ vector(seed, OTHER, index)) > 0.999


@pytest.mark.parametrize("way", ["identify", "identify/batch", "search", "search/batch"])
def test_an_answer_names_the_model_that_it_is_of(
    way: str, service: tuple[httpx2.Client, Gallery], index: Path, monkeypatch
) -> None:
    client, gallery = service
    exchanged_in(gallery, index, monkeypatch, "vector" if "search" in way else "answer")
    files = [file(seed, "thing.png") for seed in ((2, 3) if "batch" in way else (2,))]
    told = client.post(f"{THINGS}/{way}", files=files).json()
    answers = [one.get("answer", one) for one in told.get("answers", [told])]
    for one in answers:
        near = one["candidates"] if "search" in way else one["decision"]["candidates"]
        model = one.get("model", told.get("model"))
        assert model["space_id"] == gallery.store.manifest.fingerprint.space_id
        assert near[0]["similarity"] > 0.999
        (reference,) = gallery.store.get([near[0]["reference_id"]])
        assert reference.key == near[0]["key"]


def test_a_change_follows_an_index_that_was_exchanged_unnoticed(
    service: tuple[httpx2.Client, Gallery], index: Path
) -> None:
    client, _ = service
    index.with_name("other.ken").replace(index)
    answer = client.delete(f"{THINGS}/items/thing%202")
    assert answer.status_code == 200, answer.text
    with open_store(index) as store:
        assert [item.key for item in store.items()] == ["thing 0", "thing 0b", "thing 1", "thing 3"]


@pytest.mark.parametrize("way", ["confirm", "reject"])
def test_others_may_write_while_a_photo_is_looked_at(
    way: str, service: tuple[httpx2.Client, Gallery], index: Path, monkeypatch
) -> None:
    """However long the queue of the model is: the file is locked for the commit alone."""
    client, gallery = service
    split, seen = gallery.opened.embedder.vectors, []

    def slowly(*words: Any, **more: Any) -> Any:
        with open_store(index, write=True, wait=0.0) as other:  # IndexBusy where it is locked
            seen.append(len(other))
        return split(*words, **more)

    monkeypatch.setattr(gallery.opened.embedder, "vectors", slowly)
    answer = client.post(f"{THINGS}/{way}", params={"key": "thing 1"}, files=[file(20)])
    assert answer.status_code == 201, answer.text
    assert seen


def test_feedback_is_that_of_the_file_that_is_there(
    service: tuple[httpx2.Client, Gallery], index: Path
) -> None:
    client, _ = service
    same = Path(shutil.copy(index, index.with_name("same.ken")))
    said = client.post(f"{THINGS}/confirm", params={"key": "thing 1"}, files=[file(10)])
    assert said.status_code == 201
    assert len(client.get(f"{THINGS}/feedback").json()["items"]) == 1
    same.replace(index)
    assert client.get(f"{THINGS}/feedback").json()["items"] == []


def test_an_index_is_closed_when_the_last_who_uses_it_has_ended(index: Path) -> None:
    models = Models(idle_grace=0)
    gc.disable()  # it comes when it likes
    try:
        with Gallery(open_store(index), SETTINGS, models.embedder, following=True) as gallery:
            asked = gallery.opened
            assert isinstance(asked.store, DiskStore)
            connection = asked.store._connection
            index.with_name("other.ken").replace(index)
            assert gallery.opened.store is not asked.store
            assert len(asked.store.items()) == 4
            del asked
            with pytest.raises(sqlite3.ProgrammingError, match="closed"):
                connection.execute("SELECT 1")
    finally:
        gc.enable()
