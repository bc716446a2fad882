"""Tables of what kernels did in each operation: the file that a recording is kept in, and all of it beside our schemes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mapcount.errors import BadLogError
from mapcount.kernels.access_comparison import Comparison, compare
from mapcount.kernels.access_model import accesses_of
from mapcount.kernels.access_operations import operations
from mapcount.kernels.access_runs import Rounds, expand, shorten
from mapcount.kernels.word_access import WordAccess
from mapcount.schemes.catalogue import find_scheme
from mapcount.schemes.eras import era_of
from mapcount.schemes.ops import Access

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from mapcount.kernels.access_operations import Operation
    from mapcount.schemes.bind import BoundScheme

FORMAT = 1


@dataclass(frozen=True)
class RecordedOperation:
    """What one kernel did in an operation: accesses to words in order; stores to other bytes, counted."""

    name: str
    order: int
    accesses: tuple[WordAccess, ...]
    others: Mapping[str, int]


@dataclass(frozen=True)
class Recording:
    """All operations of one kernel. `image` says which: a package's name, or what was built; with its SHA-256."""

    release: str
    page_mapcount: bool
    image: str
    sha256: str
    operations: tuple[RecordedOperation, ...]


@dataclass(frozen=True)
class Row:
    """One operation of one kernel, compared."""

    release: str
    page_mapcount: bool
    scheme: str
    operation: str
    order: int
    comparison: Comparison


def compare_recording(recording: Recording, scheme: BoundScheme | None = None) -> Iterator[Row]:
    """Yield every recorded operation beside the era's scheme, or `scheme`. Raises BadLogError for one that is none of ours."""
    era = era_of(recording.release, page_mapcount=recording.page_mapcount)
    bound = scheme or find_scheme(era.scheme)
    known = {(operation.name, operation.order): operation for operation in operations()}
    # All folios are large: a word of small ones alone is none of theirs.
    words = [place.word.name for place in bound.scheme.places if not place.small_only]
    for recorded in recording.operations:
        operation = known.get((recorded.name, recorded.order))
        if operation is None:
            raise BadLogError(
                f"the table of {recording.release} has {recorded.name!r} of order {recorded.order}, which is no operation "
                "of this version: record it anew"
            )
        expected = accesses_of(bound, operation, era)
        comparison = compare(recorded.accesses, expected, words, reads=operation.reads)
        yield Row(recording.release, recording.page_mapcount, bound.id, recorded.name, recorded.order, comparison)


def missing(recording: Recording) -> list[Operation]:
    """Return the operations that this kernel can do and the recording lacks."""
    era = era_of(recording.release, page_mapcount=recording.page_mapcount)
    have = {(recorded.name, recorded.order) for recorded in recording.operations}
    return [each for each in operations() if each.runs_on(era) and (each.name, each.order) not in have]


def save_recording(path: Path, recording: Recording) -> None:
    """Write a recording as JSON, one line an access, so that a change of a kernel is a change of a line."""
    lines = []
    for operation in recording.operations:
        told = ",\n   ".join(json.dumps(_part(part)) for part in shorten(operation.accesses))
        head = json.dumps({"name": operation.name, "order": operation.order})[:-1]
        others = json.dumps(dict(sorted(operation.others.items())))
        lines.append(f'  {head}, "others": {others},\n  "accesses": [\n   {told}]}}')
    head = json.dumps(
        {
            "format": FORMAT,
            "release": recording.release,
            "page_mapcount": recording.page_mapcount,
            "image": recording.image,
            "sha256": recording.sha256,
        }
    )[:-1]
    path.write_text(f'{head}, "operations": [\n' + ",\n".join(lines) + "\n]}\n", encoding="utf-8")


def load_recording(path: Path) -> Recording:
    """Read a recording. Raises BadLogError if it is none, or of another format."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["format"] != FORMAT:
            raise BadLogError(f"{path} is a table of accesses of format {told['format']}; this version reads {FORMAT}")
        recorded = tuple(
            RecordedOperation(
                one["name"], one["order"], tuple(expand(list(_parts(one["accesses"])))), dict(one["others"])
            )
            for one in told["operations"]
        )
        return Recording(told["release"], told["page_mapcount"], told["image"], told["sha256"], recorded)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadLogError(f"{path} is no table of accesses: {error!r}") from error


def _part(part: WordAccess | Rounds) -> Any:
    if isinstance(part, Rounds):
        return [part.times, [_fields(one) for one in part.first], [_fields(one) for one in part.second]]
    return _fields(part)


def _fields(access: WordAccess) -> list[Any]:
    return [access.how.value, *access[1:]]


def _parts(parts: Iterable[Any]) -> Iterator[WordAccess | Rounds]:
    for part in parts:
        if isinstance(part[0], int):
            times, first, second = part
            yield Rounds(times, tuple(map(_access, first)), tuple(map(_access, second)))
        else:
            yield _access(part)


def _access(fields: list[Any]) -> WordAccess:
    how, word, at, before, after, function = fields
    return WordAccess(Access(how), word, at, before, after, function)
