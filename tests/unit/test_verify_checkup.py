"""What the pictures behind an index add to the check of its rows."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kenspeckle.config import IndexSettings, ModelSettings, Settings
from kenspeckle.errors import GalleryError, ModelMissing
from kenspeckle.evaluate.verify.advice import Findings, advise
from kenspeckle.evaluate.verify.checkup import checkup
from kenspeckle.evaluate.verify.checkup_text import lines
from kenspeckle.evaluate.verify.confusable import item_pairs, print_groups, same_files
from kenspeckle.evaluate.verify.neighbours import item_codes, neighbours
from kenspeckle.evaluate.verify.perturbed import by_item, judge
from kenspeckle.gallery import Gallery
from kenspeckle.types import Reference


def unit(count, width=8, seed=0):
    rows = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# Pairs and prints, against all products


@given(st.integers(1, 25), st.integers(1, 6), st.integers(0, 8), st.integers(0, 99))
def test_item_pairs_are_the_best_of_all(count, items, top, seed):
    rows = unit(count, 4, seed)
    keys = [str(key) for key in np.random.default_rng(seed).integers(0, items, count)]
    codes = item_codes(keys)
    found = item_pairs(rows, codes, neighbours(rows, codes, 0).other, top)
    product = rows @ rows.T
    best = {}
    for i, j in itertools.combinations(range(count), 2):
        if keys[i] != keys[j]:
            both = frozenset((keys[i], keys[j]))
            best[both] = max(best.get(both, -2), float(product[i, j]))
    wanted = sorted(best.values(), reverse=True)[:top]
    np.testing.assert_allclose([pair.similarity for pair in found], wanted, atol=1e-6)
    for pair in found:
        assert product[pair.a, pair.b] == pytest.approx(pair.similarity, abs=1e-6)
        assert keys[pair.a] != keys[pair.b]


def test_a_damaged_row_is_in_no_pair():
    rows = unit(5)
    rows[2] = np.nan
    other = np.array([0.5, 0.5, np.nan, 0.5, 0.5], np.float32)
    pairs = item_pairs(rows, np.arange(5), other, 9)
    assert pairs
    assert all(2 not in (pair.a, pair.b) for pair in pairs)
    assert all(np.isfinite(pair.similarity) for pair in pairs)


def reference(key, variant="", sha="", path=""):
    return Reference(key, key.title(), path or f"{key}{variant}{sha}.png", variant, sha256=sha)


def test_prints_are_grouped_by_item():
    rows = unit(6)
    rows[1], rows[4] = rows[0], rows[3]
    owners = [
        reference("a", "foil"),
        reference("a", "plain"),
        reference("a", "plain", path="again.png"),
        reference("b", "one", path="b1.png"),
        reference("b", "one", path="b2.png"),
        reference("c"),
    ]
    (group,) = print_groups(rows, owners)
    assert (group.key, group.variants, group.references) == ("a", ("foil", "plain"), 3)
    assert (group.nearest.a, group.nearest.b) == (0, 1)
    assert group.nearest.similarity == pytest.approx(1)


def test_same_files_of_different_items_come_first():
    owners = [reference("a", sha="1"), reference("a", sha="1", path="x")]
    owners += [reference("b", sha="2"), reference("c", sha="2"), reference("d", sha="3")]
    owners += [reference("e"), reference("f")]
    assert same_files(owners) == [(2, 3), (0, 1)]


# Queries


def test_a_hidden_row_is_not_enrolled():
    rows = np.eye(4, dtype=np.float32)
    keys, queries = ["a", "a", "b", "c"], np.eye(4, dtype=np.float32)[:1]
    queries[0] = [0.8, 0.1, 0.5, 0.0]
    sources = np.array([0])
    assert judge(rows, keys, queries, sources, "").top1 == 1
    without = judge(rows, keys, queries, sources, "", hidden=[[0]])
    assert (without.top1, without.rivals.tolist()) == (0.0, [2])
    assert without.margins[0] == pytest.approx(0.1 - 0.5)


def test_items_are_told_by_how_they_fared():
    rows = np.eye(3, dtype=np.float32)
    queries = np.array([[0.6, 0.8, 0], [0.8, 0.6, 0], [0, 0.9, 0.2], [0, 1, 0]], np.float32)
    result = judge(rows, ["a", "b", "c"], queries, np.array([0, 0, 1, 1]), "")
    worst, best = by_item(result, ["a", "b", "c"])
    assert (worst.key, worst.queries, worst.right, worst.rival) == ("a", 2, 1, 1)
    assert worst.margin == pytest.approx(0.0, abs=1e-6)
    assert (best.key, best.right) == ("b", 2)
    low, high = result.top1_interval(["a", "b", "c"])
    assert low < 0.75 < high


# Advice


@pytest.mark.parametrize(
    ("more", "command"),
    [
        ({}, "kenspeckle identify PHOTO --index g.ken"),
        ({"worst": "mug", "margin": 0.2}, "kenspeckle add PICTURE --key mug --index g.ken"),
        ({"worst": "mug", "margin": 0.4}, "kenspeckle identify PHOTO --index g.ken"),
        ({"uncalibrated": "none", "worst": "mug"}, "kenspeckle calibrate g.ken"),
        ({"doubled": ("a b", "c")}, "kenspeckle list 'a b' c --references --index g.ken"),
        ({"outdated": 2, "doubled": ("a", "b")}, "kenspeckle index PICTURES --out g.ken"),
        ({"outdated": 2, "refs": "my refs"}, "kenspeckle index 'my refs' --out g.ken"),
        ({"broken": 1, "outdated": 2, "refs": "r"}, "kenspeckle index r --out g.new.ken"),
        ({"refused": "no model", "outdated": 2}, "kenspeckle index PICTURES --out g.new.ken"),
    ],
)
def test_the_next_command_is_filled_in(more, command):
    found = Findings(**{"margin": 0.36, "measured": "on views", "index": "g.ken", **more})
    assert advise(found).command == command
    assert advise(found).why


@pytest.mark.parametrize(
    ("margin", "tier", "said"),
    [
        (0.31, "ready", "above 0.3"),
        (0.2, "fair", "between 0.1 and 0.3"),
        (0.05, "weak", "below 0.1"),
        (-0.2, "weak", "below 0.1"),
        (float("nan"), "unknown", "two items"),
    ],
)
def test_the_verdict_follows_the_tiers(margin, tier, said):
    advice = advise(Findings(margin, "on views", "g.ken"))
    assert advice.tier == tier
    assert said in advice.verdict


# A gallery


SETTINGS = Settings(
    models=ModelSettings(name="dummy"), index=IndexSettings(calibrate=False, thumbnail=24)
)


def draw(path, seed):
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 255, (6, 6, 3), np.uint8)).resize((96, 96), 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def indexed(tmp_path, settings=SETTINGS):
    gallery = Gallery.create(tmp_path / "g.ken", settings=settings)
    gallery.index(tmp_path / "refs")
    return gallery


@pytest.fixture
def refs(tmp_path):
    """Four items; the first has two pictures that hardly differ."""
    folder = tmp_path / "refs"
    for number in range(4):
        draw(folder / f"item {number}" / "one.png", number)
    with Image.open(folder / "item 0" / "one.png") as first:
        first.resize((90, 90)).save(folder / "item 0" / "two.png")
    return folder


def test_a_sound_gallery(tmp_path, refs):
    with indexed(tmp_path) as gallery:
        found = checkup(gallery, perturbed=10)
        assert found.sample.chosen == 5
        assert len(found.sample.queries) == len(found.report.perturbed.sources) == 10
        assert found.held_out.sources.tolist() == [0, 0, 1, 1]
        assert found.strict.margins[0] <= found.report.perturbed.margins[0] + 1e-6
        assert len(found.sample.again) == 5
        assert min(cosine for _, cosine in found.sample.again) > 0.999
        assert not found.sample.unlike
        assert gallery.thumbnail(found.ids[found.pairs[0].a]).startswith(b"\xff\xd8")
        data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["closest_items"][0]["rows"][0]["path"].startswith("item ")
    assert data["round_trip"]["references"] == 5
    assert data["next"]["command"].startswith("kenspeckle calibrate ")
    text = list(lines(found))
    assert any(line.startswith("round trip: 5 references") for line in text)
    assert text[-2].startswith("verdict: ")
    assert text[-1].startswith("next: kenspeckle ")


def test_enrolled_views_take_part_and_are_hidden_with_their_picture(tmp_path, refs):
    settings = Settings(
        models=ModelSettings(name="dummy"), index=IndexSettings(calibrate=False, views=2)
    )
    with indexed(tmp_path, settings) as gallery:
        found = checkup(gallery, perturbed=5)
    assert found.report.count == 5  # views are no rows of the report
    assert found.report.perturbed.rivals.max() < 5
    assert (found.strict.margins[:2] <= found.report.perturbed.margins[:2] + 1e-6).all()


def test_changed_moved_and_broken_pictures_are_counted(tmp_path, refs):
    gallery = indexed(tmp_path)
    draw(refs / "item 1" / "one.png", 99)
    (refs / "item 2" / "one.png").unlink()
    (refs / "item 3" / "one.png").write_bytes(b"no picture")
    with gallery:
        found = checkup(gallery, perturbed=5)
    left = dict(found.sample.left_out)
    assert left["changed since they were indexed"] == 1
    assert left["unreadable"] == 1
    assert sum(count for why, count in left.items() if why.startswith("not where")) == 1
    assert [found.references[row].key for row in found.sample.changed] == ["item 1"]
    assert found.advice.command.startswith("kenspeckle index ")
    assert any("left out: 1 " in line for line in lines(found))


def test_no_picture_and_nothing_asked(tmp_path, refs):
    gallery = indexed(tmp_path)
    for path in refs.rglob("*.png"):
        path.unlink()
    with gallery:
        found = checkup(gallery, perturbed=5)
        assert found.report.perturbed is None
        assert found.sample.why.startswith("of 5 pictures 5 not where they were indexed")
        assert "between the rows" in found.advice.verdict
        assert checkup(gallery, perturbed=0).sample.why == "not asked for"


def test_a_row_that_its_picture_does_not_give_is_told(tmp_path, refs):
    """The row of another model's making, say: here two rows change places."""
    gallery = indexed(tmp_path)
    store = gallery.store
    (one, a), (two, b) = [pair for pair in store.references() if "one" in pair[1].path][1:3]
    from kenspeckle.store.base import Enrolled

    rows = store.rows([one, two])
    store.add([Enrolled(a, rows[1]), Enrolled(b, rows[0])])
    with gallery:
        found = checkup(gallery, perturbed=5)
    assert len(found.sample.unlike) == 2
    assert found.advice.command.endswith("g.new.ken")
    assert sum("not what the model makes of it now" in line for line in lines(found)) == 2


