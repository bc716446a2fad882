"""Scenario texts on the model of a recorded kernel, and its state as short words."""

from __future__ import annotations

from mapcount.machine.backend import ModelBackend
from mapcount.machine.page_tables import SWAP, Table
from mapcount.mapping.schema import Level
from mapcount.scenarios.parser import parse
from mapcount.scenarios.scenario import Settings
from mapcount.scenarios.steps import place_of

KERNELS = {
    "5.10": ("5.10.0-46-cloud-amd64", True),
    "6.1": ("6.1.0-56-cloud-amd64", True),
    "6.12": ("6.12.117+deb12-cloud-amd64", True),
    "6.16": ("6.16.12+deb13-cloud-amd64", True),
    "6.18": ("6.18.15+deb13-cloud-amd64", True),
    "7.3": ("7.3.4+deb13-cloud-amd64", True),
    "7.3 without page mapcounts": ("7.3.4", False),
}
"""Release and whether it counts per page: those whose guests were recorded."""


class Run:
    """A model after the steps so far."""

    def __init__(self, kernel, text="", **settings):
        release, page_mapcount = KERNELS[kernel]
        self.backend = ModelBackend(release, page_mapcount=page_mapcount)
        self.backend.begin(Settings(**({"swap": True} | settings)))
        self.machine = self.backend.machine
        self.text = ""
        self.results = self.do(text)

    def do(self, text):
        """Carry out more steps; return their results."""
        before = len(parse(self.text).steps)
        self.text += text + "\n"
        return [self.step(step) for step in parse(self.text).steps[before:]]

    def step(self, step):
        """Carry out one step, and look."""
        result = self.backend.do(step)
        self.seen = self.backend.observe(result)
        return result

    def mapped(self):
        """`p a0 f0+0*16` for a run of PTEs, `p a0 f0 PMD`; folios are named in this order."""
        self.names = {}
        words = []
        for row in self.seen.mappings:
            name = self.names.setdefault(row.folio, f"f{len(self.names)}")
            how = "PMD" if row.level is Level.PMD else f"+{row.first}*{row.nr_pages}"
            words.append(f"{row.process} {row.area}{row.page} {name}{how if how[0] == '+' else ' ' + how}")
        return words

    def word(self, row, name):
        """A word of the folio of the nth mapping."""
        return self.seen.folios[self.seen.mappings[row].folio].words[name]

    def swapped(self):
        """(process, area, page, exclusive) of every swap entry."""
        return [
            (mm.process, *place_of(pmd * 512 + at), bool(table.exclusive[at]))
            for mm in self.machine.mms.values()
            for pmd, table in sorted(mm.tables.items())
            if isinstance(table, Table)
            for at in range(512)
            if table.folio[at] == SWAP
        ]
