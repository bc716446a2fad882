"""Settings of made-up trees, and kernel facts beside what uname and getconf say."""

import os
import subprocess

import pytest

from mapcount.capture.settings import chosen_word, pmd_order_of, read_kernel_facts, read_settings

THP = "kernel/mm/transparent_hugepage"


def write_tree(top, files):
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_settings_of_a_tree(tmp_path):
    write_tree(
        tmp_path / THP,
        {
            "enabled": "always [madvise] never\n",
            "defrag": "always defer defer+madvise [madvise] never\n",
            "use_zero_page": "1\n",
            "hpage_pmd_size": "2097152\n",
            "khugepaged/max_ptes_none": "511\n",
            "khugepaged/pages_collapsed": "1234567\n",
            "khugepaged/full_scans": "89\n",
            "hugepages-64kB/enabled": "always [inherit] madvise never\n",
            "hugepages-64kB/shmem_enabled": "always inherit within_size advise [never]\n",
            "hugepages-64kB/stats/nr_anon": "17\n",
        },
    )

    assert read_settings(sys=str(tmp_path)) == {
        "defrag": "madvise",
        "enabled": "madvise",
        "hpage_pmd_size": "2097152",
        "hugepages-64kB/enabled": "inherit",
        "hugepages-64kB/shmem_enabled": "never",
        "khugepaged/max_ptes_none": "511",
        "use_zero_page": "1",
    }


def test_a_kernel_without_thp_has_no_settings(tmp_path):
    assert read_settings(sys=str(tmp_path)) == {}


def test_a_setting_that_cannot_be_read_is_left_out(tmp_path):
    write_tree(tmp_path / THP, {"enabled": "[always] never\n"})
    (tmp_path / THP / "defrag").symlink_to(tmp_path / "nowhere")

    assert read_settings(sys=str(tmp_path)) == {"enabled": "always"}


@pytest.mark.parametrize(
    ("text", "word"), [("always defer+madvise [never]\n", "never"), ("[only]", "only"), ("511\n", "511"), ("", "")]
)
def test_chosen_word(text, word):
    assert chosen_word(text) == word


@pytest.mark.parametrize(
    ("page_size", "pmd_bytes", "order"),
    [(4096, "2097152", 9), (4096, "", 9), (65536, "536870912", 13), (65536, "", 13), (16384, "33554432", 11)],
)
def test_pmd_order(page_size, pmd_bytes, order):
    assert pmd_order_of(page_size, pmd_bytes) == order


def test_facts_agree_with_other_tools():
    facts = read_kernel_facts()

    def output(*command):
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert facts.kernel_release == output("uname", "-r")
    assert facts.kernel_version == output("uname", "-v")
    assert facts.machine == output("uname", "-m")
    assert facts.host == output("uname", "-n")
    assert facts.page_size == int(output("getconf", "PAGESIZE"))
    assert facts.mem_total_bytes == os.sysconf("SC_PHYS_PAGES") * facts.page_size
    assert len(facts.boot_id) == 36


def test_facts_of_an_empty_tree_say_that_they_are_unknown(tmp_path):
    facts = read_kernel_facts(proc=str(tmp_path), sys=str(tmp_path))

    assert (facts.boot_id, facts.mem_total_bytes) == ("", 0)
