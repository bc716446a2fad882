"""Write a directory of files beside its final name and swap it in: others see all of it, or what was there before.

The new directory is made under a hidden temporary name in the same parent, filled, flushed to disk and then renamed.
Everything goes through descriptors, so that root does not follow a link that the owner of the parent slips in. Whoever
is killed meanwhile (SIGKILL, power cut) leaves the hidden `.mapsnap-PID-*` behind: an unfinished snapshot, or with
--force perhaps the replaced one.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import secrets
import stat
from typing import TYPE_CHECKING

from mapcount.errors import OutputError, OutputExistsError
from mapcount.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

META_NAME = "meta.json"
TABLE_SUFFIX = ".parquet"

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
_NO_FLAGS_HERE = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}
"""What renameat2(2) says where the kernel or the file system lacks its flags."""
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_MOST_META_BYTES = 1 << 26


def check_output(path: str | os.PathLike[str], *, force: bool = False) -> None:
    """
    Refuse an output that could not be written at the end: cheap, to be asked before long work.

    Raises OutputExistsError if something is at `path` and not `force`; OutputError if the parent is missing or not
    writable, or if, with `force`, what is there is no .mapsnap directory: other data is never replaced.
    """
    with _errors_named(path), _opened_parent(path) as (parent_fd, name):
        _check_name_free(parent_fd, name, path, force=force)
        _check_writable(parent_fd)


def write_directory(path: str | os.PathLike[str], files: Mapping[str, bytes], *, force: bool = False) -> int:
    """
    Make the directory `path` (0700) hold exactly `files` (0600), flushed to disk; return their bytes.

    Under sudo all of it belongs to the user who called sudo. Raises OutputExistsError if something is there and not
    `force`, OutputError if it cannot be written; then, as after an interrupt, what was there before is untouched.
    """
    return write_files(path, files.items(), force=force, needs_bytes=sum(map(len, files.values())))


def write_files(
    path: str | os.PathLike[str],
    files: Iterable[tuple[str, bytes]],
    *,
    force: bool = False,
    needs_bytes: int | None = None,
) -> int:
    """Do what write_directory does with files that are made one after the other, as each is asked for."""
    size_bytes = 0

    def counted() -> Iterator[tuple[str, bytes]]:
        nonlocal size_bytes
        for name, content in files:
            size_bytes += len(content)
            yield name, content

    with _errors_named(path, needs_bytes=needs_bytes), _opened_parent(path) as (parent_fd, name):
        _check_name_free(parent_fd, name, path, force=force)
        temporary = f".mapsnap-{os.getpid()}-{secrets.token_hex(8)}"
        try:
            _fill(parent_fd, temporary, counted())
            if force:
                _replace(parent_fd, temporary, name, path)
            else:
                _rename_to_free_name(parent_fd, temporary, name)
            with contextlib.suppress(OSError):  # it is in place; at worst a power cut brings back what was there before
                os.fsync(parent_fd)
        finally:
            # The temporary name stands for what could not be swapped in, for what was replaced, or for nothing.
            _remove(parent_fd, temporary)
    return size_bytes


@contextlib.contextmanager
def _errors_named(path: str | os.PathLike[str], *, needs_bytes: int | None = None) -> Iterator[None]:
    """Turn what the system says into what a user can use."""
    text = os.fspath(path)
    try:
        yield
    except FileExistsError as error:
        raise OutputExistsError(text) from error
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in _NO_ROOM and needs_bytes is not None:
            reason += f"; it needs {format_bytes(needs_bytes)}{_free_text(_parent(text))}"
        raise OutputError(f"{text} could not be written: {reason}. Give another place with -o") from error


def _free_text(parent: str) -> str:
    with contextlib.suppress(OSError):
        room = os.statvfs(parent)
        return f", {format_bytes(room.f_bavail * room.f_frsize)} free in {parent}"
    return ""


def _parent(path: str) -> str:
    return os.path.dirname(path.rstrip("/")) or "."


@contextlib.contextmanager
def _opened_parent(path: str | os.PathLike[str]) -> Iterator[tuple[int, str]]:
    """Yield a descriptor of the parent directory and the name in it."""
    text = os.fspath(path)
    parent, name = _parent(text), os.path.basename(text.rstrip("/"))
    if name in {"", ".", ".."}:
        raise OutputError(f"{text!r} is no name for a new directory; give one such as host.mapsnap with -o")
    try:
        parent_fd = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        what = "does not exist" if isinstance(error, FileNotFoundError) else "is not a directory"
        raise OutputError(f"{text} could not be written: {parent} {what}. Make it, or give another with -o") from error
    try:
        yield parent_fd, name
    finally:
        os.close(parent_fd)


def _check_writable(parent_fd: int) -> None:
    if os.access(".", os.W_OK | os.X_OK, dir_fd=parent_fd, effective_ids=True):
        return
    code = errno.EROFS if os.fstatvfs(parent_fd).f_flag & os.ST_RDONLY else errno.EACCES
    raise OSError(code, os.strerror(code))


def _check_name_free(parent_fd: int, name: str, path: str | os.PathLike[str], *, force: bool) -> None:
    try:
        os.lstat(name, dir_fd=parent_fd)
    except FileNotFoundError:
        return
    if not force:
        raise OutputExistsError(os.fspath(path))
    _check_replaceable(parent_fd, name, path)


def _check_replaceable(parent_fd: int, name: str, path: str | os.PathLike[str]) -> None:
    why = _why_no_snapshot(parent_fd, name)
    if why:
        raise OutputError(
            f"{os.fspath(path)} {why}, so it is no snapshot that --force may replace, and was left as it is; "
            "give another name with -o, or remove it yourself"
        )


def _why_no_snapshot(parent_fd: int, name: str) -> str:
    """Return why `name` is not a .mapsnap directory and nothing else; empty if it is one."""
    try:
        fd = os.open(name, _OPEN_DIRECTORY, dir_fd=parent_fd)
    except FileNotFoundError:
        return ""
    except OSError as error:
        is_other = error.errno in {errno.ENOTDIR, errno.ELOOP}
        return "is not a directory" if is_other else f"cannot be read ({error.strerror})"
    try:
        stranger = next((entry for entry in os.listdir(fd) if not _is_our_file(fd, entry)), None)
        if stranger is not None:
            return f"holds {stranger!r}"
        meta = json.loads(_read_meta(fd))
        return "" if isinstance(meta, dict) and "schema_version" in meta else f"has another {META_NAME}"
    except FileNotFoundError:
        return f"has no {META_NAME}"
    except (ValueError, RecursionError):
        return f"has a damaged {META_NAME}"
    finally:
        os.close(fd)


def _is_our_file(fd: int, entry: str) -> bool:
    known = entry == META_NAME or entry.endswith(TABLE_SUFFIX)
    return known and stat.S_ISREG(os.lstat(entry, dir_fd=fd).st_mode)


def _read_meta(fd: int) -> bytes:
    meta_fd = os.open(META_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    with open(meta_fd, "rb") as file:
        return file.read(_MOST_META_BYTES)


def _fill(parent_fd: int, temporary: str, files: Iterable[tuple[str, bytes]]) -> None:
    os.mkdir(temporary, 0o700, dir_fd=parent_fd)
    fd = os.open(temporary, _OPEN_DIRECTORY, dir_fd=parent_fd)
    try:
        for name, content in files:
            with open(os.open(name, _CREATE_FILE, 0o600, dir_fd=fd), "wb", buffering=0) as file:
                _write_all(file.fileno(), content)
                _finish(file.fileno(), 0o600)
        _finish(fd, 0o700)
    finally:
        os.close(fd)


def _write_all(fd: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]


def give_to_caller_of_sudo(fd: int) -> None:
    """Let an open file belong to the user who called sudo; nothing if we are not root by sudo."""
    if owner := _sudo_owner():
        with contextlib.suppress(PermissionError):  # a file system without owners
            os.fchown(fd, *owner)


def _finish(fd: int, mode: int) -> None:
    os.fchmod(fd, mode)  # whatever the umask, and the parent's default ACL and setgid bit
    give_to_caller_of_sudo(fd)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # "fd is bound to a special file which does not support synchronization"
            raise


def _sudo_owner() -> tuple[int, int] | None:
    """Return uid and gid of the user who called sudo; None if we are not root by sudo."""
    uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    return (int(uid), int(gid)) if os.geteuid() == 0 and uid.isdecimal() and gid.isdecimal() else None


def _replace(parent_fd: int, temporary: str, name: str, path: str | os.PathLike[str]) -> None:
    """Swap `temporary` in for whatever snapshot has the name, which then has the temporary name; or for nothing."""
    for _ in range(100):  # others may put a snapshot there and take it away meanwhile
        with contextlib.suppress(FileExistsError):
            return _rename_to_free_name(parent_fd, temporary, name)
        _check_replaceable(parent_fd, name, path)
        try:
            _exchange(parent_fd, temporary, name)
        except FileNotFoundError:
            continue
        try:
            _check_replaceable(parent_fd, temporary, path)  # is it still what we looked at?
        except OutputError:
            _exchange(parent_fd, temporary, name)
            raise
        return None
    raise BlockingIOError(errno.EAGAIN, "others keep replacing it")


def _rename_to_free_name(parent_fd: int, temporary: str, name: str) -> None:
    """Rename; FileExistsError if something has the name."""
    if _renameat2(parent_fd, temporary, name, _RENAME_NOREPLACE):
        return
    # rename(2) itself replaces an empty directory at most: who comes second finds a full one and fails.
    with contextlib.suppress(FileNotFoundError):
        os.lstat(name, dir_fd=parent_fd)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
    try:
        os.rename(temporary, name, src_dir_fd=parent_fd, dst_dir_fd=parent_fd)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.ENOTDIR}:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from error
        raise


def _exchange(parent_fd: int, temporary: str, name: str) -> None:
    """Let both names stand for what the other one stood for."""
    if _renameat2(parent_fd, temporary, name, _RENAME_EXCHANGE):
        return
    aside = f"{temporary}-old"
    os.rename(name, aside, src_dir_fd=parent_fd, dst_dir_fd=parent_fd)
    try:
        os.rename(temporary, name, src_dir_fd=parent_fd, dst_dir_fd=parent_fd)
    except BaseException:
        os.rename(aside, name, src_dir_fd=parent_fd, dst_dir_fd=parent_fd)
        raise
    os.rename(aside, temporary, src_dir_fd=parent_fd, dst_dir_fd=parent_fd)


def _renameat2(parent_fd: int, old: str, new: str, flags: int) -> bool:
    """Rename within a directory by renameat2(2); False if it does not exist here with these flags. Raises OSError."""
    function = _find_renameat2()
    if function is None:
        return False
    if function(parent_fd, os.fsencode(old), parent_fd, os.fsencode(new), flags) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NO_FLAGS_HERE:
        return False
    raise OSError(code, os.strerror(code), new)


def _find_renameat2() -> Callable[..., int] | None:
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2  # glibc 2.28, musl 1.2.4
    except (AttributeError, OSError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    function.restype = ctypes.c_int
    return function


def _remove(parent_fd: int, name: str) -> None:
    """Remove a directory of our files; one that holds anything else is left alone, whole."""
    with contextlib.suppress(OSError):
        fd = os.open(name, _OPEN_DIRECTORY, dir_fd=parent_fd)
        try:
            entries = os.listdir(fd)
            if all(_is_our_file(fd, entry) for entry in entries):
                for entry in entries:
                    os.unlink(entry, dir_fd=fd)
        finally:
            os.close(fd)
        os.rmdir(name, dir_fd=parent_fd)
