"""The workloads and the oracle agree before mapcount is asked: what a workload says it did is what the kernel shows."""

from __future__ import annotations

import os

import pytest

from live.oracle import smaps
from live.scenes import SCENES, file_on_disk
from live.settings import HUGETLB, KSM, THP
from live.view import Entry, View, differences

PAGE = 4096


def near(view: View) -> dict[str, list[list[int]]]:
    """Return the pages of a view and one page on either side, as areas: for a VMA too large to look at whole."""
    return {
        name: [[(number - 1) * PAGE, (number + 2) * PAGE] for number in pages] for name, pages in view.pages.items()
    }


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_truth_is_what_the_kernel_shows(scene, workload, thp, oracle):
    thp(anon=scene.anon_kb, shmem=scene.shmem_kb)
    running = workload(scene.script, *scene.arguments)
    truth = running.view()
    seen = oracle.look(running.pids, near(truth) if scene.sparse else running.areas)
    assert differences(truth, seen) == []
    assert oracle.count_differences(seen.without("zero")) == []


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_rss_of_the_areas(scene, workload, thp):
    """Rss of the workload's VMAs is what the truth says: small pages and large, no zero pages."""
    thp(anon=scene.anon_kb, shmem=scene.shmem_kb)
    running = workload(scene.script, *scene.arguments)
    truth = running.view().without("zero")
    for name, pid in running.pids.items():
        assert smaps(pid, running.areas[name])["Rss"] * 1024 == len(truth.pages[name]) * PAGE


def test_zero_page_counts_nothing(workload, thp, oracle):
    if (THP / "use_zero_page").read_text().strip() != "1":
        pytest.skip("use_zero_page is off: reads of huge areas get no huge zero folio")
    thp(anon=(2048,))
    running = workload("zero.py")
    seen = oracle.look(running.pids, running.areas)
    assert differences(running.view(), seen) == []
    zero = [head for head, (kind, _) in seen.folios.items() if kind == "zero"]
    assert len(zero) >= 2 and {oracle.count(pfn) for pfn in zero} == {0}


def test_merged_pages(workload, settings, oracle):
    settings.set(KSM / "run", "1")
    settings.set(KSM / "sleep_millisecs", "1")
    settings.set(KSM / "pages_to_scan", "3000")
    running = workload("ksm.py")
    seen = oracle.look(running.pids, running.areas)
    assert differences(running.view(), seen) == []
    assert oracle.count_differences(seen) == []


def test_hugetlb(workload, settings, oracle):
    settings.set(HUGETLB, str(int(HUGETLB.read_text()) + 13))
    running = workload("hugetlb.py")
    table = running.facts["table"]
    areas = {
        name: [*(area for area in areas if area[0] != table), [table, table + (11 << 21)]]
        for name, areas in running.areas.items()
    }
    seen = oracle.look(running.pids, areas)
    heads = {seen.pages["parent"][table // PAGE + 512 * i].folio for i in range(5)}
    if {oracle.count(head) for head in heads} != {1}:
        pytest.skip("this kernel did not share the page table: each process has a count of its own")
    assert differences(running.view(), seen) == []
    # One table, one count: only there do fewer mappings count than processes map.
    assert {line.partition("+")[0] for line in oracle.count_differences(seen)} == {f"pfn {head:#x}" for head in heads}


def test_file(workload, oracle, tmp_path):
    running = workload("file.py", file_on_disk(tmp_path))
    truth, seen = running.view(), oracle.look(running.pids, running.areas)
    around = range(running.facts["around"] // PAGE, running.facts["around"] // PAGE + running.facts["nr_pages"])
    faulted = [number for number in seen.pages["child"] if number in around]
    assert around[503] in faulted and 1 <= len(faulted) <= 512
    assert {seen.folios[entry.folio][0] for pages in seen.pages.values() for entry in pages.values()} == {"file"}
    assert seen.pages["parent"].keys() == truth.pages["parent"].keys()


@pytest.mark.parametrize("how", ["twin", "threads", "dead-leader"])
def test_twins(how, workload, thp, oracle):
    thp(anon=(64,))
    running = workload("twins.py", how)
    pid = running.pids["parent"]
    task = max(map(int, os.listdir(f"/proc/{pid}/task")))
    names = {"leader": pid} if how != "dead-leader" else {}
    names |= {"twin": running.facts["twin"]} if how == "twin" else {"thread": task}
    for name, number in names.items():
        seen = oracle.look({"parent": number}, running.areas)
        assert differences(running.view(), seen) == [], name
        assert oracle.count_differences(seen) == []


def test_differences_are_found():
    """The comparison itself can fail: another page, another level, two folios for one, a page too many."""
    right = View({"a": ("anon", 4), "b": ("anon", 4)}, {"p": {1: Entry("a", 0, "pte"), 2: Entry("b", 0, "pte")}})
    for entries in (
        {1: Entry("a", 1, "pte"), 2: Entry("b", 0, "pte")},
        {1: Entry("a", 0, "pmd"), 2: Entry("b", 0, "pte")},
        {1: Entry("a", 0, "pte"), 2: Entry("a", 0, "pte")},
        {1: Entry("a", 0, "pte")},
        {1: Entry("a", 0, "pte"), 2: Entry("b", 0, "pte"), 3: Entry("b", 1, "pte")},
    ):
        wrong = View(right.folios, {"p": entries})
        assert differences(wrong, right) and differences(right, wrong)
    assert differences(right, right) == []
