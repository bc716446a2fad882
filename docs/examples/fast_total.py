"""fast-total: one counter of all mappings, updated by plain loads and stores. Deliberately broken."""

from mapcount.schemes.ops import read, store
from mapcount.schemes.scheme import Promise, Quantity, Reader, Scheme
from mapcount.schemes.words import folio_word

_total = folio_word("_total")


def new_ptes(m, folio, order, page, nr, mm):
    store(m, _total, folio, nr)


def map_ptes(m, folio, order, page, nr, mm):
    store(m, _total, folio, read(m, _total, folio) + nr)


def unmap_ptes(m, folio, order, page, nr, mm):
    store(m, _total, folio, read(m, _total, folio) - nr)


def dup_ptes(m, folio, order, page, nr, mm):
    map_ptes(m, folio, order, page, nr, mm)
    return 0


def new_pmd(m, folio, order, page, mm):
    store(m, _total, folio, 1)


def map_pmd(m, folio, order, page, mm):
    map_ptes(m, folio, order, page, 1, mm)


def unmap_pmd(m, folio, order, page, mm):
    unmap_ptes(m, folio, order, page, 1, mm)


def dup_pmd(m, folio, order, page, mm):
    map_ptes(m, folio, order, page, 1, mm)
    return 0


def split_pmd(m, folio, order, page, mm):
    map_ptes(m, folio, order, page, (1 << order) - 1, mm)


def new_hugetlb(m, folio, order, page, mm):
    store(m, _total, folio, 1)


def map_hugetlb(m, folio, order, page, mm):
    map_ptes(m, folio, order, page, 1, mm)


def unmap_hugetlb(m, folio, order, page, mm):
    unmap_ptes(m, folio, order, page, 1, mm)


def dup_hugetlb(m, folio, order, page, mm):
    map_ptes(m, folio, order, page, 1, mm)
    return 0


def folio_mapcount(m, folio, order, page):
    return read(m, _total, folio)


SCHEME = Scheme(
    id="fast-total",
    title="one counter, plain stores",
    module=__name__,
    places=(_total.at(16, page=1),),
    readers=(Reader("folio_mapcount", Quantity.ENTRIES, Promise.EXACT, "one word"),),
    when="never",
    referee="none",
    sources=(),
)
