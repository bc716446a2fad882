"""smaps: a made-up text field by field, and any text at all."""

from hypothesis import given
from hypothesis import strategies as st

from mapcount.capture.tier_smaps import SmapsVma, parse_smaps

SMAPS = b"""\
7f0000000000-7f0000600000 rw-p 00000000 00:00 0                          [heap] 1-2 odd name
Size:               6144 kB
KernelPageSize:        4 kB
Rss:                4100 kB
AnonHugePages:      2048 kB
ShmemPmdMapped:        0 kB
Swap:                 12 kB
VmFlags: rd wr mr mw me ac hg
7f0040000000-7f0040400000 rw-s 00000000 00:0e 77                         /dev/hugepages/x
Size:               4096 kB
Rss:                   0 kB
AnonHugePages:         0 kB
Shared_Hugetlb:     2048 kB
Private_Hugetlb:    2048 kB
Swap:                  0 kB
VmFlags: rd wr sh mr mw me ms de ht
7ffd00000000-7ffd00004000 r--p 00000000 00:00 0                          [vvar]
Rss:                   0 kB
Swap:                  0 kB
VmFlags: rd mr pf io de dd
7ffd00008000-7ffd0000a000 rw-p 00000000 00:00 0
Rss:                   0 kB
Swap:                  8 kB
VmFlags: rd mr mw me
"""
KIB = 1024


def test_smaps_by_vma():
    vmas, found = parse_smaps(SMAPS)

    assert found == {
        0x7F0000000000: SmapsVma(2048 * KIB, 4100 * KIB, empty=False, pfnmap=False),
        0x7F0040000000: SmapsVma(4096 * KIB, 4096 * KIB, empty=False, pfnmap=False),
        0x7FFD00000000: SmapsVma(0, 0, empty=True, pfnmap=True),
        0x7FFD00008000: SmapsVma(0, 0, empty=False, pfnmap=False),
    }
    assert vmas.start.tolist() == list(found)
    assert vmas.end[2] == 0x7FFD00004000
    assert vmas.path[2] == "[vvar]"


@given(st.binary(max_size=300))
def test_no_text_is_too_strange_to_parse(text):
    parse_smaps(text)
