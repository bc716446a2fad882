"""Every error a user can meet: what happened, the offending value, what to do, and the exit code."""

from __future__ import annotations

EXIT_OK = 0
EXIT_FINDING = 1
"""A difference was found: `diff --exit-code`, `conform`."""
EXIT_USAGE = 2
EXIT_NOT_ALLOWED = 3
"""A privilege or a kernel feature is missing."""
EXIT_BAD_INPUT = 4
"""A file is unreadable, damaged, or not what the command takes."""
EXIT_PARTIAL = 5
"""With --strict: the capture ended before it saw everything."""
EXIT_INTERRUPTED = 130


class MapcountError(Exception):
    """Base of all errors that are shown to a user as one message, without a traceback."""

    exit_code = 1


class UsageError(MapcountError):
    """The arguments do not make sense together, or a value is out of range. Remedy: the message names both."""

    exit_code = EXIT_USAGE


class OutputExistsError(MapcountError):
    """The output is already there and was left alone. Remedy: another name, or --force."""

    exit_code = EXIT_USAGE

    def __init__(self, path: str, option: str = "-o") -> None:
        super().__init__(
            f"{path} already exists and was left as it is; give another name with {option}, or --force to replace it"
        )


class NotAllowedError(MapcountError):
    """The kernel hides what is needed. The message names the file, the capability, the present state and the cure."""

    exit_code = EXIT_NOT_ALLOWED


class KernelFeatureError(MapcountError):
    """This kernel lacks an interface. The message names it, since when it exists, and what still works without it."""

    exit_code = EXIT_NOT_ALLOWED


class NoSuchProcessError(MapcountError):
    """A process that was named does not exist, or has no address space (kernel threads, zombies)."""

    exit_code = EXIT_USAGE


class BadSnapshotError(MapcountError):
    """A path is not a snapshot, is damaged, or was written by a newer version. The message says which and what to do."""

    exit_code = EXIT_BAD_INPUT


class OutputError(MapcountError):
    """Writing failed (disk full, read-only, no such directory). Nothing that was there before has been changed."""

    exit_code = EXIT_BAD_INPUT


class FreezeError(MapcountError):
    """A process may not be stopped: it is an ancestor, in our own cgroup, or already stopped or traced."""

    exit_code = EXIT_USAGE


class PartialCaptureError(MapcountError):
    """With --strict: the snapshot was written but is not complete. The message says what is missing."""

    exit_code = EXIT_PARTIAL


class ConformanceError(MapcountError):
    """A scheme broke a promise, or the truth. The message says which, and the shortest history found that shows it."""


class SchemeSourceError(MapcountError):
    """A scheme's source leaves the subset of Python that is compiled and lowered. The message has file, line and reason."""

    exit_code = EXIT_BAD_INPUT


class SeparatePagesError(SchemeSourceError):
    """One operation touched pages that are no one range: compiled replay cannot count its lines, the plain one can."""


class BadLogError(MapcountError):
    """A log of mappings is damaged, of a newer version, or says what cannot be. The message says which row, and why."""

    exit_code = EXIT_BAD_INPUT


class ScenarioError(MapcountError):
    """A scenario cannot be read or makes no sense. The message has file, line, column, the line itself, and a suggestion."""

    exit_code = EXIT_BAD_INPUT


class ExpectationError(MapcountError):
    """What a scenario expects did not hold. The message says what was expected of which folio, and what was found."""


class KernelImageError(MapcountError):
    """A kernel image cannot be had, or is not what its record says. The message names the series, the source and the cure."""

    exit_code = EXIT_NOT_ALLOWED


class GuestError(MapcountError):
    """A guest did not boot, stopped answering or gave nonsense. The message has the end of its console."""


class DisagreementError(MapcountError):
    """Two machines differ after the same steps. The message has the shortest scenario found and both states."""

    exit_code = EXIT_FINDING


class BadTraceError(MapcountError):
    """A golden trace is damaged or of another format. The message names the file, what is wrong, and what to do."""

    exit_code = EXIT_BAD_INPUT


class MissingToolError(MapcountError):
    """A program or library that is run or linked is not installed. The message names it and the package that has it."""

    exit_code = EXIT_NOT_ALLOWED


class SpinError(MapcountError):
    """SPIN did not take an exported model, or could not be run to the end. The message has what was run and what it said."""
