"""The native core cleans texts and finds their scripts as the Python definitions do, to the last byte."""
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import DATA
from mc2 import engines
from mc2.metadata import scripts
from mc2.pairs.batch import Strings
from mc2.stages import cleaning
from mc2.stages.lid_models import Native

pytestmark = pytest.mark.skipif(engines.native() is None, reason="the native core is not built")

PIECES = ["http://", "HTTPS://", "http\u017f://", "ftp://", "www.", "WWW.", "w", ".", "..", ".jpg", ".JPEG", ".tiff", ".tif",
          ".htm", "html", ".mp4", "x", ")", "(", "%", "-", "_", " ", "  ", "\t", "\n", "\x00", "\x85", "\u2028", "\u3000",
          "\xa0", "\u1680", "\x1c", "A", "B", "NASA", "VOX", "z", "é", "É", "ß", "İ", "ı", "\u017f", "\u212a", "猫", "𠀀",
          "豈", "カ", "ж", "Ж", "ЖЖ", "Ꭰ", "ꭰ", "ǅ", "ǆ", "Ⅷ", "Ⓐ", "ª", "7", "20x30cm", ":", ":/", "://", "&", "ა", "Ა",
          "한", "🎉", "\u0301", "\u200d", ",", "!", "?"]
EVERY_CHARACTER = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]


def native(texts):
    return cleaning.clean_all(Strings.of(texts)).tolist()


def definition(texts):
    return [cleaning.clean(text) for text in texts]


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=14).map("".join)))
@example(["a" * 16, "a" * 17, "a" * 15 + " " + "b", "a" * 16 + "  b", "a" * 15 + "É", "A" * 16, " " * 16, "NASA" + " " * 40])
def test_any_texts_are_cleaned_alike(texts):
    assert native(texts) == definition(texts)


@given(st.lists(st.text()))
def test_texts_of_any_characters_are_cleaned_alike(texts):
    assert native(texts) == definition(texts)


@pytest.mark.parametrize("around", ["{}", "{}x", "A{}", "AB {0}c CD{0}", "www.a{}b", "a{}.jpg"])
def test_every_character_is_cleaned_alike(around):
    texts = [around.format(character) for character in EVERY_CHARACTER[::1 if around == "{}" else 7]]
    assert native(texts) == definition(texts)


@pytest.mark.skipif(not DATA.exists(), reason="no shared data")
@pytest.mark.parametrize("change", [str, str.upper, str.title, "{} 20x30cm".format, lambda line: line.replace(" ", ".") + ".jpg"])
def test_real_texts_are_cleaned_alike(change):
    texts = [change(line) for path in sorted((DATA / "udhr").glob("*.txt"))
             for line in path.read_text("utf-8").split("\n")[::8]]
    assert native(texts) == definition(texts)


def test_other_steps_are_cleaned_by_the_definition():
    for steps in [(), ("urls",), ("capitals", "space")]:
        assert cleaning.clean_all(Strings.of(["LE  CHAT www.a.b"]), steps).tolist() == [cleaning.clean("LE  CHAT www.a.b", steps)]


def test_what_goes_wrong_in_the_definition_is_raised():
    column = Strings.of(["ok", "ЧЁРНЫЙ КОТ"])                # capitals beyond ASCII are left to the definition
    with pytest.raises(ZeroDivisionError):
        engines.native().clean(column.data, column.offsets, lambda text: 1 / 0)
    _, _, left = engines.native().clean(column.data, column.offsets, cleaning.clean)
    assert left == 1


@pytest.mark.parametrize("offsets", [[], [0, 3], [2, 1], [-1, 1], [[0, 1]]])
def test_offsets_that_do_not_fit_are_refused(offsets):
    with pytest.raises(ValueError, match="offsets"):
        engines.native().clean(np.zeros(2, np.uint8), np.array(offsets, np.int64), cleaning.clean)


@given(st.lists(st.text()))
@example(EVERY_CHARACTER)
@example(["ねこ猫", "a猫", "猫7", "ЖγЖ", ""])
def test_scripts_are_found_alike(texts):
    numbers, sets = Native.scripts_of(None, Strings.of(texts))
    assert [sets[number] for number in numbers] == [scripts.of_text(text) for text in texts]