def test_one_item_has_no_margin(tmp_path):
    draw(tmp_path / "refs" / "only.png", 1)
    with indexed(tmp_path) as gallery:
        found = checkup(gallery, perturbed=4)
    assert found.advice.tier == "unknown"
    assert any("one item, so no margin" in line for line in lines(found))
    json.dumps(found.to_dict(), allow_nan=False)


def test_the_same_picture_in_two_items_and_prints_in_one(tmp_path, refs):
    copy = (refs / "item 0" / "one.png").read_bytes()
    (refs / "twin").mkdir()
    (refs / "twin" / "one.png").write_bytes(copy)
    lines_of = ["key,label,variant,path"]
    files = sorted(path.relative_to(refs).as_posix() for path in refs.rglob("*.png"))
    prints = {"item 0/two.png": "foil"}
    lines_of += [f"{f.split('/')[0]},{f.split('/')[0]},{prints.get(f, '')},{f}" for f in files]
    (refs / "list.csv").write_text("\n".join(lines_of))
    gallery = Gallery.create(tmp_path / "g.ken", settings=SETTINGS)
    with gallery:
        gallery.index(refs / "list.csv")
        found = checkup(gallery, perturbed=0)
    assert len(found.shared) == 1
    assert found.advice.command.startswith("kenspeckle list 'item 0' twin --references")
    assert found.prints[0].variants == ("", "foil")
    text = list(lines(found))
    assert "same file, different items: item 0/one.png, twin/one.png" in text
    assert any(line.startswith("prints: 1 item has several, 2 in all") for line in text)


