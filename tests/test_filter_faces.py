"""Faces from the maps of CenterFace, without the model."""
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mc2.safety.models import decoded, overlap, without_overlaps


def maps(faces, height=16, width=12):
    """(heat, scale, offset) of faces: {(row, column): (score, height and width in pixels, offset down and across)}"""
    heat, scale, offset = np.zeros((height, width), np.float32), np.zeros((2, height, width), np.float32), \
        np.zeros((2, height, width), np.float32)
    for (row, column), (score, tall, wide, down, across) in faces.items():
        heat[row, column] = score
        scale[:, row, column] = math.log(tall / 4), math.log(wide / 4)
        offset[:, row, column] = down, across
    return heat, scale, offset


def test_a_cell_above_the_least_score_is_a_face_around_it():
    """A cell is 4 pixels; its centre is at 4 x (cell + 0.5 + offset)."""
    heat, scale, offset = maps({(2, 3): (0.9, 20, 10, 0.25, 0), (8, 8): (0.4, 8, 8, 0, 0)})
    found = decoded(heat, scale, offset, 0.5)
    assert np.round(found, 4).tolist() == [[14 - 5, 11 - 10, 14 + 5, 11 + 10, 0.9]]
    assert len(decoded(heat, scale, offset, 0.3)) == 2 and decoded(heat, scale, offset, 0.95).shape == (0, 5)


def test_the_surest_faces_come_first():
    heat, scale, offset = maps({(0, 0): (0.6, 8, 8, 0, 0), (5, 5): (0.9, 8, 8, 0, 0), (9, 2): (0.7, 8, 8, 0, 0)})
    assert np.round(decoded(heat, scale, offset, 0.5)[:, 4], 4).tolist() == [0.9, 0.7, 0.6]


def test_of_cells_that_mean_one_face_the_surest_stays():
    heat, scale, offset = maps({(4, 4): (0.9, 20, 20, 0, 0), (4, 5): (0.8, 20, 20, 0, -1), (12, 9): (0.7, 10, 10, 0, 0)})
    assert np.round(without_overlaps(decoded(heat, scale, offset, 0.5)), 4).tolist() == [
        [8, 8, 28, 28, 0.9], [33, 45, 43, 55, 0.7]]


cells = st.dictionaries(st.tuples(st.integers(0, 15), st.integers(0, 11)), st.tuples(
    st.floats(0, 1, width=16), st.floats(1, 60), st.floats(1, 60), st.floats(-1, 1), st.floats(-1, 1)), max_size=12)


@given(cells, st.sampled_from([0.1, 0.5]))
def test_maps_are_decoded_as_one_cell_after_another(faces, least):
    expected = []
    for (row, column), (score, tall, wide, down, across) in sorted(faces.items()):
        if score > least:
            x, y = (column + across + 0.5) * 4, (row + down + 0.5) * 4
            expected.append([x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2, score])
    expected.sort(key=lambda box: -box[4])
    found = decoded(*maps(faces), least)
    assert np.allclose(found, np.reshape(expected, (-1, 5)), atol=1e-3)


boxes = st.lists(st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 20)] * 2), max_size=15)


@given(boxes)
def test_boxes_without_overlaps_are_those_of_a_naive_search(corners):
    rows = [(x, y, x + wide, y + tall, 1 - number / 100) for number, (x, y, wide, tall) in enumerate(corners)]
    kept = []
    for row in rows:
        if all(shared(row, other) <= 0.3 for other in kept):
            kept.append(row)
    assert without_overlaps(np.array(rows, np.float64).reshape(-1, 5)).tolist() == [list(row) for row in kept]


def shared(a, b):
    """Intersection over union, counted pixel by pixel."""
    pixels = [{(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])} for box in (a, b)]
    return len(pixels[0] & pixels[1]) / len(pixels[0] | pixels[1])


@pytest.mark.parametrize("other, expected", [
    ([0, 0, 2, 2], 1), ([2, 0, 4, 2], 0), ([1, 0, 3, 2], 1 / 3), ([0, 0, 4, 4], 1 / 4), ([5, 5, 5, 5], 0)])
def test_the_overlap_of_two_boxes_is_a_share_of_what_they_cover_together(other, expected):
    assert overlap(np.array([0, 0, 2, 2, 1.0]), np.array([[*other, 1.0]]))[0] == pytest.approx(expected)
