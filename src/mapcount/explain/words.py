"""The words that answers use, each explained to a reader who knows what a page table is, and nothing more."""

from __future__ import annotations

WORDS: dict[str, str] = {
    "folio": "memory that the kernel manages as one: 2^n pages in a row; a large one has more than one page",
    "PTE": "an entry of the lowest page table: it maps one page",
    "PMD": "an entry one level up; it can map 2 MiB, a whole folio of 512 pages, at once",
    "THP": "transparent huge page: a folio of 2 MiB that nobody had to ask for",
    "mapcount": "how many entries of page tables, of all processes, map a folio or a page",
    "refcount": "how many users a folio has, each mapping being one; at 0 it is freed",
    "pin": "a use that is no mapping: a device or the kernel reads and writes the page meanwhile",
    "mm": "the address space of a process, with its page tables",
    "struct page": "64 bytes that the kernel keeps for every page of memory; counters live there",
    "rmap": "reverse mapping: the code that counts, and finds, who maps a folio",
    "COW": "copy on write: after fork parent and child share pages until one of them writes",
    "LOCKed": "an atomic change of memory: no other CPU gets in between, and it costs more than a plain one",
    "page-table lock": "guards one page table of one mm; another mm has its own",
    "folio lock": "guards a folio against some changes; fork and unmapping do not take it",
    "torn": "a value put together from several reads, which was never true at any moment",
    "stale": "a value that was true when it was read and may not be any more",
    "partially mapped": "some pages of a folio are mapped by somebody, and others by nobody",
    "deferred split": "a list of folios to be split up when memory is short, so that unmapped pages can be freed",
    "Pss": "of smaps: the memory of a process, each page divided by how often it is mapped",
    "Uss": "pages that this process alone maps: Private of smaps",
}
