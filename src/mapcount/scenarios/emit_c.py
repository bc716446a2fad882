"""A scenario as one self-contained C program in the manner of the kernel's selftests: TAP output, nothing but libc."""

from __future__ import annotations

import re
import textwrap
from importlib.resources import files
from typing import TYPE_CHECKING

import mapcount
from mapcount.errors import ScenarioError
from mapcount.mapping.schema import Kind
from mapcount.scenarios.expectations import form_of
from mapcount.scenarios.headers import PMD_ORDER
from mapcount.scenarios.scenario import FIRST_PROCESS
from mapcount.scenarios.steps import (
    AREA_BASE,
    AREA_BYTES,
    Access,
    Advice,
    Exit,
    Expect,
    Fallocate,
    Fork,
    Madvise,
    Memfd,
    Migrate,
    Mmap,
    Mprotect,
    Mremap,
    Munmap,
    Protection,
    Reclaim,
)
from mapcount.scenarios.text import step_text, text
from mapcount.scenarios.values import Form

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.scenarios.scenario import Scenario, Settings
    from mapcount.scenarios.steps import Span, Step

MAX_STEPS = 2000
PUD_PAGES = 1 << 2 * PMD_ORDER
_PROTECTIONS = {
    Protection.NONE: "PROT_NONE",
    Protection.READ: "PROT_READ",
    Protection.WRITE: "PROT_READ | PROT_WRITE",
}
_ASLEEP_MS = (1 << 32) - 1


def emit_c(scenario: Scenario) -> str:
    """
    Return the program. It changes settings as root and puts them back, and skips what it cannot do or check by name.

    Raises ScenarioError for more than MAX_STEPS steps: nobody reads such a program.
    """
    if len(scenario.steps) > MAX_STEPS:
        raise ScenarioError(
            f"{scenario.name} has {len(scenario.steps)} steps: more than {MAX_STEPS} are too many for C"
        )
    slots = _Slots()
    calls = [slots.call(number, step) for number, step in enumerate(scenario.steps)]
    cases = [_case(step, slots.children.get(number, 0)) for number, step in enumerate(scenario.steps)]
    expectations = sum(isinstance(step, Expect) for step in scenario.steps)
    if not expectations:
        calls.append('printf("ok 1 all steps were done\\n");')
    made = dict.fromkeys(step.file for step in scenario.steps if isinstance(step, Memfd))
    moves = scenario.settings.nodes > 1 or any(isinstance(step, Migrate) for step in scenario.steps)
    migration = _text_of("reproducer_migrate.c") if moves else ""
    parts = {
        "HEAD": _head(scenario),
        "AREA_BASE": hex(AREA_BASE),
        "AREA_BYTES": hex(AREA_BYTES),
        "NR_PROCESSES": str(len(slots.names)),
        "NR_TESTS": str(expectations or 1),
        "NAMES": ", ".join(f'"{name}"' for name in slots.names),
        "FOLIO_PAGES": str(PUD_PAGES if scenario.settings.gigantic_pages else 1 << PMD_ORDER),
        "HELPERS": "".join(f"static int fd_{name} = -1;\n" for name in made) + migration,
        "PERFORM": "".join(f"\tcase {number}:\n\t\treturn {does};\n" for number, does in enumerate(cases) if does),
        "SETTINGS": "".join(f"\t{line}\n" for line in _settings(scenario.settings)),
        "AREAS": ", ".join(_areas(scenario)),
        "SCENARIO": "".join(f"\t{call}\n" for call in calls),
    }
    program = _text_of("reproducer.c")
    return re.sub(r"@([A-Z_]+)@\n?", lambda found: _end(parts[found[1]], found[0]), program)


def _text_of(name: str) -> str:
    return (files("mapcount.scenarios") / name).read_text(encoding="utf-8")


def _end(part: str, mark: str) -> str:
    """Return what takes the place of a mark: the end of its line goes with it where the part has one."""
    return part if not mark.endswith("\n") or part.endswith("\n") or not part else f"{part}\n"


class _Slots:
    """Numbers of processes: each that is born has its own, also if the name was there before."""

    def __init__(self) -> None:
        self.names = [FIRST_PROCESS]
        self.children: dict[int, int] = {}
        """By the number of the fork."""
        self._now = {FIRST_PROCESS: 0}

    def call(self, number: int, step: Step) -> str:
        """Return the statement by which the director has a step done."""
        line = f'"{step_text(step)}"'
        match step:
            case Expect():
                call = self._expect(step, line)
            case Reclaim():
                call = "step_reclaim();"
            case Fork():
                parent = self._now[step.process]
                child = self._now[step.child] = self.children[number] = len(self.names)
                self.names.append(step.child)
                call = f"step_fork({parent}, {number}, {child}, {line});"
            case Exit():
                call = f"step_exit({self._now.pop(step.process)}, {line});"
            case _:
                call = f"step({self._now[step.process]}, {number}, {line});"
        return call

    def _expect(self, step: Expect, line: str) -> str:
        slot = self._now[step.process] if step.process else -1
        address = f"AREA('{step.area}', {step.page})" if step.area else "0"
        value = step.value or ("yes" if form_of(step.what) is Form.YES_NO else "")
        return f'expect({slot}, {address}, "{step.what}", "{value}", {line});'


