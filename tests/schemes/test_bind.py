"""A variant has its constants, its words and what holds of them; the module keeps its own."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from mapcount.errors import UsageError
from mapcount.mapping.schema import Kind, Level, Op
from mapcount.schemes import double_map, large_mapcount, pages_mapped
from mapcount.schemes.bind import bind
from mapcount.schemes.catalogue import find_scheme, scheme_ids


def words(scheme):
    return {place.word.name for place in scheme.scheme.places}


def test_constants_reach_the_functions_that_are_called():
    scheme = bind(large_mapcount.SCHEME, constants={"ENTIRELY_MAPPED": 64})
    m = scheme.memory([3], [Kind.ANON])
    scheme.functions["apply"](m, Op.FIRST_MAP, Level.PMD, 0, 3, 0, 1, 1)
    assert m.words["_nr_pages_mapped"] == [64]
    scheme.functions["apply"](m, Op.SPLIT_MAPPING, Level.PMD, 0, 3, 0, 8, 1)
    assert m.words["_nr_pages_mapped"] == [8]
    assert pages_mapped.ENTIRELY_MAPPED == 0x800000, "the module's is untouched"


def test_a_variant_has_words_and_invariants_of_its_own():
    assert "PG_anon_exclusive" in words(find_scheme("double-map"))
    assert "PG_anon_exclusive" not in words(find_scheme("double-map:before-5.19"))
    assert words(find_scheme("double-map:seqlock")) - words(find_scheme("double-map:before-5.19")) == {
        "mapcount_seqcount",
        "PG_locked",
    }
    assert words(find_scheme("nr-pages-mapped:sum")) ^ words(find_scheme("nr-pages-mapped")) == {
        "subpages_mapcount",
        "_nr_pages_mapped",
    }
    assert words(find_scheme("nr-pages-mapped:short-loop")) == words(find_scheme("nr-pages-mapped"))
    texts = {invariant.text for invariant in find_scheme("nr-pages-mapped:sum").scheme.invariants}
    assert not any("ENTIRELY_MAPPED" in text for text in texts)
    assert double_map.SCHEME.places != find_scheme("double-map:seqlock").scheme.places


def test_an_id_names_scheme_and_variant():
    for scheme_id in scheme_ids():
        assert find_scheme(scheme_id).id == scheme_id
    assert len(set(scheme_ids())) == len(scheme_ids())


def test_the_order_is_that_of_history():
    assert [scheme_id for scheme_id in scheme_ids() if ":" not in scheme_id] == [
        "original-thp",
        "double-map",
        "zero-one-many",
        "nr-pages-mapped",
        "table-pairs",
        "total-mapcount",
        "complete-mappings",
        "rmap-id",
        "large-mapcount",
        "mm-id",
        "no-page-mapcount",
        "total-mapped-pages",
    ]


def test_what_does_not_exist_is_told_with_what_does():
    with pytest.raises(UsageError, match="no variant 'x'; it has: unbatched"):
        find_scheme("large-mapcount:x")
    with pytest.raises(UsageError, match="mm-id has no variant 'x'; it has: none"):
        find_scheme("mm-id:x")
    with pytest.raises(
        UsageError, match=r"no scheme 'nonsense'; there are: original-thp, double-map, double-map:before-5\.19"
    ):
        find_scheme("nonsense")
    with pytest.raises(UsageError, match="no constant 'NONSENSE'"):
        bind(large_mapcount.SCHEME, constants={"NONSENSE": 1})


def test_a_scheme_must_have_every_operation(monkeypatch):
    module = type(sys)("half_a_scheme")
    module.new_ptes = large_mapcount.new_ptes
    monkeypatch.setitem(sys.modules, "half_a_scheme", module)
    with pytest.raises(UsageError, match="has no operation map_ptes: half_a_scheme must define it"):
        bind(replace(large_mapcount.SCHEME, module="half_a_scheme", readers=()))


def test_two_functions_of_one_name_are_refused(monkeypatch):
    def map_small(m, folio, page):
        return None

    monkeypatch.setattr("mapcount.schemes.anon_exclusive.folio_test_anon", map_small)
    with pytest.raises(UsageError, match="two functions are called map_small"):
        bind(replace(large_mapcount.SCHEME))
