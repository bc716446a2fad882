"""What this process may see: made-up records, an empty /proc, root, and a user without privilege."""

import ctypes
import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.unprivileged import NOBODY, as_nobody
from mapcount.capture.privileges import Privileges, look, parse_capabilities, shows_pfn

ALL = Privileges(
    uid=0,
    cap_sys_admin=True,
    cap_sys_ptrace=True,
    initial_user_namespace=True,
    initial_pid_namespace=True,
    pagemap_error="",
    pfns_visible=True,
    kpageflags_error="",
    kpagecount_error="",
    kpagecgroup_error="",
    kcmp_error="",
    pagemap_scan=True,
    smaps_rollup=True,
    container_hints=(),
    lockdown="none",
)
linux = pytest.mark.skipif(not os.path.exists("/proc/self/pagemap"), reason="live tests need Linux")


@given(st.sets(st.integers(0, 40)))
def test_capabilities_of_any_set(caps):
    status = f"Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t{sum(1 << cap for cap in caps):016x}\nCapBnd:\t0\n"

    assert parse_capabilities(status) == (21 in caps, 19 in caps)


def test_a_status_without_capabilities_has_none():
    assert parse_capabilities("Name:\tx\n") == (False, False)


@given(st.integers(1, (1 << 55) - 1), st.integers(0, (1 << 8) - 1))
def test_pfn_0_is_never_a_pfn(pfn, flags):
    entry = flags << 55

    assert not shows_pfn(entry | 1 << 63)
    assert shows_pfn(entry | 1 << 63 | pfn)
    assert not shows_pfn((entry | pfn) & ~(1 << 63))


def test_who_has_all_lacks_nothing():
    assert ALL.lacks() == {}
    assert ALL.sees_folios
    assert set(ALL.capabilities().values()) == {True}


LACKING = {
    "pagemap": ({"pagemap_error": "Permission denied"}, "/proc/self/pagemap"),
    "pfns": ({"pfns_visible": False, "cap_sys_admin": False, "uid": 1009}, "CAP_SYS_ADMIN"),
    "kpageflags": ({"kpageflags_error": "Permission denied"}, "/proc/kpageflags"),
    "kpagecount": ({"kpagecount_error": "No such file or directory"}, "CONFIG_PROC_PAGE_MONITOR"),
    "kpagecgroup": ({"kpagecgroup_error": "No such file or directory"}, "CONFIG_MEMCG"),
    "other_users": ({"cap_sys_ptrace": False}, "CAP_SYS_PTRACE"),
    "other_namespaces": ({"initial_pid_namespace": False}, "--pid=host"),
    "kcmp": ({"kcmp_error": "Function not implemented"}, "CONFIG_KCMP"),
    "pagemap_scan": ({"pagemap_scan": False}, "Linux 6.7"),
    "smaps_rollup": ({"smaps_rollup": False}, "Linux 4.14"),
}


@pytest.mark.parametrize("name", LACKING)
def test_each_lack_is_one_sentence_with_its_cure(name):
    changes, named = LACKING[name]
    lacks = replace(ALL, **changes).lacks()

    assert list(lacks) == [name]
    assert named in lacks[name]
    assert "; " in lacks[name]
    assert "\n" not in lacks[name]


def test_the_state_names_the_user_and_what_is_missing():
    user = replace(ALL, uid=1009, cap_sys_admin=False, cap_sys_ptrace=False)

    assert user.state() == "running as uid 1009 without CAP_SYS_ADMIN and CAP_SYS_PTRACE"
    assert user.cure() == "run it as root"
    assert "outside" in replace(user, uid=0, initial_user_namespace=False).cure()


def test_an_empty_proc_gives_errors_not_a_traceback(tmp_path):
    found = look(proc=str(tmp_path), sys=str(tmp_path), root=str(tmp_path))

    assert not found.sees_folios
    assert found.pagemap_error == found.kpageflags_error == found.kpagecgroup_error == "No such file or directory"
    assert found.container_hints == ()
    assert found.lockdown == ""


def test_signs_of_a_container(tmp_path):
    (tmp_path / "proc/self/ns").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/kubepods/besteffort/pod17\n")
    (tmp_path / "proc/self/ns/pid").symlink_to("pid:[4026532177]")
    (tmp_path / "proc/self/ns/user").symlink_to("user:[4026531837]")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/.containerenv").write_text("")
    (tmp_path / "sys/kernel/security").mkdir(parents=True)
    (tmp_path / "sys/kernel/security/lockdown").write_text("none [integrity] confidentiality\n")

    found = look(proc=str(tmp_path / "proc"), sys=str(tmp_path / "sys"), root=str(tmp_path))

    assert found.container_hints == ("/run/.containerenv", "name of its cgroup", "own pid namespace")
    assert (found.initial_user_namespace, found.initial_pid_namespace) == (True, False)
    assert found.lockdown == "integrity"


@pytest.mark.live
@pytest.mark.skipif(os.geteuid() != 0, reason="live tests need root")
def test_root_sees_folios_here():
    found = look()

    assert found.uid == 0
    assert found.cap_sys_admin == found.pfns_visible
    for name, error in (("kpageflags", found.kpageflags_error), ("kpagecount", found.kpagecount_error)):
        assert bool(error) == (not os.access(f"/proc/{name}", os.R_OK))


@pytest.mark.live
@linux
def test_nobody_is_told_that_pfns_are_hidden():
    found = as_nobody(look)

    assert found.pagemap_error == ""
    assert not found.pfns_visible
    assert not found.sees_folios
    assert found.kpageflags_error == "Permission denied"
    assert not found.cap_sys_admin
    assert {"pfns", "kpageflags", "kpagecount", "other_users"} <= set(found.lacks())
    assert f"uid {os.geteuid() or NOBODY}" in found.lacks()["pfns"]


@pytest.mark.live
@linux
@pytest.mark.skipif(os.geteuid() != 0, reason="live tests need root")
def test_root_of_a_user_namespace_is_not_taken_for_root():
    def look_from_inside():
        clone_newuser = 0x10000000
        if ctypes.CDLL(None, use_errno=True).unshare(clone_newuser):
            return None
        return look()

    found = as_nobody(look_from_inside)
    if found is None:
        pytest.skip("user namespaces are switched off here")

    assert found.cap_sys_admin
    assert not found.initial_user_namespace
    assert not found.pfns_visible
    assert "outside of this user namespace" in found.lacks()["pfns"]
