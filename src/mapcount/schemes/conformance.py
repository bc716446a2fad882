"""The test that a scheme's author runs: random histories against the brute-force truth. It ships with the package.

    from mapcount.schemes.conformance import run_conformance_test

    def test_my_scheme():
        run_conformance_test(MY_SCHEME)

After every change each reader is held to its promise about the quantity that it names, and every invariant of the scheme to
the truth; when all is unmapped every word must be what it was at first. A failure shows the shortest history found.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from mapcount.errors import ConformanceError
from mapcount.mapping.schema import Kind, Op
from mapcount.schemes.bind import BoundScheme, bind
from mapcount.schemes.history import Change, FolioSpec, Wish, World, random_wishes, unmap_all
from mapcount.schemes.scheme import Promise, Quantity, Reader, Scheme, Words
from mapcount.schemes.truth import truth_of

if TYPE_CHECKING:
    from mapcount.schemes.looked import Looked
    from mapcount.schemes.memory import Memory

PMD_ORDER = 3
"""The folios of the test are small: a PMD maps eight pages."""
MMS = 4
FOLIOS = [
    FolioSpec(PMD_ORDER, Kind.ANON),
    FolioSpec(PMD_ORDER, Kind.SHMEM),
    FolioSpec(PMD_ORDER, Kind.FILE),
    FolioSpec(2, Kind.ANON),
    FolioSpec(1, Kind.ANON),
    FolioSpec(0, Kind.ANON),
    FolioSpec(0, Kind.FILE),
    FolioSpec(PMD_ORDER, Kind.HUGETLB),
]
STAYS = {"PG_anon_exclusive", "PG_double_map", "mapcount_seqcount", "deferred", "partially_mapped"}
"""What is cleared when a folio is freed, not when it is unmapped; and what only counts up. A scheme may name more."""


def run_conformance_test(scheme: Scheme | BoundScheme, *, histories: int = 200, steps: int = 60, seed: int = 1) -> None:
    """
    Run so many random histories, and raise ConformanceError with the shortest failing one found.

    A Scheme is tested in all its variants. The same seed gives the same histories.
    """
    if isinstance(scheme, Scheme):
        for variant in ("", *scheme.variants):
            run_conformance_test(bind(scheme, variant), histories=histories, steps=steps, seed=seed)
        return
    rng = random.Random(seed)  # noqa: S311 (reproducible histories, nothing secret)
    supported = [spec for spec in FOLIOS if spec.order not in scheme.scheme.unsupported_orders]
    for number in range(histories):
        # One folio alone gets deep, all together get mixed up.
        folios = [supported[number // 2 % len(supported)]] if number % 2 else supported
        wishes = random_wishes(rng, folios, steps, MMS)
        broken = play(scheme, folios, wishes)
        if broken:
            wishes, broken = _shorten(scheme, folios, wishes, broken)
            told = "\n".join(f"  {wish}" for wish in wishes)
            raise ConformanceError(f"{scheme.id}: {broken}\nafter\n{told}\n(seed {seed}, history {number})")


def play(scheme: BoundScheme, folios: list[FolioSpec], wishes: list[Wish]) -> str | None:
    """Play a history and unmap everything; return what is broken first, or None."""
    world = World(folios, PMD_ORDER, anon_mixed_by_split_only=scheme.scheme.anon_mixed_by_split_only)
    memory = scheme.memory([spec.order for spec in folios], [spec.kind for spec in folios])
    at_first = memory.state()
    for wish in wishes:
        broken = _play_wish(scheme, world, memory, wish)
        if broken:
            return broken
    for wish in unmap_all(world):
        broken = _play_wish(scheme, world, memory, wish)
        if broken:
            return broken
    for name, values in memory.state().items():
        if name not in {*STAYS, *scheme.scheme.stays} and values != at_first[name]:
            return f"all is unmapped, and {name} is {values} instead of {at_first[name]}"
    return None


def _play_wish(scheme: BoundScheme, world: World, memory: Memory, wish: Wish) -> str | None:
    for change in world.grant(wish):
        memory.pinned[wish.folio] = world.pinned[wish.folio]
        order, base = memory.orders[change.folio], memory.base[change.folio]
        must_refuse = _must_refuse(scheme.scheme, world, memory, change)
        found_partial = memory.partially_mapped[change.folio]
        memory.looked[change.folio] = _looked(world, change)
        refused = scheme.functions["apply"](
            memory, change.op, change.level, change.folio, order, base + change.first, change.nr, change.mm
        )
        if refused != must_refuse:
            return f"{change} returned {refused} instead of {must_refuse}: pinned {world.pinned[wish.folio]}"
        if refused:
            world.refuse(change, wish.vma)
            memory.looked[change.folio] = _looked(world, change)
        elif change.op == Op.DUP and any(_exclusive(memory, change)):
            return f"{change} left pages of the order-{order} folio exclusive"
        broken = _finds_partial(scheme, world, memory, change, found_partial) or check_folio(
            scheme, world, memory, change.folio
        )
        if broken:
            return f"{broken} (folio {change.folio} after {change})"
    return None


def _looked(world: World, change: Change) -> Looked:
    """Return what look-ups find in a change that has taken effect."""
    return world.truths[change.folio].looked(change.mm, vma=change.vma, added=change.added)


def _must_refuse(scheme: Scheme, world: World, memory: Memory, change: Change) -> int:
    """A dup of anon pages that may be pinned is refused if one is exclusive, or if nothing says which are."""
    if change.op != Op.DUP or not scheme.refuses_pinned or not world.pinned[change.folio]:
        return 0
    says = "PG_anon_exclusive" in memory.words
    return int(world.folios[change.folio].kind == Kind.ANON and (not says or any(_exclusive(memory, change))))


def _exclusive(memory: Memory, change: Change) -> list[int]:
    """Return the flags that decide for the pages of a change: the head's for a PMD."""
    first = memory.base[change.folio] + change.first
    return memory.words.get("PG_anon_exclusive", [])[first : first + (change.nr if change.level == 0 else 1)]


