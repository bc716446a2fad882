"""Settings of the host: which are written for a scenario, and that they are put back however a run ends. On a made-up tree."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kernels.fake_sysfs import FOUND, POOL, THP, make, values
from mapcount.errors import KernelFeatureError, NotAllowedError, UsageError
from mapcount.kernels import host_watchdog
from mapcount.kernels.host_settings import HostSettings, apply_settings, thp_values
from mapcount.scenarios.scenario import Settings
from waiting import HANG_S, wait_for

SLEEPS = "4294967295"


@pytest.fixture
def tree(tmp_path):
    make(tmp_path)
    return tmp_path


def hold(tree, **options):
    return HostSettings(tree / "lock", **options)


def apply(held, tree, settings):
    apply_settings(held, settings, sys=f"{tree}/sys", proc=f"{tree}/proc")


def test_what_is_named_is_on_and_all_else_is_off(tree):
    found = values(tree)
    with hold(tree) as held:
        apply(held, tree, Settings(anon={4: "always"}, shmem={9: "within_size", 1: "advise"}, max_ptes_none=13))
        changed = values(tree)
        assert {name: value for name, value in changed.items() if value != found[name]} == {
            f"{THP}/defrag": "always",
            f"{THP}/shmem_enabled": "within_size",
            f"{THP}/use_zero_page": "0",
            f"{THP}/khugepaged/pages_to_scan": "1",
            f"{THP}/khugepaged/defrag": "0",
            f"{THP}/khugepaged/max_ptes_none": "13",
            f"{THP}/khugepaged/scan_sleep_millisecs": SLEEPS,
            f"{THP}/khugepaged/alloc_sleep_millisecs": SLEEPS,
            f"{THP}/hugepages-64kB/enabled": "always",
            f"{THP}/hugepages-2048kB/enabled": "inherit",
            "sys/kernel/mm/ksm/run": "0",
            "proc/sys/kernel/numa_balancing": "0",
        }
    assert values(tree) == found


def test_a_scenario_that_names_nothing_has_thp_on_madvise_alone(tree):
    with hold(tree) as held:
        apply(held, tree, Settings())
        now = values(tree)
    assert now[f"{THP}/enabled"] == "madvise"
    assert now[f"{THP}/hugepages-64kB/enabled"] == "never"
    assert now[f"{THP}/hugepages-8kB/shmem_enabled"] == "never"
    assert now[f"{THP}/shmem_enabled"] == "never"
    assert now[f"{POOL}/nr_hugepages"] == "7"


def test_khugepaged_sleeps_before_anything_is_switched_on(tree):
    names = [path.removeprefix(f"{tree}/") for path, _ in thp_values(Settings(thp="always"), sys=f"{tree}/sys")]
    last = max(number for number, name in enumerate(names) if "khugepaged" in name)
    assert last < min(number for number, name in enumerate(names) if name.endswith("enabled"))


def test_huge_zero_page_is_used_where_it_is_asked_for(tree):
    with hold(tree) as held:
        apply(held, tree, Settings(huge_zero_page=True))
        assert values(tree)[f"{THP}/use_zero_page"] == "1"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (Settings(anon={2: "always"}), "hugepages-16kB/enabled is missing"),
        (Settings(anon={1: "always"}), "hugepages-8kB/enabled is missing"),
        (Settings(shmem={3: "always"}), "hugepages-32kB/shmem_enabled is missing"),
    ],
)
def test_a_size_that_the_kernel_lacks_is_named_and_nothing_stays_changed(tree, settings, named):
    found = values(tree)
    with pytest.raises(KernelFeatureError, match=named), hold(tree) as held:
        apply(held, tree, settings)
    assert values(tree) == found


@pytest.mark.parametrize(
    ("gone", "settings", "named"),
    [
        (f"{THP}/enabled", Settings(), "without transparent huge pages"),
        (f"{THP}/shmem_enabled", Settings(shmem={9: "always"}), "no huge pages in shmem"),
        (f"{POOL}/free_hugepages", Settings(hugetlb_pages=1), "without hugetlb"),
        (f"{THP}/use_zero_page", Settings(), "use_zero_page cannot be set"),
    ],
)
def test_a_kernel_without_it(tree, gone, settings, named):
    (tree / gone).unlink()
    found = values(tree)
    with pytest.raises(KernelFeatureError, match=named), hold(tree) as held:
        apply(held, tree, settings)
    assert values(tree) == found


def test_the_hugetlb_pool_grows_by_what_is_not_free_in_it(tree):
    with hold(tree) as held:
        # 7 are there, 3 of them neither in use nor promised; a plain file does not make pages, so the pool stays short.
        with pytest.raises(KernelFeatureError, match="has 3 free pages where 13 are needed"):
            apply(held, tree, Settings(hugetlb_pages=13))
        assert values(tree)[f"{POOL}/nr_hugepages"] == "17"
        assert values(tree)[f"{POOL}/nr_overcommit_hugepages"] == "0"
    assert values(tree)[f"{POOL}/nr_hugepages"] == "7"
    with hold(tree) as held:
        apply(held, tree, Settings(hugetlb_pages=3))
        assert values(tree)[f"{POOL}/nr_hugepages"] == "7"


def test_what_the_kernel_changes_along_with_it_is_put_back(tree):
    with hold(tree) as held:
        apply(held, tree, Settings(thp="always"))
        (tree / "proc/sys/vm/min_free_kbytes").write_text("90112")
    assert values(tree)["proc/sys/vm/min_free_kbytes"] == "67584"


def test_settings_are_put_back_after_an_exception_newest_first(tree):
    path = str(tree / THP / "defrag")
    with contextlib.suppress(ZeroDivisionError), hold(tree) as held:
        held.set(path, "defer")
        held.set(path, "never")
        raise ZeroDivisionError
    assert values(tree)[f"{THP}/defrag"] == "madvise"
    assert not (tree / "lock").read_text()


def test_what_cannot_be_put_back_is_named_and_kept_for_the_next_run(tree):
    path = tree / THP / "defrag"
    held = hold(tree)
    held.set(str(path), "never")
    path.unlink()
    path.mkdir()
    with pytest.raises(KernelFeatureError, match="defrag could not be put back to 'madvise'"):
        held.close()
    path.rmdir()
    path.write_text("always defer madvise [never]")
    hold(tree).close()
    assert path.read_text() == "madvise"


def test_a_setting_that_is_gone_for_good_is_no_failure(tree):
    path = tree / THP / "defrag"
    with hold(tree) as held:
        held.set(str(path), "never")
        path.unlink()
    assert not (tree / "lock").read_text()


def test_a_cgroup_is_removed_once_it_is_empty(tree):
    cgroup = tree / "cgroup"
    with hold(tree) as held:
        held.remove_later(str(cgroup))
        cgroup.mkdir()
    assert not cgroup.exists()


RUN = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background ignores it
from pathlib import Path
from mapcount.kernels import host_settings
from mapcount.kernels.host_settings import HostSettings, apply_settings
from mapcount.scenarios.scenario import Settings
tree, how = sys.argv[1:]
held = HostSettings(Path(tree, "lock"))
if how == "in the middle":
    write = host_settings.write_setting
    def write_and_die(path, value):
        write(path, value)
        if path.endswith("/hugepages-64kB/enabled"):
            os.kill(os.getpid(), 9)
    host_settings.write_setting = write_and_die
if how == "forked" and os.fork() == 0:
    time.sleep(600)
apply_settings(held, Settings(thp="always", anon={4: "always"}), sys=f"{tree}/sys", proc=f"{tree}/proc")
print("changed", held._watchdog.pid, flush=True)
if how != "exit":
    time.sleep(600)
"""


