"""One cell of the matrix: a scheme, a caller that reads, what the writers do, and what is assumed; as text, and as a model.

The text is `scheme/context/writers/pages`, then what differs from the default: `-lock` for a kind of locks, or another switch
(locks.KINDS), that is taken out, `+lock` for one that the reader holds though it does not, `=truth` for another meaning of
truth, `@memory` for another memory model. With `:schedule` behind it one interleaving of it is meant, so a text replays what it
names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mapcount.check.batches import as_called
from mapcount.check.callers import QUESTIONS, asked
from mapcount.check.contexts import CONTEXTS, READER_MM, Context
from mapcount.check.harm import NOBODY
from mapcount.check.locks import EVERYTHING, KINDS, NOT_THE_READERS, REFERENCE, TITLES
from mapcount.check.memory_order import MODELS
from mapcount.check.mixes import MIXES
from mapcount.check.model import TRUTH_KINDS, Call, Model
from mapcount.check.properties import READER_PROPERTIES, REST_PROPERTIES, properties_of
from mapcount.check.scaling import scaled
from mapcount.errors import UsageError
from mapcount.schemes.catalogue import find_scheme
from mapcount.schemes.scheme import Quantity

if TYPE_CHECKING:
    from mapcount.schemes.bind import BoundScheme
    from mapcount.schemes.scheme import Reader

AT_REST = "rest"
"""Stands for a context in a cell without a reader: what is asked is what the writers leave behind."""
_TEXT = re.compile(
    r"(?P<scheme>[a-z0-9-]+(?::[a-z0-9.-]+)?)/(?P<context>[a-z0-9_-]+)/(?P<writers>[a-z-]+)/(?P<pages>[0-9]+)"
    r"(?P<without>(-[a-z]+)*)(?P<more>(\+[a-z]+)*)(=(?P<truth>[a-z]+))?(@(?P<memory>[a-z]+))?"
)
_MOST_PAGES = 64


@dataclass(frozen=True)
class Cell:
    """
    What is explored, by names.

    `context` is a caller (contexts.py), the name of a reader that anyone may call without a lock, or AT_REST. `without` are
    kinds of locks (and other switches, locks.KINDS) that nobody holds, `more` kinds that the reader holds beyond its own.
    Raises UsageError for a name that does not exist.
    """

    scheme: str
    context: str
    writers: str
    pages: int
    without: frozenset[str] = frozenset()
    more: frozenset[str] = frozenset()
    truth: str = "interval"
    memory: str = "sc"

    def __post_init__(self) -> None:
        if self.writers not in MIXES:
            raise UsageError(f"there are no writers {self.writers!r}; there are: {', '.join(MIXES)}")
        if self.pages & (self.pages - 1) or not 1 <= self.pages <= _MOST_PAGES:
            raise UsageError(f"a folio has a power of two pages, here up to {_MOST_PAGES}, not {self.pages}")
        unknown = sorted(self.without.union(self.more).difference(KINDS))
        if unknown:
            raise UsageError(f"there is no lock {unknown[0]!r}; there are: {', '.join(KINDS)}")
        foreign = sorted(NOT_THE_READERS & self.more)
        if foreign:
            raise UsageError(f"{TITLES[foreign[0]]}: not for a reader to hold, only to be taken out for all")
        if self.truth not in TRUTH_KINDS:
            raise UsageError(f"there is no truth {self.truth!r}; there are: {', '.join(TRUTH_KINDS)}")
        if self.memory not in MODELS:
            raise UsageError(f"there is no memory model {self.memory!r}; there are: {', '.join(MODELS)}")

    def __str__(self) -> str:
        without = "".join(f"-{kind}" for kind in sorted(self.without))
        more = "".join(f"+{kind}" for kind in sorted(self.more))
        truth = "" if self.truth == "interval" else f"={self.truth}"
        memory = "" if self.memory == "sc" else f"@{self.memory}"
        return f"{self.scheme}/{self.context}/{self.writers}/{self.pages}{without}{more}{truth}{memory}"


def parse_cell(text: str) -> Cell:
    """Return the cell of a text. Raises UsageError for anything else."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise UsageError(
            f"{text!r} names no model: scheme/context/writers/pages, like mm-id/kpagecount/zap-fault/2, then perhaps -ptl or "
            "=strict"
        )
    return Cell(
        found["scheme"],
        found["context"],
        found["writers"],
        int(found["pages"]),
        frozenset(filter(None, found["without"].split("-"))),
        frozenset(filter(None, found["more"].split("+"))),
        found["truth"] or "interval",
        found["memory"] or "sc",
    )


