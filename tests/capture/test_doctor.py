"""What the doctor finds: made-up machines, this one, and this one seen by a user without privilege."""

import os
from dataclasses import replace

import pytest

from capture.test_privileges import ALL, LACKING
from capture.unprivileged import as_nobody
from mapcount.capture.cgroups import Mount
from mapcount.capture.doctor import (
    NEEDED_FOR_FOLIOS,
    cgroup_finding,
    examine,
    file_findings,
    kernel_findings,
    privilege_findings,
    sudo_finding,
    swap_finding,
    thp_findings,
)
from mapcount.capture.settings import KernelFacts

FACTS = KernelFacts("h", "6.18.44", "#1", "x86_64", 4096, 9, "b", 25 << 30)
SETTINGS = {
    "enabled": "madvise",
    "shmem_enabled": "never",
    "hpage_pmd_size": "2097152",
    "hugepages-64kB/enabled": "always",
    "hugepages-64kB/shmem_enabled": "never",
    "hugepages-2048kB/enabled": "inherit",
    "hugepages-128kB/enabled": "never",
    "shrink_underused": "1",
    "khugepaged/max_ptes_none": "511",
}


def named(findings):
    return {finding.name: finding for finding in findings}


def test_nothing_is_wrong_where_all_works():
    findings = [
        *kernel_findings(FACTS),
        *privilege_findings(ALL),
        *file_findings(ALL, "exact", "probed"),
        *thp_findings(SETTINGS, has_stats=True),
        swap_finding("Filename\tType\tSize\tUsed\tPriority\n"),
        sudo_finding(ALL, None),
    ]

    assert all(finding.ok for finding in findings)
    assert all(not finding.cure for finding in findings)
    assert {name for name, finding in named(findings).items() if name in NEEDED_FOR_FOLIOS} == NEEDED_FOR_FOLIOS


@pytest.mark.parametrize(
    ("lack", "name"),
    [(lack, {"pagemap": "pfns", "other_users": "privileges", "other_namespaces": "process list"}.get(lack, lack))
     for lack in LACKING],
)  # fmt: skip
def test_each_lack_is_one_finding_with_consequence_and_cure(lack, name):
    privileges = replace(ALL, **LACKING[lack][0])
    found = named([*privilege_findings(privileges), *file_findings(privileges, "exact", "")])

    wrong = {name for name, finding in found.items() if not finding.ok}

    assert name in wrong
    assert wrong <= {name, "privileges"}
    assert found[name].consequence
    assert found[name].cure


@pytest.mark.parametrize(("machine", "page_size"), [("aarch64", 4096), ("x86_64", 16384), ("s390x", 4096)])
def test_an_untested_architecture_says_so(machine, page_size):
    found = named(kernel_findings(replace(FACTS, machine=machine, page_size=page_size)))

    assert not found["architecture"].ok
    assert "only x86-64 with 4 KiB is tested" in found["architecture"].consequence


@pytest.mark.parametrize(("counts_are", "ok"), [("exact", True), ("average", False), ("unknown", False)])
def test_what_kpagecount_means(counts_are, ok):
    found = named(file_findings(ALL, counts_are, "the way it was probed"))["kpagecount"]

    assert found.ok == ok
    assert "the way it was probed" in found.state
    assert bool(found.consequence) == (not ok)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "off: khugepaged/max_ptes_none is 511"),
        ({"khugepaged/max_ptes_none": "409"}, "on: folios with more than 409 zero-filled pages are split"),
        ({"khugepaged/max_ptes_none": "409", "shrink_underused": "0"}, "off: shrink_underused is 0"),
    ],
)
def test_splitting_of_underused_folios(changes, state):
    found = named(thp_findings(SETTINGS | changes, has_stats=True))["underused splitting"]

    assert found.state == state
    assert bool(found.consequence) == state.startswith("off")


def test_sizes_that_are_not_never_are_listed_by_size():
    found = named(thp_findings(SETTINGS, has_stats=False))

    assert found["mthp sizes"].state == "64kB always, 2048kB inherit"
    assert found["thp"].state == "enabled: madvise, shmem: never"
    assert not found["mthp stats"].ok


def test_a_kernel_without_thp():
    found = named(thp_findings({}, has_stats=False))

    assert found["thp"].ok
    assert "no transparent huge pages" in found["thp"].state


def test_swap_is_summed_in_iec_units():
    found = swap_finding("Filename Type Size Used Priority\n/dev/a partition 1048576 0 -2\n/b file 524288 0 -3\n")

    assert found.state == "1.5 GiB in 2 areas"


def test_cgroups(tmp_path):
    (tmp_path / "a").mkdir()

    assert cgroup_finding(Mount(str(tmp_path), "/", frozenset(), 2)).ok
    assert not cgroup_finding(Mount(str(tmp_path), "/docker/x", frozenset(), 2)).ok
    assert not cgroup_finding(None).ok


def test_sudo_is_missed_by_users_alone():
    user = replace(ALL, uid=1009)

    assert sudo_finding(user, "/usr/bin/sudo").ok
    assert not sudo_finding(user, None).ok
    assert sudo_finding(ALL, None).ok


def test_an_empty_machine_gives_findings_not_a_traceback(tmp_path):
    found = named(examine(proc=str(tmp_path), sys=str(tmp_path)))

    assert not found["pfns"].ok
    assert not found["kpageflags"].ok


@pytest.mark.live
@pytest.mark.skipif(os.geteuid() != 0, reason="live tests need root")
def test_root_on_this_machine():
    findings = examine()
    found = named(findings)

    assert len(found) == len(findings)
    assert found["pfns"].ok
    assert found["kpageflags"].ok == os.access("/proc/kpageflags", os.R_OK)
    assert found["kernel"].state == f"Linux {os.uname().release}"
    assert all(finding.state for finding in findings)
    assert all(finding.consequence for finding in findings if not finding.ok)


@pytest.mark.live
@pytest.mark.skipif(not os.path.exists("/proc/self/pagemap"), reason="live tests need Linux")
def test_nobody_on_this_machine():
    found = named(as_nobody(examine))

    for name in ("privileges", "pfns", "kpageflags", "kpagecount"):
        assert not found[name].ok
        assert found[name].cure
    assert found["pagemap_scan"].ok == named(examine())["pagemap_scan"].ok
