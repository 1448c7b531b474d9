"""Lists of ids: which pairs are in them, by their bytes."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mc2 import engines
from mc2.pairs.batch import Strings
from mc2.stages.ids import LONGEST, IdList


@pytest.fixture(params=["native", "portable"])
def engine(request, monkeypatch):
    if request.param == "portable":
        monkeypatch.setattr(engines, "native", lambda: None)
    elif not engines.native():
        pytest.skip("the native core is not built")


def listed(path, data, ids):
    path.write_bytes(data)
    return IdList(str(path)).listed(Strings.of(ids)).tolist()


def test_an_id_is_listed_where_a_line_has_its_bytes(tmp_path, engine):
    data = "b\r\na\n\n\r\nz\u00fcrich\r\r\na b\nlast".encode()
    ids = ["a", "b", "zürich", "a b", "last", "", "c", "a ", "zurich", "las", "lasts", "b\r"]
    assert listed(tmp_path / "ids.txt", data, ids) == [True] * 5 + [False] * 7


def test_the_order_of_a_list_and_ids_that_come_twice_do_not_matter(tmp_path, engine):
    assert listed(tmp_path / "ids.txt", b"c\nb\nc\na\nb\n", ["a", "b", "c", "d"]) == [True, True, True, False]


def test_an_id_that_ends_in_nul_is_another_one(tmp_path, engine):
    assert listed(tmp_path / "ids.txt", b"a\0\nb\n", ["a", "a\0", "b", "b\0", "\0"]) == [False, True, True, False, False]


def test_long_ids_are_told_apart_to_their_end(tmp_path, engine):
    long = "x" * LONGEST
    ids = [long, long + "a", long + "b", long[1:], "x" * 5000]
    assert listed(tmp_path / "ids.txt", f"{long}\n{long}a\n{'x' * 5000}\n".encode(), ids) == [True, True, False, False, True]


def test_a_list_of_nothing_lists_nothing(tmp_path, engine):
    for data in b"", b"\n", b"\r\n\n":
        assert listed(tmp_path / "ids.txt", data, ["", "a"]) == [False, False]
    assert listed(tmp_path / "ids.txt", b"a\n", []) == []


@given(st.lists(st.text("ab\0é", max_size=4)), st.lists(st.text("ab\0é", max_size=4)))
def test_what_is_listed_is_what_a_set_of_python_holds(tmp_path_factory, lines, ids):
    data = "\n".join(lines).encode()
    found = listed(tmp_path_factory.getbasetemp() / "ids.txt", data, ids)
    assert found == [id in set(lines) - {""} for id in ids]


def test_many_ids_are_found_in_a_list_of_many(tmp_path):
    ids = [f"{number * 7919 % 100_003:x}" for number in range(20_000)]
    data = "".join(f"{id}\n" for id in ids[::3]).encode()
    assert listed(tmp_path / "ids.txt", data, ids) == [number % 3 == 0 for number in range(20_000)]


def test_rows_of_the_native_core_must_be_a_table():
    if not (native := engines.native()):
        pytest.skip("the native core is not built")
    with pytest.raises(ValueError, match="rows: not two-dimensional"):
        native.in_ordered_rows(np.zeros(4, np.uint8), np.zeros(0, np.uint8), np.zeros(1, np.int64))