def context_of(cell: Cell, scheme: BoundScheme) -> Context:
    """Return who reads: a caller, or anyone without a lock. Raises UsageError for a name that is neither."""
    if cell.context in CONTEXTS:
        return CONTEXTS[cell.context]
    reader = asked(scheme, cell.context)
    if reader is None:
        own = [one.name for one in scheme.scheme.readers]
        raise UsageError(
            f"{cell.scheme} has no reader {cell.context!r}; callers: {', '.join(CONTEXTS)}; readers: {', '.join(own)}"
        )
    return Context(
        cell.context,
        "anyone",
        (cell.context,),
        (),
        reference=False,
        relies={one.id: NOBODY for one in properties_of(reader.quantity)},
        writers=(cell.writers,),
        source="",
    )


def has_reference(cell: Cell, context: Context) -> bool:
    """Return whether the reader has a reference of its own: as its caller has, unless a switch says otherwise."""
    return REFERENCE not in cell.without and (context.reference or REFERENCE in cell.more)


def question_of(context: Context, scheme: BoundScheme) -> Reader | None:
    """Return what a caller asks of this scheme: the first of its questions that the scheme can answer."""
    return next((reader for name in context.asks if (reader := asked(scheme, name)) is not None), None)


def model_of(cell: Cell, *, one_at_a_time: bool = False) -> Model:
    """
    Return the model that a cell stands for; `one_at_a_time` with a lock around every call, so that nothing overlaps.

    Raises UsageError where no kernel with that scheme does this, or the scheme cannot answer.
    """
    scheme, order, mix = find_scheme(cell.scheme), cell.pages.bit_length() - 1, MIXES[cell.writers]
    start, together = mix.calls(cell.pages)
    locks = frozenset(KINDS) - cell.without
    renews = any(call.renews for calls in together for call in calls)
    if cell.context == AT_REST:
        threads = tuple(as_called(cell.scheme, calls) for calls in together)
        rest = Model(
            scheme,
            order,
            threads,
            start,
            mix.kind,
            statistics=True,
            references=renews,
            locks=locks,
            memory_model=cell.memory,
        )
        return _serial(rest) if one_at_a_time else rest
    context = context_of(cell, scheme)
    reader = question_of(context, scheme)
    if reader is None:
        why = scheme.scheme.cannot.get(context.asks[0], f"it has no {' or '.join(context.asks)}")
        raise UsageError(f"{cell.scheme} cannot answer {context.id}: {why}")
    extra = int(reader.quantity is Quantity.EXTRA_REFERENCES)
    question = QUESTIONS.get(reader.name)
    counts = renews or (question is not None and "_refcount" in question.names)
    finding = question is not None and question.unmaps
    if finding and cell.more - {REFERENCE}:
        raise UsageError(f"{context.id} takes its locks when it needs them, and gives them back: it cannot have others")
    threads = tuple(as_called(cell.scheme, calls, in_one=finding) for calls in together)
    small = scaled(scheme, order, len(threads)) if scheme.scheme.scalable else scheme
    model = Model(
        small,
        order,
        (*threads, _reads(cell, context, reader)),
        start,
        mix.kind,
        watch_all=True,
        histories=len(context.pages_read) > 1,
        references=counts,
        extra_references=extra,
        reader_references=int(counts and has_reference(cell, context)),
        page_tables=finding,
        locks=locks,
        truth_kind=cell.truth,
        memory_model=cell.memory,
    )
    return _serial(model) if one_at_a_time else model


def _reads(cell: Cell, context: Context, reader: Reader) -> tuple[Call, ...]:
    """Return the calls of whoever reads."""
    pages = (page if reader.per_page else 0 for page in context.pages_read)
    return tuple(Call(reader.name, first=page, mm=READER_MM, holds=context.holds(cell.more)) for page in pages)


def _serial(model: Model) -> Model:
    threads = tuple(tuple(replace(call, holds=(*call.holds, EVERYTHING)) for call in calls) for calls in model.threads)
    return replace(model, threads=threads)


def properties_asked(cell: Cell) -> tuple[str, ...]:
    """Return the properties that a cell is judged by."""
    if cell.context == AT_REST:
        return tuple(REST_PROPERTIES)
    scheme = find_scheme(cell.scheme)
    context = context_of(cell, scheme)
    reader = question_of(context, scheme)
    if reader is None:
        return ()
    fitting = (one.id for one in READER_PROPERTIES.values() if reader.quantity in one.quantities)
    return tuple(name for name in fitting if name in context.relies)


def known_property(name: str) -> str:
    """Return a property's name. Raises UsageError if there is none of that name."""
    if name not in READER_PROPERTIES and name not in REST_PROPERTIES:
        raise UsageError(
            f"there is no property {name!r}; there are: {', '.join((*READER_PROPERTIES, *REST_PROPERTIES))}"
        )
    return name
