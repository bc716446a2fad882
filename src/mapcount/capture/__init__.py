"""Snapshots of a running machine: maps, pagemap, PAGEMAP_SCAN, kpageflags, kpagecount, kpagecgroup."""

from mapcount.callable_package import make_callable

make_callable(__name__, "mapcount.capture.session")
