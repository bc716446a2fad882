"""Random page frames: folios side by side and apart, with counts; and what a page-by-page look says of them."""

from hypothesis import strategies as st

from capture.fake_machine import FakeMachine

KINDS = ("anon", "shmem", "file", "hugetlb", "zero", "device")
SMALL_KINDS = ("anon", "shmem", "file", "ksm", "zero", "device")


@st.composite
def folio_lists(draw, nr_pfns=2048, max_order=9):
    """Folios as (head, order, kind, cgroup inode), each at a multiple of its size; the last may end where memory ends."""
    folios = []
    end = draw(st.integers(0, 37))
    while len(folios) < 40:
        order = draw(st.sampled_from([0, 0, 0, 1, 2, 3, 4, 4, 5, 6, 7, max_order]))
        head = -(-end // (1 << order)) * (1 << order)
        if head + (1 << order) > nr_pfns:
            break
        kind = draw(st.sampled_from(KINDS if order else SMALL_KINDS))
        folios.append((head, order, kind, draw(st.sampled_from([0, 7, 7, 11]))))
        end = head + (1 << order) + draw(st.sampled_from([0, 0, 0, 1, 3, 29]))
    return folios


def write_frames(directory, folios, counts, nr_pfns=2048):
    """Write a machine without processes whose frames are these folios; `counts` (pfn -> mappings) is kpagecount."""
    machine = FakeMachine(directory, nr_pfns)
    for head, order, kind, cgroup in folios:
        machine.add_folio(head, order, kind, cgroup=cgroup)
    machine.unseen.update(counts)
    machine.write()
    return machine