def _case(step: Step, child: int) -> str:
    """Return the expression by which a process does a step; empty for what the director does. `child`: of a fork."""
    match step:
        case Mmap():
            does = _mmap(step)
        case Memfd():
            does = f'make_file(&fd_{step.file}, "{step.file}", {step.nr_pages})'
        case Fallocate():
            mode = "FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE" if step.punch else "0"
            at, size = f"(off_t)({step.first} * PAGE)", f"(off_t)({step.end - step.first} * PAGE)"
            does = f"status(fallocate(fd_{step.file}, {mode}, {at}, {size}))"
        case Access():
            does = f"access_pages({_address(step.span)}, {step.span.nr_pages}, {int(step.write)})"
        case Munmap():
            does = f"status(munmap({_place(step.span)}))"
        case Madvise():
            does = f"status(madvise({_place(step.span)}, {_advice(step.advice)}))"
        case Mprotect():
            does = f"status(mprotect({_place(step.span)}, {_PROTECTIONS[step.protection]}))"
        case Mremap():
            does = f"move({_address(step.span)}, {step.span.nr_pages}, AREA('{step.to_area}', {step.to_page}))"
        case Migrate():
            does = f"move_to_node({_address(step.span)}, {step.span.nr_pages}, {step.node})"
        case Fork():
            does = f"fork_as({child})"
        case _:
            does = ""
    return does


def _mmap(step: Mmap) -> str:
    flags = ["MAP_SHARED" if step.shared else "MAP_PRIVATE"]
    if not step.file:
        flags.append("MAP_ANONYMOUS")
    if step.kind is Kind.HUGETLB:
        flags += ["MAP_HUGETLB", "MAP_HUGE_1GB" if step.gigantic else "MAP_HUGE_2MB"]
    file = f"fd_{step.file}" if step.file else "-1"
    advice = _advice(step.advice) if step.advice else "0"
    return f"map({_address(step.span)}, {step.span.nr_pages}, {' | '.join(flags)}, {file}, {step.file_page}, {advice})"


def _address(span: Span) -> str:
    return f"AREA('{span.area}', {span.first})"


def _place(span: Span) -> str:
    return f"(void *){_address(span)}, {span.nr_pages} * PAGE"


def _advice(advice: Advice) -> str:
    return f"MADV_{advice.name}"


def _areas(scenario: Scenario) -> list[str]:
    """Return what of each area is ever used, as initialisers; one that is empty if none is."""
    used: dict[str, tuple[int, int]] = {}
    for step in scenario.steps:
        ends = []
        if isinstance(step, Mmap):
            ends.append((step.span.area, step.span.first, step.span.end))
        if isinstance(step, Mremap):
            ends.append((step.to_area, step.to_page, step.to_page + step.span.nr_pages))
        for area, first, end in ends:
            low, high = used.get(area, (first, end))
            used[area] = (min(low, first), max(high, end))
    return [f"{{ '{area}', {first}, {end} }}" for area, (first, end) in sorted(used.items())] or ["{ 'a', 0, 0 }"]


def _settings(settings: Settings) -> Iterator[str]:
    """Yield statements: what is not named is off, and khugepaged sleeps."""
    if settings.nodes > 1:
        yield f"need_nodes({settings.nodes});"
    yield 'set(THP "khugepaged/pages_to_scan", "1", 0);'
    yield 'set(THP "khugepaged/defrag", "0", 0);'
    for name in ("scan", "alloc"):
        yield f'set(THP "khugepaged/{name}_sleep_millisecs", "{_ASLEEP_MS}", 0);'
    yield f'set(THP "khugepaged/max_ptes_none", "{settings.max_ptes_none}", 0);'
    yield 'set(THP "defrag", "always", 0);'
    yield f'set(THP "use_zero_page", "{int(settings.huge_zero_page)}", 0);'
    for name, words in (("enabled", settings.anon), ("shmem_enabled", settings.shmem)):
        yield f'set_all(THP "hugepages-*/{name}", THP "hugepages-{4 << PMD_ORDER}kB/{name}");'
        for order, word in words.items():
            if order != PMD_ORDER:
                yield f'set(THP "hugepages-{4 << order}kB/{name}", "{word}", 1);'
    yield f'set(THP "enabled", "{settings.thp}", {int(settings.thp != "never")});'
    shmem = settings.shmem.get(PMD_ORDER, "never")
    yield f'set(THP "shmem_enabled", "{shmem}", {int(shmem != "never")});'
    if settings.hugetlb_pages:
        yield f'set("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "{settings.hugetlb_pages}", 1);'
    if settings.gigantic_pages:
        yield f'set("/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "{settings.gigantic_pages}", 1);'
    if settings.swap:
        yield "need_swap();"


def _head(scenario: Scenario) -> str:
    said = textwrap.wrap(f"{scenario.name}: {scenario.says}".strip(": "), 76)
    how = textwrap.wrap(
        f"Made by mapcount {mapcount.__version__} (mapcount run --emit-c). Build: gcc -O2 -o reproducer THIS.c. As root it "
        "switches on what it needs of transparent huge pages and puts it back at the end, and checks what /proc/kpagecount and "
        "/proc/PID/pagemap show. What cannot be checked is skipped by name. The scenario:",
        76,
    )
    lines = [*said, "", *how, "", *text(scenario).splitlines()]
    inside = "\n".join(f" * {line}".rstrip() for line in lines)
    # Nothing in it may end the comment, or begin another.
    inside = inside.replace("*/", "* /").replace("/*", "/ *")
    return f"/*\n{inside}\n */\n"