@contextlib.contextmanager
def run(tree, how):
    with subprocess.Popen(
        [sys.executable, "-c", RUN, str(tree), how], stdout=subprocess.PIPE, text=True, process_group=0
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def changed(process):
    word, watchdog = process.stdout.readline().split()
    assert word == "changed"
    return int(watchdog)


@pytest.mark.parametrize("how", ["alone", "forked"])
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_settings_are_put_back_when_the_run_is_killed(tree, signum, how):
    found = values(tree)
    with run(tree, how) as process:
        changed(process)
        assert values(tree) != found
        process.send_signal(signum)
        wait_for(lambda: values(tree) == found)


@pytest.mark.parametrize("how", ["exit", "in the middle"])
def test_settings_are_put_back_when_the_run_just_ends(tree, how):
    found = values(tree)
    with run(tree, how) as process:
        process.wait(HANG_S)
        wait_for(lambda: values(tree) == found and not (tree / "lock").read_text())


def test_the_next_run_waits_for_the_watchdog_and_finds_all_in_order(tree):
    found = values(tree)
    with run(tree, "alone") as process:
        watchdog = changed(process)
        os.kill(watchdog, signal.SIGSTOP)
        process.kill()
        process.wait()
        with pytest.raises(UsageError, match=r"is locked.*wait until"):
            hold(tree, wait_s=0.1)
        assert values(tree) != found
        os.kill(watchdog, signal.SIGCONT)
        with hold(tree):
            assert values(tree) == found


def test_the_next_run_puts_back_what_a_run_left_whose_watchdog_was_killed_too(tree):
    found = values(tree)
    with run(tree, "alone") as process:
        os.kill(changed(process), signal.SIGKILL)
        process.kill()
        process.wait()
        assert values(tree) != found
        with hold(tree):
            assert values(tree) == found


def test_one_run_at_a_time(tree):
    with hold(tree), pytest.raises(UsageError, match="Another mapcount"):
        hold(tree, wait_s=0.05)
    hold(tree).close()


def test_a_journal_that_was_cut_off_is_read_as_far_as_it_goes(tree):
    defrag, enabled = tree / THP / "defrag", tree / THP / "enabled"
    (tree / "lock").write_text(f'["write", "{defrag}", "never"]\n["write", "{enabled}", "alw')
    hold(tree).close()
    assert (defrag.read_text(), values(tree)[f"{THP}/enabled"]) == ("never", "madvise")


def test_nothing_is_changed_that_could_not_be_noted(tree, monkeypatch):
    def disk_full(*_):
        raise OSError(28, "No space left on device")

    found = values(tree)
    with hold(tree) as held:
        monkeypatch.setattr(os, "pwrite", disk_full)
        with pytest.raises(KernelFeatureError, match="No space left"):
            held.set(str(tree / THP / "defrag"), "never")
        assert values(tree) == found


def test_the_lock_file_must_be_ours(tree, tmp_path):
    target = tmp_path / "elsewhere"
    target.write_text("")
    (tree / "lock").symlink_to(target)
    with pytest.raises(NotAllowedError, match="run it as root"):
        hold(tree)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: to give a file to another user")
def test_another_users_journal_is_not_believed(tree):
    (tree / "lock").write_text(f'["write", "{tree / THP / "defrag"}", "never"]\n')
    os.chown(tree / "lock", 65534, 65534)
    with pytest.raises(NotAllowedError, match="made up"):
        hold(tree)
    assert values(tree)[f"{THP}/defrag"] == "madvise"


def test_without_a_watchdog_nothing_is_changed(tree, monkeypatch):
    broken = tree / "broken.py"
    broken.write_text("raise SystemExit(3)\n")
    monkeypatch.setattr(host_watchdog, "__file__", str(broken))
    with pytest.raises(NotAllowedError, match="nothing was changed"):
        hold(tree)
    monkeypatch.undo()
    monkeypatch.setattr(sys, "executable", str(tree / "no-such-python"))
    with pytest.raises(NotAllowedError, match=r"nothing was changed \(No such file"):
        hold(tree)
    monkeypatch.undo()
    hold(tree).close()


def test_the_watchdog_needs_the_standard_library_alone():
    program = Path(host_watchdog.__file__).read_text()
    imported = {
        line.split()[1].partition(".")[0] for line in program.splitlines() if line.startswith(("import ", "from "))
    }
    assert imported <= sys.stdlib_module_names


def test_the_made_up_tree_is_like_a_real_one():
    real = Path("/") / THP / "enabled"
    if not real.exists():
        pytest.skip("this kernel has no transparent huge pages to compare with")
    assert sorted(real.read_text().replace("[", "").replace("]", "").split()) == sorted(
        FOUND[f"{THP}/enabled"].replace("[", "").replace("]", "").split()
    )