def test_a_picture_added_by_hand_need_not_be_a_file(tmp_path, refs):
    with indexed(tmp_path) as gallery:
        gallery.add((refs / "item 1" / "one.png").read_bytes(), label="by hand")
        found = checkup(gallery, perturbed=6)
    assert dict(found.sample.left_out) == {"added by hand and not kept as a file": 1}
    assert found.sample.outdated == 0
    assert found.advice.command.startswith("kenspeckle list ")  # it is the picture of item 1


def test_an_empty_index_is_refused(tmp_path):
    with (
        Gallery.create(tmp_path / "g.ken", settings=SETTINGS) as gallery,
        pytest.raises(GalleryError, match="no references"),
    ):
        checkup(gallery)


@pytest.mark.parametrize("perturbed", [0, 3])
def test_an_index_that_identify_refuses_is_not_called_ready(tmp_path, perturbed):
    """A former index names no model, and the one that its width tells of is not there."""
    rows = unit(6, 512)
    names = np.array([f"Thing {n}" for n in range(6)])
    np.savez(tmp_path / "old.npz", embeddings=rows, names=names, filenames=names)
    settings = Settings(models=ModelSettings(home=tmp_path / "models", offline=True))
    with Gallery.open(tmp_path / "old.npz", settings=settings) as gallery:
        found = checkup(gallery, perturbed=perturbed)
        with pytest.raises(ModelMissing) as refused:
            gallery.identify(Image.new("RGB", (64, 64)))
    assert found.advice.tier == "refused"
    assert "ready to use" not in found.advice.verdict.removeprefix("not ready to use")
    assert refused.value.found in found.advice.verdict
    assert found.advice.command == f"kenspeckle index PICTURES --out {tmp_path / 'old.new.npz'}"
    assert found.advice.why == refused.value.do
    assert found.report.passed
