"""A machine that is nothing but a dictionary of pages: the judge of what runs, walks and expectations say.

Every folio has one page, but for anon memory advised `huge`: there the first touch of an aligned 2M block that is mapped whole
and empty brings a folio of 512 pages, by PTEs. Files, hugetlb and reclaim are beyond it.
"""

from __future__ import annotations

from itertools import count

from mapcount.mapping.schema import Kind, Level
from mapcount.scenarios.observation import FolioState, Mapped, Observation
from mapcount.scenarios.steps import (
    Access,
    Advice,
    Exit,
    Fork,
    Madvise,
    Mmap,
    Mprotect,
    Mremap,
    Munmap,
    Protection,
)

EEXIST, EFAULT = -17, -14


class PageMachine:
    """Backend of one dictionary a process: (area, page) to [protection, huge, (folio, page of it) or None]."""

    name, release, page_mapcount = "pages in a dictionary", "6.12", True

    def __init__(self):
        self.ended = 0
        self.words = {}

    def begin(self, settings):
        self.settings, self.mms = settings, {"p": {}}
        self.orders, self.numbers = {}, count()

    def do(self, step):
        mm = self.mms.get(step.process)
        pages = (
            [(step.span.area, page) for page in range(step.span.first, step.span.end)] if hasattr(step, "span") else []
        )
        match step:
            case Mmap():
                if any(page in mm for page in pages):
                    return EEXIST
                mm.update({page: [Protection.WRITE, step.advice is Advice.HUGEPAGE, None] for page in pages})
            case Access():
                return self._access(mm, pages, step.write)
            case Munmap():
                for page in pages:
                    mm.pop(page, None)
            case Madvise(advice=Advice.DONTNEED):
                for page in pages:
                    if page in mm:
                        mm[page][2] = None
            case Mprotect():
                for page in pages:
                    if page in mm:
                        mm[page][0] = step.protection
            case Mremap():
                moved = [mm.pop(page, None) for page in pages]
                for offset, entry in enumerate(moved):
                    mm.pop((step.to_area, step.to_page + offset), None)
                    if entry:
                        mm[step.to_area, step.to_page + offset] = entry
            case Fork():
                self.mms[step.child] = {page: list(entry) for page, entry in mm.items()}
            case Exit():
                del self.mms[step.process]
            case _:
                raise NotImplementedError(step)
        return 0

    def _access(self, mm, pages, write):
        for page in pages:
            protection, huge, at = mm.get(page, (Protection.NONE, False, None))
            if protection is Protection.NONE or (write and protection is Protection.READ):
                return EFAULT
            if at is None:
                self._bring(mm, page, huge)
            elif write and sum(entry[2] == at for other in self.mms.values() for entry in other.values()) > 1:
                mm[page][2] = (self._new(0), 0)
        return len(pages)

    def _bring(self, mm, page, huge):
        area, number = page
        block = [(area, number - number % 512 + at) for at in range(512)]
        if huge and all(one in mm and mm[one][1] and mm[one][2] is None for one in block):
            folio = self._new(9)
            for at, one in enumerate(block):
                mm[one][2] = (folio, at)
        else:
            mm[page][2] = (self._new(0), 0)

    def _new(self, order):
        folio = f"f{next(self.numbers)}"
        self.orders[folio] = order
        return folio

    def observe(self, result, *, proc=False):
        rows = []
        for name, mm in self.mms.items():
            for (area, page), (_, _, at) in sorted(mm.items()):
                if at is None:
                    continue
                last = rows[-1] if rows else None
                follows = last and (last.process, last.area, last.folio) == (name, area, at[0])
                if follows and (last.page + last.nr_pages, last.first + last.nr_pages) == (page, at[1]):
                    rows[-1] = Mapped(name, area, last.page, at[0], last.first, last.nr_pages + 1, Level.PTE)
                else:
                    rows.append(Mapped(name, area, page, at[0], at[1], 1, Level.PTE))
        folios = {
            row.folio: FolioState(self.orders[row.folio], Kind.ANON, dict(self.words))
            for row in sorted(rows, key=lambda row: int(row.folio[1:]))
        }
        return Observation(result, tuple(sorted(rows)), folios)

    def end(self):
        self.ended += 1
