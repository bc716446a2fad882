"""Sets of frames beside Python's own sets."""

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mapcount.capture.sets import distinct, is_in

NUMBERS = st.lists(st.integers(0, 41) | st.integers(0, 2**64 - 1), max_size=37)


def u64(values):
    return np.array(list(values), np.uint64)


@given(st.lists(NUMBERS, max_size=5))
def test_distinct_is_the_union_in_order(parts):
    assert distinct(*map(u64, parts)).tolist() == sorted({number for part in parts for number in part})


@given(NUMBERS, NUMBERS)
def test_is_in_tells_each_number(numbers, members):
    found = is_in(u64(numbers), u64(sorted(set(members))))
    assert found.dtype == np.bool_
    assert found.tolist() == [number in members for number in numbers]


def test_numpy_ma_is_not_imported():
    program = (
        "import sys, numpy as np; from mapcount.capture.sets import distinct, is_in;"
        "a = np.arange(7, dtype=np.uint64); is_in(a, distinct(a, a)); print('numpy.ma' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert ran.stdout == "False\n"
