"""Pictures handed in: what they are called, whose they are, all or none; and their files."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kenspeckle import Gallery
from kenspeckle.config import ImageSettings, IndexSettings, ModelSettings, Settings
from kenspeckle.errors import GalleryError, InputError, NotEnrolled
from kenspeckle.flows import feedback
from kenspeckle.flows.enrol import Newcomer, check_files, filename, path_of, reference_of
from kenspeckle.flows.pictures import original
from kenspeckle.flows.search import nearest, text_row
from kenspeckle.types import Feedback, Reference
from kenspeckle.vectors.embed import open_embedder

SETTINGS = Settings(models=ModelSettings(name="dummy"), index=IndexSettings(views=2))
LIMITS = ImageSettings()


def png(path: Path, seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (60, 60, 3), np.uint8)
    Image.fromarray(pixels).resize((120, 120), Image.Resampling.NEAREST).save(path)
    return path.read_bytes()


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    return Gallery.create(tmp_path / "things.ken", settings=SETTINGS)


@pytest.fixture
def data(tmp_path: Path) -> list[bytes]:
    return [png(tmp_path / f"{seed}.png", seed) for seed in range(5)]


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("a.jpg", "a.jpg"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\a b.png", "a b.png"),
        ("../..", ""),
        ("", ""),
        ("a/", ""),
        ("x" * 300 + ".jpg", "x" * 96 + ".jpg"),
        ("a\0b\n.jpg", "a b .jpg"),
        ("caf\udce9.jpg", "caf\\xe9.jpg"),
    ],
)
def test_a_client_names_a_file_and_no_folder(name: str, own: str) -> None:
    found = filename(name)
    assert found == own
    assert "/" not in path_of(name, b"x").removeprefix("added/").rpartition("/")[2]


@pytest.mark.parametrize(
    ("said", "key", "label", "variant"),
    [
        ({"name": "red_mug.jpg"}, "red mug", "red mug", ""),
        ({"name": "red_mug__2.jpg"}, "red mug", "red mug", ""),
        ({"name": "x.jpg", "label": " Tea\tPot "}, "tea pot", "Tea Pot", ""),
        ({"name": "x.jpg", "key": "k1"}, "k1", "k1", ""),
        ({"name": "x.jpg", "key": "k1", "label": "L"}, "k1", "L", ""),
        ({"name": "x.jpg", "label": "L", "variant": " gold "}, "l", "L", "gold"),
    ],
)
def test_names_follow_the_rules_of_the_catalog(
    gallery: Gallery, said: dict[str, str], key: str, label: str, variant: str
) -> None:
    one = reference_of(Newcomer(b"x", **said), gallery.store.manifest)
    assert (one.key, one.label, one.variant, one.origin) == (key, label, variant, "added")


def test_cards_are_named_as_cards(gallery: Gallery) -> None:
    manifest = replace(gallery.store.manifest, naming="cards")
    one = reference_of(Newcomer(b"x", "LOCH-JP001_dark_magician_pscr.jpg"), manifest)
    assert (one.label, one.variant) == ("Dark Magician", "LOCH-JP001 PScR")


def test_a_picture_that_nothing_is_said_of_is_named_by_its_hash_or_refused(
    gallery: Gallery,
) -> None:
    assert reference_of(Newcomer(b"x"), gallery.store.manifest).label
    with pytest.raises(InputError, match="nothing says"):
        reference_of(Newcomer(b"x", path="/"), gallery.store.manifest)


def test_pictures_with_views_come_and_go_together(gallery: Gallery, data: list[bytes]) -> None:
    ids = gallery.enrol([gallery.prepare(Newcomer(one, label="Mug")) for one in data[:2]])
    assert len(gallery.store) == 6
    before = gallery.store.standing().change
    (new,) = gallery.enrol([gallery.prepare(Newcomer(data[2], label="Mug"))], instead_of=ids[:1])
    assert gallery.store.standing().change == before + 1
    assert len(gallery.store) == 6
    assert gallery.identify(data[2]).candidates[0].reference_id == new
    assert gallery.enrol([], instead_of=[new]) == []
    assert gallery.item("mug").references == 1


def test_an_item_keeps_its_label_and_a_picture_its_item(
    gallery: Gallery, data: list[bytes]
) -> None:
    gallery.enrol([gallery.prepare(Newcomer(data[0], "a.png", label="Red Mug"))])
    gallery.enrol([gallery.prepare(Newcomer(data[1], label="RED MUG", variant="gold"))])
    item = gallery.item("red mug")
    assert (item.label, item.variants, item.references) == ("Red Mug", ("gold",), 2)
    with pytest.raises(GalleryError, match="reference of 'red mug' already"):
        gallery.enrol([gallery.prepare(Newcomer(data[0], "a.png", label="Cup"))])
    with pytest.raises(NotEnrolled):
        gallery.item("cup")
    with pytest.raises(NotEnrolled, match="reference 99"):
        gallery.enrol([], instead_of=[99])


def test_the_same_picture_twice_is_one(gallery: Gallery, data: list[bytes]) -> None:
    ready = gallery.prepare(Newcomer(data[0], "a.png", label="Mug"))
    assert len(gallery.enrol([ready, ready])) == 1
    assert gallery.item("mug").references == 1


def test_what_was_said_of_a_picture_goes_with_it(gallery: Gallery, data: list[bytes]) -> None:
    gallery.enrol([gallery.prepare(Newcomer(data[n], label=f"Mug {n}")) for n in range(2)])
    gallery.confirm(data[2], "mug 0")
    (confirmed,) = [n for n, one in gallery.store.page() if one.origin == "confirmed"]
    gallery.enrol([], instead_of=[confirmed])
    assert gallery.feedback() == []


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (np.ones(3, np.float32), "3 numbers; expected 192, the width of dummy"),
        (np.ones((1, 192), np.float32), "1 × 192 numbers"),
        (np.zeros(192, np.float32), "no direction"),
        (np.full(192, np.nan, np.float32), "not finite"),
        (np.full(192, np.inf, np.float32), "not finite"),
        (np.full(192, 0x7FA00000, np.uint32).view(np.float32), "not finite"),  # a signalling NaN
    ],
)
def test_what_is_no_direction_in_the_space_is_refused(
    gallery: Gallery, row: np.ndarray, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        gallery.nearest(row)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_a_vector_of_any_length_finds_the_same(
    gallery: Gallery, data: list[bytes], scale: float
) -> None:
    gallery.enrol([gallery.prepare(Newcomer(data[n], label=f"Mug {n}")) for n in range(4)])
    row = gallery.vector(data[2])
    found = gallery.nearest(row * np.float32(scale), 3)
    assert found[0].key == "mug 2"
    assert found[0].similarity == pytest.approx(1, abs=1e-3)
    assert len(found) == 3
    assert len({one.key for one in found}) == 3


def test_an_empty_gallery_has_nothing_near(gallery: Gallery) -> None:
    assert gallery.nearest(np.ones(192, np.float32)) == []


def test_words_are_looked_up_where_the_model_reads_them(
    gallery: Gallery, data: list[bytes]
) -> None:
    gallery.enrol([gallery.prepare(Newcomer(data[n], label=f"Mug {n}")) for n in range(3)])
    with pytest.raises(InputError, match="dummy reads no text"):
        gallery.search_text("a mug")

    class Reading:
        """The embedder of the gallery, and a reader that knows one word."""

        def __init__(self) -> None:
            self._own = open_embedder(SETTINGS.models)

        def text(self, words: str) -> np.ndarray:
            assert words == "second"
            return gallery.vector(data[1])

        def __getattr__(self, name: str) -> object:
            return getattr(self._own, name)

    row = text_row(Reading(), "second")  # type: ignore[arg-type]
    assert nearest(gallery.store, row, 1)[0].key == "mug 1"


def reference(path: str, data: bytes = b"", origin: str = "") -> Reference:
    sha = hashlib.sha256(data).hexdigest() if data else ""
    return Reference("k", "K", path, sha256=sha, origin=origin)


def test_files_that_were_enrolled_are_handed_out(tmp_path: Path, data: list[bytes]) -> None:
    (tmp_path / "dir").mkdir()
    name = "dir/a #1 50% é.png"
    (tmp_path / name).write_bytes(data[0])
    assert original(reference(name, data[0]), tmp_path, LIMITS) == data[0]
    assert original(reference(name), tmp_path, LIMITS) == data[0]
    assert original(reference(name, data[1]), tmp_path, LIMITS) == b""
    outside = tmp_path / "0.png"
    assert original(reference(str(outside), data[0], "added"), tmp_path / "dir", LIMITS) == data[0]


@pytest.mark.parametrize("known", [True, False], ids=["hash", "no hash"])
@pytest.mark.parametrize(
    ("path", "origin"),
    [
        ("../secret.png", ""),
        ("dir/../../secret.png", ""),
        ("{root}/secret.png", ""),
        ("link.png", ""),
        ("links/secret.png", ""),
        ("a\0b", ""),
        ("", ""),
        ("dir", ""),
        ("https://example.com/secret.png", ""),
        ("..\\secret.png", ""),
    ],
)
def test_an_index_from_a_stranger_opens_nothing_outside_the_folder(
    tmp_path: Path, data: list[bytes], path: str, origin: str, known: bool
) -> None:
    refs = tmp_path / "refs"
    (refs / "dir").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(data[0])
    (refs / "link.png").symlink_to(tmp_path / "secret.png")
    (refs / "links").symlink_to(tmp_path)
    one = reference(path.format(root=tmp_path), data[0] if known else b"", origin)
    assert original(one, refs, LIMITS) == b""


@pytest.mark.parametrize("origin", ["", "added", "confirmed"])
def test_files_that_are_no_pictures_are_not_handed_out(tmp_path: Path, origin: str) -> None:
    secret = tmp_path / "passwd"
    secret.write_bytes(b"root:x:0:0")
    for path in ("passwd", str(secret)):
        assert original(reference(path, b"root:x:0:0", origin), tmp_path, LIMITS) == b""
        assert original(reference(path, b"", origin), tmp_path, LIMITS) == b""


def test_one_file_is_a_reference_of_one_item_whatever_it_is_called(
    gallery: Gallery, data: list[bytes]
) -> None:
    def named(name: str, number: int = 0, key: str = "") -> Reference:
        return gallery.prepare(Newcomer(data[number], name, key=key))[0].reference

    with gallery:
        (banana,) = gallery.enrol([gallery.prepare(Newcomer(data[0], "banana.png"))])
        for _ in range(2):
            with pytest.raises(GalleryError, match="the same file is a reference of 'banana'"):
                check_files(gallery.store, [named("apple.png")])
        with pytest.raises(GalleryError, match="the same file"):
            check_files(gallery.store, [named("a.png", 1), named("b.png", 1)])
        check_files(gallery.store, [named("apple.png", key="banana"), named("a.png", 1)])
        check_files(gallery.store, [named("apple.png")], [banana])


def test_nobody_waits_for_the_whole_gallery_to_be_read(
    gallery: Gallery, data: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adding, exchanging, erasing, and saying what a photo shows look up what they need."""

    def all_of_it(*_: object, **__: object) -> None:
        raise AssertionError("the whole gallery was read for one request")

    with gallery:
        ready = [gallery.prepare(Newcomer(one, f"thing {n}.png")) for n, one in enumerate(data[:2])]
        first = gallery.enrol(ready)[0]
        for name in ("references", "items", "snapshot"):
            monkeypatch.setattr(gallery.store, name, all_of_it)
        new = gallery.prepare(Newcomer(data[2], "thing 0__2.png"))
        check_files(gallery.store, [row.reference for row in new])
        (third,) = gallery.enrol([new])
        gallery.enrol([gallery.prepare(Newcomer(data[2], "thing 1__2.png"))], instead_of=[third])
        assert gallery.item("thing 1").references == 2
        said = gallery.confirm(data[3], "thing 0")
        with pytest.raises(GalleryError, match="a reference of 'thing 0' already"):
            gallery.reject(data[0], "thing 0")
        assert gallery.reject(data[4], "thing 1").key == "thing 1"
        assert gallery.undo_feedback(said.id).kind == "confirmed"
        assert gallery.item("thing 0").references == 1
        assert gallery.rename("thing 1", "Thing One").label == "Thing One"
        assert gallery.rename("Thing One", new_key="one").key == "one"
        gallery.enrol([], instead_of=[first])
        assert gallery.item("one").references == 2


