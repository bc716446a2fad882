"""A survey with numbers as long as they get, made by hand: what the tables must show is written beside it."""

from __future__ import annotations

from mapcount.mapping.snapshot import Metadata
from mapcount.survey.types import (
    Check,
    CutRow,
    FolioRow,
    MemoryRow,
    OwnerRow,
    ProcessRow,
    SinceBootRow,
    SizeRow,
    Survey,
    VmaRow,
)

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
PAGE = 4096


def size_row(
    kind: str, order: int, folios: int, part: int = 0, shared: int = 0, unknown: int = 0, waste: int = 0
) -> SizeRow:
    size = folios * (PAGE << order)
    return SizeRow(
        kind=kind,
        order=order,
        folio_bytes=PAGE << order,
        folios=folios,
        bytes=size,
        mapped_bytes=size - waste,
        fully_mapped=folios - part,
        partially_mapped=part,
        unmapped_bytes=waste,
        wasted_bytes=waste if kind == "anon" else 0,
        exclusive=folios - shared - unknown,
        shared=shared,
        unknown=unknown,
        pmd_mapped_bytes=size if order == 9 else 0,
        pmd_only=folios if order == 9 else 0,
        pte_only=0 if order == 9 else folios,
        pmd_and_pte=0,
        aligned_bytes=size - waste,
        run_bytes=size - waste,
        contiguous_bytes={"65536": size // 2} if order >= 4 else {},
    )


def process_row(
    mm_id: int, comm: str, *, large: int, waste: int = 0, part: int = 0, complete: bool = True
) -> ProcessRow:
    return ProcessRow(
        mm_id=mm_id,
        pid=4194001 + mm_id,
        pids=str(4194001 + mm_id),
        comm=comm,
        cgroup=f"/system.slice/{comm}.service",
        complete=complete,
        rss_bytes=large + 7 * MIB,
        pss_bytes=large + 5 * MIB,
        uss_bytes=large + 3 * MIB,
        swap_bytes=0,
        hugetlb_bytes=0,
        anon_large_bytes=large,
        file_large_bytes=2 * MIB,
        pmd_mapped_bytes=large // 2,
        large_folios=large // (64 * KIB),
        partially_mapped=part,
        partial_view=3,
        wasted_bytes=waste,
    )


def check(name: str, ours: int, kernel: int, verdict: str = "equal", *, unit: str = "bytes", note: str = "") -> Check:
    return Check(
        name=name,
        ours=ours,
        kernel=kernel,
        unit=unit,
        verdict=verdict,
        difference=ours - kernel,
        low=kernel,
        high=kernel,
        note=note,
    )


def metadata(**more) -> Metadata:
    return Metadata(
        **{
            "host": "prime",
            "kernel_release": "6.18.44",
            "machine": "x86_64",
            "mem_total_bytes": 24 * GIB,
            "counts_are": "exact",
            "started_at": 1_790_000_000.0,
            "elapsed_s": 1.25,
            "cpu_s": 0.75,
            "peak_rss_bytes": 97 * MIB,
            "reads": 40_009,
            "bytes_read": 31 * MIB,
            "processes_seen": 41,
            "kernel_threads": 101,
            "settings": {"enabled": "madvise", "hugepages-64kB/enabled": "always", "hugepages-32kB/enabled": "never"},
            "verdicts": {"checked": 40_123, "moved": 7},
            "races": {"pages_disagreed": 113},
        }
        | more
    )


def sample(**more) -> Survey:
    sizes = [
        size_row("anon", 0, 1_299_709),
        size_row("anon", 4, 39_296, part=4_909, shared=1_009, waste=53 * MIB),
        size_row("anon", 9, 827, part=17, shared=13, waste=15 * MIB),
        size_row("anon", 5, 0),
        size_row("file", 2, 5_003, part=2_003, shared=4_999, waste=11 * MIB),
        size_row("shmem", 9, 3),
    ]
    processes = [process_row(i, f"worker-{i}", large=(50 - i) * MIB, waste=i * 100 * KIB, part=i) for i in range(31)]
    processes.append(process_row(31, "a-very-long-name-of-a-process", large=2 * GIB, waste=31 * MIB, part=4_909))
    checks = [
        check(
            "folios of 64kB vs nr_anon",
            39_296,
            39_299,
            "bounded",
            unit="folios",
            note="the kernel counts unmapped ones",
        ),
        check("PMD-mapped bytes vs AnonHugePages", 1_734_344_704, 1_734_344_704),
        *(check(f"Rss of pid {100 + i} (worker-{i})", 7 * MIB, 7 * MIB) for i in range(39)),
        check("Rss of pid 139 (firefox)", 7 * MIB, 9 * MIB, "bounded", note="it grew meanwhile"),
        check("Rss of pid 140 (bash)", 7 * MIB, 8 * MIB, "unexplained"),
    ]
    return Survey(
        **{
            "meta": metadata(),
            "sizes": sizes,
            "processes": processes,
            "cgroups": [owner_row("/system.slice/with/a/very/long/path/that/does/not/fit/in/the/line.service", 7)],
            "programs": [owner_row("worker", 31)],
            "cuts": [
                CutRow(order, PAGE << order, 1_000_003 >> order, order * 7 * MIB, (9 - order) * 7 * MIB)
                for order in range(10)
            ],
            "memory": [
                MemoryRow("anon", 13 * GIB, "found"),
                MemoryRow("wasted", 68 * MIB, "found", within="anon"),
                MemoryRow("free", 11 * GIB, "kernel"),
            ],
            "since_boot": [
                SinceBootRow("64kB", 1_000_003, 101, 17, 4_909, 0, 39_299, 4_909),
                SinceBootRow("128kB", 0, 0, 0, 0, 0, 0, -1),
            ],
            "checks": checks,
        }
        | more
    )


def owner_row(name: str, mms: int) -> OwnerRow:
    return OwnerRow(name, mms, 13 * GIB, 3 * GIB, 19 * MIB, GIB, 40_123, 4_926, 68 * MIB)


def vma_row(vma_id: int) -> VmaRow:
    path = "/usr/lib/x86_64-linux-gnu/a/long/way/down/to/libvery.so.1.2.3"
    start = 0x7F00_0000_0000
    return VmaRow(vma_id, 4194001, "worker", start, start + GIB, "rw-p", path, GIB, GIB, 0, GIB, 512, 17, 3, 15 * MIB)


def folio_row(folio_id: int) -> FolioRow:
    pids = "4194001 4194002 4194003 4194004 4194005 4194006 4194007"
    return FolioRow(folio_id, "anon", 9, "/a", 0, 511, 3_577, 7, "both", "shared", PAGE, "unseen_mapper", pids)
