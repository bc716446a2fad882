"""The table of the usual case: 80 columns, a row for each sort of call, runs without a call; raw numbers in JSON."""

from __future__ import annotations

import json

from rich.cells import cell_len

from mapcount.kernels.rmap_calls import Change
from mapcount.kernels.usual_case import Measured, UsualCase
from mapcount.report.table import View
from mapcount.report.terminal import render
from mapcount.report.usual_case import document, usual_case

ROW = UsualCase("6.12.9", "64K, 2M", "allocator", Change.UNMAP, 4, False, 10007, 100003, 1009, 5003, 13)
MEASURED = Measured("6.12.9", (("64K, 2M", "allocator"), ("2M", "compiler")), (ROW,))


def lines(measured):
    return render(usual_case(measured, View()), width=80, colour=False).splitlines()


def test_each_sort_of_call_is_a_row_and_a_run_without_any_says_so():
    told = lines([MEASURED])
    assert max(map(cell_len, told)) <= 80 and "…" not in "".join(told)
    assert any("6.12.9" in line for line in told)
    [row] = [line.split() for line in told if line.startswith("allocator")]
    assert row == ["allocator", "64K,", "2M", "unmapping", "64K", "PTE", "10,007", "10.1%", "50.0%", "13"]
    [none] = [line.split() for line in told if line.startswith("compiler")]
    assert none == ["compiler", "2M", "no", "call", "-", "-", "0", "-", "-", "-"]


def test_json_has_the_numbers():
    [one] = json.loads(document([MEASURED]))["usual_case"]
    assert one["runs"] == [["64K, 2M", "allocator"], ["2M", "compiler"]]
    assert one["rows"][0] | {"calls": 10007, "of_one_page": 1009, "change": "unmapping", "order": 4} == one["rows"][0]
