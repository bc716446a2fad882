"""Hide names in a snapshot that is to be shown to others: what can be counted stays, names go.

The same name has the same token wherever it occurs (`comm-3`, `path-17`, `cgroup-2`). Tokens are numbered in random
order, and lists are put in the order of the tokens, so that neither betrays the alphabet. What remains may still tell
something to those who know the machine: pids, times, addresses, sizes, offsets into files, kernel release, settings.
"""

from __future__ import annotations

import dataclasses
import re
from random import SystemRandom
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from mapcount.mapping.schema import I32, Mms, ObservedStats, Texts, Vmas
    from mapcount.mapping.snapshot import Metadata, Snapshot

REMOVED = "redacted"
"""Stands for a text that is hidden and refers to nothing else."""
DELETED = " (deleted)"
_KERNEL_PATHS = frozenset(
    {"", "/dev/zero", "/anon_hugepage", "/[aio]", "anon_inode:[perf_event]", "anon_inode:[io_uring]"}
    | {"[heap]", "[stack]", "[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]", "[vectors]", "[sigpage]", "[uprobes]"}
)
_KINDS_OF_PATH = ("[anon:", "[anon_shmem:", "/memfd:", "/dmabuf:", "/SYSV", "/dev/shm/")  # noqa: S108 - a prefix to know
_KINDS_OF_CGROUP = ("removed:", "inode:")
_PLAIN_SUBJECT = re.compile(r"|\d+kB|mm \d+")
_FOREIGN_PATH = re.compile(r"(?<!\w)/(?!proc/|sys/kernel/)\w")


def redact(snapshot: Snapshot) -> Snapshot:
    """
    Return the snapshot with comm, paths and cgroup names hidden, and host, boot id and command line removed.

    Kept: the kernel's own names such as [heap], what kind of thing a name was (`/memfd:path-2 (deleted)`,
    `removed:cgroup-5`), the root cgroup `/`, and sentences about the capture in which no name of this snapshot and no
    path occurs. Devices and inodes become numbers that are equal where they were. How deep a cgroup was is not told.
    """
    comms = _Names((*snapshot.mms.comm, *(row.get("comm", "") for row in snapshot.meta.unreadable)), "comm")
    stats = snapshot.observed_stats
    subjects = [subject for subject in stats.subject if not _PLAIN_SUBJECT.fullmatch(subject)]
    cgroups = _Names((*snapshot.cgroups, *snapshot.mms.task_cgroup, *subjects), "cgroup", _KINDS_OF_CGROUP, {"", "/"})
    paths = _Names(snapshot.vmas.path, "path", _KINDS_OF_PATH, _KERNEL_PATHS)

    names = ("", *sorted({cgroups(name) for name in snapshot.cgroups} - {""}, key=cgroups.place))
    places = {name: place for place, name in enumerate(names)}
    codes = np.array([places[cgroups(name)] for name in snapshot.cgroups], np.int32)

    def charged(table: Any) -> Any:
        charge_cgroup: I32 = codes[table.charge_cgroup]
        return dataclasses.replace(table, charge_cgroup=charge_cgroup)

    return dataclasses.replace(
        snapshot,
        meta=_hide_meta(snapshot.meta, comms, [*comms.originals, *paths.originals, *cgroups.originals]),
        mms=_hide_mms(snapshot.mms, comms, cgroups),
        vmas=_hide_vmas(snapshot.vmas, paths),
        folios=charged(snapshot.folios),
        small=charged(snapshot.small),
        observed_stats=_hide_stats(stats, cgroups),
        cgroups=names,
    )


class _Names:
    """The tokens of all names of one sort."""

    def __init__(
        self, names: Iterable[str], word: str, kinds: tuple[str, ...] = (), known: Collection[str] = ("",)
    ) -> None:
        self._kinds, self._known = kinds, known
        split = {name: self._split(name) for name in dict.fromkeys(names)}
        self.originals = list(dict.fromkeys(secret for _, secret, _ in split.values() if secret))
        numbers = _shuffled(self.originals)
        self._tokens = {
            name: f"{kind}{word}-{numbers[secret]}{tail}" if secret else name
            for name, (kind, secret, tail) in split.items()
        }
        self._places = {
            self._tokens[name]: (numbers.get(secret, 0), self._tokens[name]) for name, (_, secret, _) in split.items()
        }

    def __call__(self, name: str) -> str:
        return self._tokens[name]

    def place(self, token: str) -> tuple[int, str]:
        """Return what to sort tokens by: their number, not the alphabet."""
        return self._places[token]

    def _split(self, name: str) -> tuple[str, str, str]:
        """Split into what says of which kind it is, the secret, and what is known of its end."""
        body = name.removesuffix(DELETED)
        tail = name[len(body) :]
        if body in self._known:
            return body, "", tail
        kind = next((kind for kind in self._kinds if body.startswith(kind)), "")
        if kind.startswith("["):
            body, tail = body.removesuffix("]"), "]" + tail
        return kind, body[len(kind) :], tail


