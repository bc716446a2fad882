"""A comparison made by hand, with hostile names."""

from __future__ import annotations

from mapcount.mapping.snapshot import Metadata
from mapcount.views.answers import Answers
from mapcount.views.comparison import CgroupNumber, Comparison, Found, Number, ProcessNumber
from report.html.machines import HOSTILE

NOW, NEXT = "mm-id", "no-page-mapcount"
MIB = 1 << 20


def spread(now, after):
    return {
        "values": {NOW: now, NEXT: after},
        "least": {NOW: now, NEXT: after - 1},
        "most": {NOW: now, NEXT: after + 1},
    }


def hostile_comparison():
    uss = spread(7 * MIB, 3 * MIB)
    return Comparison(
        meta=Metadata(host=HOSTILE, kernel_release="6.18.44", started_at=1_790_000_000.0, counts_are="exact"),
        running=NOW,
        notes=["One note."],
        schemes=[NOW, NEXT],
        histories=["usual", "reverse"],
        numbers=[
            Number("AnonPages", "bytes", 101 * MIB, **spread(101 * MIB, 103 * MIB)),
            Number("bit 56 set", "pages", 1009, **spread(1009, 997)),
        ],
        processes=[
            ProcessNumber("Uss", "bytes", 5 * MIB, mm_id=0, pid=101, comm=HOSTILE, **uss),
            ProcessNumber("bit 56 set", "pages", 101, mm_id=0, pid=101, comm=HOSTILE, **spread(101, 97)),
        ],
        cgroups=[CgroupNumber("anon", "bytes", 5 * MIB, cgroup=HOSTILE, **uss)],
        found=[
            Found(NOW, None, 53, 7 * MIB, 0, 0, 0, 7 * MIB, 0),
            Found(NEXT, None, 53, 7 * MIB, 13, MIB, 0, 7 * MIB, 2),
            Found(NEXT, 4, 23, 2 * MIB, 13, MIB, 0, 2 * MIB, 1),
        ],
        answers=[
            Answers(NOW, "mapped_shared", "shared", "exact", 1009, 0, 0, 0, 0, 0),
            Answers(NEXT, "mapped_shared", "shared", "never less", 1009, 13, 13, 17, 0, 1),
        ],
    )