def test_a_name_that_is_not_there_is_compared_with_those_of_a_small_gallery(
    gallery: Gallery, data: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with gallery:
        gallery.enrol([gallery.prepare(Newcomer(data[0], "banana.png"))])
        with pytest.raises(NotEnrolled, match="Did you mean 'banana'"):
            feedback.find_item(gallery.store, "bananna")
        monkeypatch.setattr(feedback, "COMPARED", 0)
        with pytest.raises(NotEnrolled, match="See `kenspeckle list`"):
            feedback.find_item(gallery.store, "bananna")


def test_what_is_said_looks_up_what_concerns_it(
    gallery: Gallery, data: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing reads all that was ever said, with its vectors, to say or to take back one thing."""
    with gallery:
        ids = gallery.enrol([gallery.prepare(Newcomer(data[n], label=f"Mug {n}")) for n in (0, 1)])
        gallery.confirm(data[2], "mug 0")
        gallery.reject(data[3], "mug 1")
        every, read = gallery.store.feedback, []

        def noted(*where: object, **which: object) -> list[Feedback]:
            found = every(*where, **which)  # type: ignore[arg-type]
            read.extend(found)
            return found

        monkeypatch.setattr(gallery.store, "feedback", noted)
        said = gallery.confirm(data[4], "mug 0")
        with pytest.raises(GalleryError, match="a reference of 'mug 1' already"):
            gallery.reject(data[1], "mug 1")
        gallery.rename("mug 0", "Cup")
        gallery.enrol([], instead_of=ids[:1])
        assert read == []
        assert gallery.undo_feedback(said.id).key == "mug 0"
        gallery.enrol([], instead_of=ids[1:])  # with its last picture goes what was said of mug 1
        assert [(one.id, one.kind) for one in read] == [(said.id, "confirmed"), (2, "rejected")]
        assert [one.kind for one in every()] == ["confirmed"]


def test_another_label_leaves_the_pictures_their_ids(
    gallery: Gallery, data: list[bytes], tmp_path: Path
) -> None:
    """Addresses of pictures that somebody keeps go on leading to them."""
    refs = tmp_path / "refs"
    refs.mkdir()
    (refs / "mug.png").write_bytes(data[0])
    with gallery:
        gallery.index(refs)
        gallery.enrol([gallery.prepare(Newcomer(data[1], key="mug"))])
        before = [(number, one.path) for number, one in gallery.store.page()]
        gallery.rename("mug", "Cup")
        assert [(number, one.path) for number, one in gallery.store.page()] == before
        assert {one.label for _, one in gallery.store.references()} == {"Cup"}
        assert (gallery.index(refs).relabelled, gallery.item("mug").label) == (0, "Cup")
        assert gallery.identify(data[1]).candidates[0].label == "Cup"
        gallery.rename("Cup", new_key="beaker")
        assert [one.key for _, one in gallery.store.page()] == ["beaker", "beaker"]
