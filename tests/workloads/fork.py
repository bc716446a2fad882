"""64 KiB folios after two forks: shared whole, in part by one, by halves, copied on write, dropped by all."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0])

from kit import PAGE, Workload

ORDER, PAGES = 4, 16
FOLIO = PAGE << ORDER

w = Workload()


def area(nr_folios):
    start = w.area(nr_folios * PAGES, order=ORDER)
    w.fill(start, nr_folios, ORDER)
    return start


alike = area(23)  # nobody touches it again
child_only = area(5)  # the parent drops half: nothing is wasted while the child maps it
splitowner = area(7)  # one keeps the first half, the other the second: shared, though no page is
rewritten = area(11)  # the first child writes to three pages of each
taken_over = area(3)  # the first child writes to all pages of each: the parent and the second child share the rest
all_drop = area(13)  # everyone drops the same five pages
left_alone = area(2)  # the parent keeps it, both children unmap it: one mm


def first(c):
    for i in range(7):
        c.drop(splitowner + i * FOLIO, PAGES // 2)
    for i in range(11):
        c.rewrite(rewritten + i * FOLIO + 5 * PAGE, 3)
    c.rewrite(taken_over, 3 * PAGES)
    for i in range(13):
        c.drop(all_drop + i * FOLIO + 2 * PAGE, 5)
    c.unmap(left_alone, 2 * PAGES)


def second(c):
    for start, nr_folios in ((child_only, 5), (splitowner, 7), (rewritten, 11), (left_alone, 2)):
        c.unmap(start, nr_folios * PAGES)
    for i in range(13):
        c.drop(all_drop + i * FOLIO + 2 * PAGE, 5)


w.fork("first", first)
w.fork("second", second)
for i in range(5):
    w.drop(child_only + i * FOLIO, PAGES // 2)
for i in range(7):
    w.drop(splitowner + i * FOLIO + PAGES // 2 * PAGE, PAGES // 2)
for i in range(13):
    w.drop(all_drop + i * FOLIO + 2 * PAGE, 5)
w.hold()
