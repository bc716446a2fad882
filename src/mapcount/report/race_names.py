"""The names that `mapcount check` knows: callers, properties, writers, locks, and races with a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.check.contexts import CONTEXTS
from mapcount.check.locks import TITLES
from mapcount.check.mixes import MIXES
from mapcount.check.named import NAMED
from mapcount.check.properties import READER_PROPERTIES, REST_PROPERTIES, SOMETIMES, TRANSIENT_RANGE
from mapcount.report.layout import heading, note, sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from mapcount.check.properties import Property, RestProperty


def names() -> Iterator[RenderableType]:
    """Yield all names, each with a line about it."""
    yield heading("Callers (--reader): who reads, under which locks, and what for")
    for context in CONTEXTS.values():
        yield sentence(f"{context.id}: {context.function} asks {' or '.join(context.asks)}")
        reference = "a reference" if context.reference else "no reference"
        yield note(f"  locks: {', '.join(context.locks) or 'none'}; {reference}; relies on {', '.join(context.relies)}")
        yield from (note(f"  {name}, {harm.kind.value}: {harm.damage}") for name, harm in context.relies.items())
        yield note(f"  {context.source}")
    yield heading("Properties (--property)")
    properties: list[Property | RestProperty] = [*READER_PROPERTIES.values(), *REST_PROPERTIES.values()]
    for one in properties:
        yield sentence(f"{one.id}: {one.meaning}")
        yield note(f"  relied on by {one.relies}")
    yield sentence(f"{TRANSIENT_RANGE}: the least and the greatest value of each word in any state; told, not judged")
    yield heading("What a model reaches (sometimes, or never)")
    yield from (sentence(f"{name}: {meaning}") for name, meaning in SOMETIMES.items())
    yield heading("Writers (--writers)")
    for mix in MIXES.values():
        yield sentence(f"{mix.id}: {mix.says}")
    yield heading("Locks and other switches (--without-lock, --with-lock)")
    for kind, title in TITLES.items():
        yield sentence(f"{kind}: {title}")
    yield heading("Races with a name (give it in place of a model)")
    for name, race in NAMED.items():
        yield sentence(f"{name}: {race.story}")
        yield note(f"  {race.cell}{f' --reach {race.reach}' if race.reach else ''}; {race.source}")