def _shuffled(things: Iterable[Any]) -> dict[Any, int]:
    """Number distinct things from 1 in random order."""
    distinct = list(dict.fromkeys(things))
    SystemRandom().shuffle(distinct)
    return {thing: number for number, thing in enumerate(distinct, start=1)}


def _map(values: Texts, new: Callable[[str], str]) -> Texts:
    result = np.empty(len(values), object)
    result[:] = [new(value) for value in values]
    return result


def _hide_mms(mms: Mms, comms: _Names, cgroups: _Names) -> Mms:
    return dataclasses.replace(mms, comm=_map(mms.comm, comms), task_cgroup=_map(mms.task_cgroup, cgroups))


def _hide_vmas(vmas: Vmas, paths: _Names) -> Vmas:
    devices = _shuffled(dev for dev in vmas.dev if dev != "00:00")
    files = list(zip(vmas.dev, vmas.inode.tolist(), strict=True))
    inodes = _shuffled(file for file in files if file[1])
    return dataclasses.replace(
        vmas,
        path=_map(vmas.path, paths),
        dev=_map(vmas.dev, lambda dev: f"00:{devices[dev]:02x}" if dev in devices else dev),
        inode=np.array([inodes.get(file, 0) for file in files], np.uint64),
    )


def _hide_stats(stats: ObservedStats, cgroups: _Names) -> ObservedStats:
    subjects = _map(stats.subject, lambda subject: subject if _PLAIN_SUBJECT.fullmatch(subject) else cgroups(subject))
    sources = {source: place for place, source in enumerate(dict.fromkeys(stats.source))}

    def place(row: int) -> tuple[int, tuple[int, str]]:
        plain = _PLAIN_SUBJECT.fullmatch(stats.subject[row])
        return sources[stats.source[row]], (0, "") if plain else cgroups.place(subjects[row])

    rows = np.array(sorted(range(len(stats)), key=place), np.intp)
    hidden: ObservedStats = dataclasses.replace(stats, subject=subjects).take(rows)
    return hidden


def _hide_meta(meta: Metadata, comms: _Names, names: list[str]) -> Metadata:
    is_safe = _judge([*names, *filter(None, (meta.host, meta.boot_id, meta.command_line, meta.scope_detail))])
    notes = [note for note in meta.notes if is_safe(note)]
    left_out = len(meta.notes) - len(notes)
    if left_out:
        notes.append(f"{left_out} of the notes could hold names and were left out.")

    def sentence(text: str) -> str:
        return text if is_safe(text) else REMOVED

    return dataclasses.replace(
        meta,
        redacted=True,
        host=_removed(meta.host),
        boot_id=_removed(meta.boot_id),
        command_line=_removed(meta.command_line),
        scope_detail=_removed(meta.scope_detail),
        partial=sentence(meta.partial),
        counts_probe=sentence(meta.counts_probe),
        notes=notes,
        unreadable=[_hide_unreadable(row, comms, sentence) for row in meta.unreadable],
    )


def _removed(text: str) -> str:
    return REMOVED if text else ""


def _hide_unreadable(row: dict[str, Any], comms: _Names, sentence: Callable[[str], str]) -> dict[str, Any]:
    hidden = {
        "pid": row.get("pid"),
        "comm": comms(str(row.get("comm", ""))),
        "error": sentence(str(row.get("error", ""))),
    }
    return {key: value for key, value in hidden.items() if key in row}


def _judge(names: list[str]) -> Callable[[str], bool]:
    """Return whether a sentence holds no path and none of the names; short names count as whole words only."""

    def is_safe(sentence: str) -> bool:
        if _FOREIGN_PATH.search(sentence):
            return False
        return not any(
            name in sentence and (len(name) > 3 or re.search(rf"(?<!\w){re.escape(name)}(?!\w)", sentence))
            for name in names
        )

    return is_safe
