"""What a kernel release is taken for, and that recorded kernels do what their era says."""

from __future__ import annotations

from dataclasses import fields

import pytest

from mapcount.errors import UsageError
from mapcount.scenarios.text import step_text
from mapcount.schemes.catalogue import find_scheme
from mapcount.schemes.eras import FACTS, Bit56, Policies, Quirks, Reuse, era_of, parse_release
from schemes import golden


@pytest.mark.parametrize(
    ("release", "scheme"),
    [
        ("4.5.0", "double-map:before-5.19"),
        ("4.19.0-27-amd64", "double-map:before-5.19"),
        ("5.15.0-1051-aws", "double-map:before-5.19"),
        ("5.18", "double-map:before-5.19"),
        ("5.19", "double-map"),
        ("6.1.0-56-cloud-amd64", "double-map"),
        ("6.2.12", "nr-pages-mapped"),
        ("6.9.12-200.fc40.x86_64", "nr-pages-mapped"),
        ("6.10-rc1", "large-mapcount:unbatched"),
        ("6.11.11+bpo-amd64", "large-mapcount:unbatched"),
        ("6.12.107+deb12-amd64", "large-mapcount"),
        ("6.14.0", "large-mapcount"),
        ("6.15", "mm-id"),
        ("6.18.44-fc-v782", "mm-id"),
        ("7.3.4+deb13-cloud-amd64", "mm-id"),
    ],
)
def test_a_release_has_a_scheme_that_exists(release, scheme):
    era = era_of(release, page_mapcount=None)
    assert era.scheme == find_scheme(era.scheme).id == scheme
    assert (era.release, era.version) == (release, parse_release(release))


def test_the_config_decides_from_6_15_on():
    assert era_of("6.18.1", page_mapcount=False).scheme == "no-page-mapcount"
    assert era_of("6.18.1", page_mapcount=True).scheme == "mm-id"
    assert not era_of("6.18.1", page_mapcount=True).notes
    assert "not known: the default is assumed" in era_of("6.18.1", page_mapcount=None).notes[0]
    assert not era_of("6.12.1", page_mapcount=None).notes, "there was no choice"
    with pytest.raises(UsageError, match=r"6\.14\.2 always counts per page: CONFIG_NO_PAGE_MAPCOUNT came with 6\.15"):
        era_of("6.14.2", page_mapcount=False)


@pytest.mark.parametrize("release", ["4.4.302", "3.10.0-1160.el7.x86_64", "2.6.32"])
def test_what_came_before_is_refused(release):
    with pytest.raises(UsageError, match=r"from 4\.5 on, not before"):
        era_of(release, page_mapcount=None)


@pytest.mark.parametrize("release", ["", "linux", "6", "v6.12", "6.x", "6.", "-6.12", "6.123456", "99999.1"])
def test_what_is_no_release_is_refused(release):
    with pytest.raises(UsageError, match="is no kernel release"):
        era_of(release, page_mapcount=None)


def test_two_numbers_are_numbers():
    assert parse_release("6.9.1") < parse_release("6.10") < parse_release("6.12.107+deb12") < parse_release("10.0")


def test_a_newer_kernel_is_taken_for_the_last_that_was_read():
    new, read = era_of("7.9.1", page_mapcount=True), era_of("7.3.0", page_mapcount=True)
    assert (new.scheme, new.policies, new.quirks) == (read.scheme, read.policies, read.quirks)
    assert "taken for 7.3" in new.notes[0]
    assert not read.notes


def values(release, name, *, page_mapcount=None):
    era = era_of(release, page_mapcount=page_mapcount)
    return getattr(era.policies, name, None) if hasattr(era.policies, name) else getattr(era.quirks, name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "reuse",
            {
                "5.8": Reuse.MAPCOUNT,
                "5.9": Reuse.REFCOUNT,
                "6.8": Reuse.REFCOUNT,
                "6.9": Reuse.NEVER,
                "6.12": Reuse.NEVER,
                "6.14": Reuse.NEVER,
                "6.15": Reuse.OWNER,
                "7.3": Reuse.OWNER,
            },
        ),
        ("reuse_pmd", {"5.17": Reuse.MAPCOUNT, "5.18": Reuse.REFCOUNT, "7.3": Reuse.REFCOUNT}),
        ("cow_splits_pmd", {"5.7": False, "5.8": True}),
        ("fork_refuses_pinned", {"5.8": False, "5.9": True}),
        ("queues_below_pmd", {"6.7": False, "6.8": True}),
        ("queues_fully_unmapped", {"6.9": True, "6.10": False}),
        ("partially_mapped_flag", {"6.11": False, "6.12": True}),
        ("queues_at_fault", {"6.11": False, "6.12": True}),
        ("batches_fork", {"6.8": False, "6.9": True}),
        ("batches_unmap", {"6.8": False, "6.9": True}),
        ("batches_split", {"6.7": False, "6.8": True}),
        (
            "bit56",
            {
                "6.1": Bit56.FIRST_PAGE,
                "6.10": Bit56.FIRST_PAGE,
                "6.11": Bit56.PAGE,
                "6.14": Bit56.PAGE,
                "6.15": Bit56.FIRST_PAGE,
                "7.3": Bit56.FIRST_PAGE,
            },
        ),
        ("whole_folio_mapped", {"6.14": False, "7.3": False}),
    ],
)
def test_from_when_on_a_fact_holds(name, expected):
    assert {release: values(release, name) for release in expected} == expected


def test_without_counts_per_page_proc_asks_the_folio():
    quirks = era_of("7.3", page_mapcount=False).quirks
    assert quirks == Quirks(Bit56.FOLIO, True, True, True, pss_by_entry=False)


def test_every_fact_has_a_name_that_is_read_a_beginning_and_a_source():
    names = {field.name for field in (*fields(Policies), *fields(Quirks))} | {"scheme"}
    assert {fact.name for fact in FACTS} == names
    for name in names:
        assert min(fact.since for fact in FACTS if fact.name == name) == (4, 5)
    assert all(fact.source for fact in FACTS)
    assert era_of("6.12", page_mapcount=True).sources.keys() == names
    order = [(fact.name, fact.since) for fact in FACTS]
    for name in names:
        since = [s for n, s in order if n == name]
        assert since == sorted(since), "the later fact is the later line"


@pytest.mark.parametrize(("kernel", "reuses"), [("5.10", True), ("6.1", True), ("6.12", False), ("6.18", True)])
def test_recorded_kernels_reuse_as_their_era_says(kernel, reuses):
    """cow-parent-gone-2M: the child's PMD is split, the parent exits, the child writes: is that its own page or a copy?"""
    trace = golden.load(kernel)
    (recorded,) = [one for one in trace.recorded if one.scenario.name == "cow-parent-gone-2M"]
    write = [step_text(step) for step in recorded.scenario.steps].index("c: write a[0]")
    copied = "f1" in {row.folio for row in recorded.observations[write].mappings}
    era = era_of(trace.kernel, page_mapcount=trace.page_mapcount)
    alone = era.policies.reuse is Reuse.OWNER
    assert copied is not alone
    assert (era.policies.reuse is not Reuse.NEVER) is reuses