def _finds_partial(scheme: BoundScheme, world: World, memory: Memory, change: Change, before: int) -> str | None:
    """
    A folio is marked partially mapped only if it is; and it is marked if a page lost its last mapping and none has two.

    Only schemes whose kernels have the flag are asked.
    """
    if "partially_mapped" not in scheme.functions or change.op != Op.UNMAP:
        return None
    truth, after = world.truths[change.folio], memory.partially_mapped[change.folio]
    partial = truth_of(Quantity.PARTIAL, truth)
    if after > before and not partial:
        return "it was marked partially mapped, and is not"
    counts = truth.pte_counts()
    marks = world.folios[change.folio].kind == Kind.ANON and truth.order > 1 and max(counts) <= 1
    if marks and partial and not after and 0 in counts[change.first : change.first + change.nr]:
        return "it is partially mapped, no page more than once, and was not marked"
    return None


def check_folio(scheme: BoundScheme, world: World, memory: Memory, folio: int) -> str | None:
    """Hold invariants and readers of a folio to the truth; return what is broken first, or None."""
    words, truth = Words(memory, folio), world.truths[folio]
    for invariant in scheme.scheme.invariants:
        broken = invariant.broken(words, truth)
        if broken:
            return f"{broken} [{invariant.text}]"
    for reader in scheme.scheme.readers:
        if truth.hugetlb and reader.quantity in {Quantity.PAGES_MAPPED, Quantity.PARTIAL}:
            continue
        for i in range(truth.nr_pages if reader.per_page else 1):
            page = memory.base[folio] + i
            value = int(scheme.functions[reader.name](memory, folio, truth.order, page))
            low, high = allowed(reader, world, folio, i)
            if not low <= value <= high:
                return f"{reader.name} of page {i} says {value}, promised is {reader.promise.value} of {low}..{high}"
    return None


def allowed(reader: Reader, world: World, folio: int, i: int) -> tuple[int, int]:
    """Return the least and the greatest value that a reader's promise allows."""
    truth = world.truths[folio]
    true = truth_of(reader.quantity, truth, i)
    everything = (-(1 << 62), 1 << 62)
    match reader.promise:
        case Promise.EXACT:
            return true, true
        case Promise.NEVER_LESS:
            return true, everything[1]
        case Promise.NEVER_MORE:
            return everything[0], true
        case Promise.BOUNDED if reader.bounds:
            return reader.bounds(truth)
    return everything


def _shorten(scheme: BoundScheme, folios: list[FolioSpec], wishes: list[Wish], broken: str) -> tuple[list[Wish], str]:
    """Leave out wishes, larger pieces first, as long as the history stays broken."""
    size = len(wishes)
    while size:
        start = 0
        while start < len(wishes):
            shorter = wishes[:start] + wishes[start + size :]
            still = play(scheme, folios, shorter)
            if still:
                wishes, broken = shorter, still
            else:
                start += size
        size //= 2
    return wishes, broken
