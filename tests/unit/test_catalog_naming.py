"""File names → items: the cards scheme as its users know it, the plain scheme for everyone else."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kenspeckle.catalog.entry import on_disk, shown
from kenspeckle.catalog.naming import (
    RARITIES,
    cards_name,
    choose_scheme,
    first_of,
    gathered,
    key_of,
    name_item,
    plain_name,
    served,
    set_code,
    stem,
    tidy,
)
from kenspeckle.errors import SettingError

MEASURED = [
    ("LOCH-JP001_dark_magician.jpg", "Dark Magician", "Dark Magician", ""),
    ("dark_magician_PSCR.JPG", "Dark Magician Pscr", "Dark Magician", "PScR"),
    (
        "LOCR-JP066_number_65_djinn_buster_pscr.jpg",
        "Number 65 Djinn Buster Pscr",
        "Number 65 Djinn Buster",
        "PScR",
    ),
    ("dm_ScR_ur.jpg", "Dm Scr Ur", "Dm Scr", "UR"),
    ("dark-magician-ur.png", "Dark-Magician-Ur", "Dark-Magician-Ur", ""),
    ("bolt_cr.jpg", "Bolt Cr", "Bolt", "CR"),
    ("x_n.jpg", "X N", "X N", ""),
    ("10mm.jpg", "10Mm", "10Mm", ""),
    ("blue-eyes.jpg", "Blue-Eyes", "Blue-Eyes", ""),
    ("dragon's.jpg", "Dragon'S", "Dragon'S", ""),
    ("pharaoh_s_servant.jpg", "Pharaoh's Servant", "Pharaoh's Servant", ""),
    ("vitamin_s.jpg", "Vitamin's", "Vitamin's", ""),
    ("a__b.jpg", "A  B", "A  B", ""),
    ("foo.bar.jpg", "Foo.Bar", "Foo.Bar", ""),
    # the two that came out empty
    ("ur.jpg", "Ur", "Ur", ""),
    ("LOCH-JP001_.jpg", "LOCH-JP001", "LOCH-JP001", ""),
]


@pytest.mark.parametrize(("filename", "stored", "name", "rarity"), MEASURED)
def test_cards_names_are_those_that_users_have(filename, stored, name, rarity):
    assert cards_name(stem(filename)) == stored
    assert served(stored) == (name, rarity)


@pytest.mark.parametrize(
    "kept",
    ["loch-jp001_x", "LOCH-jp001_x", "LOB-001_x", "MP19-EN001_x", "LOCH-JP001 x", "LOCH-JP001"],
)
def test_only_a_whole_set_code_is_taken_off(kept):
    assert cards_name(kept) == kept.replace("_", " ").title()


def test_a_set_code_is_taken_off_once():
    assert cards_name("LOCH-JP001_LOCH-JP002_x") == "Loch-Jp002 X"


@pytest.mark.parametrize(
    ("filename", "code"),
    [
        ("LOCH-JP001_dark_magician.jpg", "LOCH-JP001"),
        ("LOCH-JP001.jpg", "LOCH-JP001"),
        ("loch-jp001_x.jpg", ""),
        ("LOB-001_x.jpg", ""),
        ("x_LOCH-JP001.jpg", ""),
    ],
)
def test_set_code(filename, code):
    assert set_code(filename) == code


@pytest.mark.parametrize("written", [str.lower, str.upper, str.title])
@pytest.mark.parametrize("rarity", RARITIES.values())
def test_every_rarity_is_known_in_any_case(rarity, written):
    assert served(f"Dark Magician {written(rarity)}") == ("Dark Magician", rarity)


def test_prints_of_one_card_are_variants_of_one_item():
    prints = [
        name_item(text, "cards")
        for text in (
            "LOCH-JP001_dark_magician_pscr",
            "LOCH-JP001_dark_magician",
            "dark_magician_ur",
            "dark_magician",
        )
    ]
    assert {one.key for one in prints} == {"dark magician"}
    assert {one.label for one in prints} == {"Dark Magician"}
    assert [one.variant for one in prints] == ["LOCH-JP001 PScR", "LOCH-JP001", "UR", ""]
    assert prints[0].metadata == {
        "stored_name": "Dark Magician Pscr",
        "set_code": "LOCH-JP001",
        "rarity": "PScR",
    }
    assert prints[3].metadata == {"stored_name": "Dark Magician"}


def test_a_set_code_stands_in_for_a_missing_name():
    name = name_item("LOCH-JP001_ur", "cards")
    assert (name.label, name.variant) == ("LOCH-JP001", "LOCH-JP001 UR")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("10mm", "10mm"),
        ("dragon's", "dragon's"),
        ("blue-eyes", "blue-eyes"),
        ("bolt_cr", "bolt cr"),
        ("vitamin_s", "vitamin s"),
        ("iPhone_15_Pro", "iPhone 15 Pro"),
        ("a__b", "a b"),
        ("_mug_", "mug"),
        ("ur", "ur"),
        ("___", "___"),
        ("café", "café"),
        ("blue-eyes\tx\ny", "blue-eyes x y"),
        ("キャンディ_苺", "キャンディ 苺"),
    ],
)
def test_plain_names_change_little(text, label):
    assert plain_name(text) == label
    assert name_item(text, "plain").variant == ""


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("mug__2", "mug"),
        ("mug__999", "mug"),
        ("mug__2024", "mug__2024"),
        ("mug_2", "mug_2"),
        ("__2", "__2"),
        ("a__b__3", "a__b"),
        ("mug___2", "mug___2"),
    ],
)
def test_a_number_after_two_underscores_is_a_further_reference(text, item):
    assert first_of(text) == item


def test_further_references_belong_to_the_item_in_both_schemes():
    assert name_item("red_mug__2", "plain") == name_item("red_mug", "plain")
    second, first = (name_item(t, "cards") for t in ("A-B1_mug_ur__2", "A-B1_mug_ur"))
    assert (second.key, second.variant) == (first.key, first.variant) == ("mug", "A-B1 UR")


@pytest.mark.parametrize(
    ("names", "scheme"),
    [
        (["LOCH-JP001_x.jpg", "mug.jpg"], "cards"),
        (["mug.jpg", "LOCH-JP001.jpg"], "cards"),
        (["mug.jpg", "dark_magician_pscr.jpg"], "plain"),
        (["SONY-WH1000XM4.jpg"], "plain"),
        (["IMG-20240101-WA0001.jpg"], "plain"),
        ([], "plain"),
    ],
)
def test_auto_means_cards_if_a_name_carries_a_set_code(names, scheme):
    assert choose_scheme(names) == scheme
    assert choose_scheme(names, "cards") == "cards"
    assert choose_scheme(names, "plain") == "plain"


def test_an_unknown_scheme_is_refused():
    with pytest.raises(SettingError, match="cards, plain or auto"):
        choose_scheme([], "books")


@pytest.mark.parametrize(
    ("text", "is_gathered"),
    [
        ("duckduckgo_3f9a00b1c2d3", True),
        ("open_images_3f9a00b1c2d3", True),
        ("IMG_202401011230", False),
        ("mug", False),
        ("3f9a00b1c2d3", False),
    ],
)
def test_names_of_the_gather_step(text, is_gathered):
    assert gathered(text) is is_gathered


text_of_any_kind = st.text(st.characters(), max_size=30)
"""Lone surrogates, which stand for undecodable bytes, among them."""


@given(text_of_any_kind)
def test_tidy_and_keys_are_settled_after_one_pass(text):
    assert tidy(tidy(text)) == tidy(text)
    assert key_of(key_of(text)) == key_of(text)
    assert key_of(tidy(text)) == key_of(text)


@given(text_of_any_kind)
def test_keys_ignore_case_and_composition(text):
    for form in ("NFC", "NFD"):
        assert key_of(unicodedata.normalize(form, text)) == key_of(text)
    assert key_of(key_of(text).upper()) == key_of(key_of(text).upper().lower())


@given(text_of_any_kind.filter(bool))
def test_every_name_has_a_label_and_a_key_that_can_be_stored(text):
    for scheme in ("cards", "plain"):
        name = name_item(text, scheme)
        for value in (name.key, name.label, name.variant, *name.metadata.values()):
            value.encode()
        assert name.label.strip()
        assert name.key.strip()
        assert name.label == tidy(name.label)


@given(text_of_any_kind)
def test_shown_names_can_be_stored_and_printed(text):
    seen = shown(text)
    seen.encode()
    assert not any(unicodedata.category(c) == "Cc" for c in seen)
    assert shown(seen) == seen


@pytest.mark.parametrize(
    "raw",
    ["a#b%20?.jpg", "-x.jpg", "a b.jpg", "a\nb.jpg", "caf\udce9.jpg", "a\\x0a.jpg", "naïve.jpg"],
)
def test_shown_names_lead_back_to_their_file(tmp_path, raw):
    (tmp_path / raw).write_bytes(b"x")
    assert on_disk(tmp_path, shown(raw)).read_bytes() == b"x"


def test_no_separator_hides_in_a_shown_name(tmp_path):
    hidden = r"\x2e\x2e\x2fsecret\u002fx"
    assert on_disk(tmp_path, hidden) == tmp_path / hidden
