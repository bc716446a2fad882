"""What must hold when every thread has done everything: the scheme's own invariants, on the words that are left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.errors import UsageError
from mapcount.schemes.scheme import Promise, Words
from mapcount.schemes.truth import truth_of

if TYPE_CHECKING:
    from mapcount.check.steps import State, Steps
    from mapcount.schemes.memory import Memory
    from mapcount.schemes.truth import FolioTruth


def broken_at_rest(steps: Steps, state: State, *, statistics: bool | None = None) -> list[str]:
    """
    Return what is broken in a final state: in the words of the scheme's invariants, and readers that should be exact.

    With `statistics` only what is said of the NR_* statistics, or (False) only what is said of the words.

    Raises UsageError for a model without statistics, of which the invariants speak, or with scaled constants, which they do
    not know.
    """
    model = steps.model
    if not model.statistics:
        raise UsageError("invariants speak of statistics too: the model has to keep them")
    scaled = [name for name in model.scheme.scheme.scalable if name in model.scheme.constants]
    if scaled:
        raise UsageError(f"invariants know {scaled[0]} as it is: the model must not make it small")
    memory = model.scheme.memory([model.order], [model.kind])
    steps.layout.write(steps.cells(state), memory)
    truth = steps.moments.settled([steps.local(state, thread) for thread in range(len(steps.threads))])
    words = Words(memory, 0)
    wrong = [] if statistics else _wrong_readers(steps, memory, truth)
    asked = [
        one for one in model.scheme.scheme.invariants if statistics is None or one.text.startswith("NR_") is statistics
    ]
    found = (invariant.broken(words, truth) for invariant in asked)
    return [*(broken for broken in found if broken), *wrong]


def _wrong_readers(steps: Steps, memory: Memory, truth: FolioTruth) -> list[str]:
    """Return what readers that promise the exact value say that is not so, with nobody in their way."""
    model, wrong = steps.model, []
    for reader in model.scheme.scheme.readers:
        if reader.promise is not Promise.EXACT:
            continue
        for page in range(1 << model.order if reader.per_page else 1):
            value = int(model.scheme.functions[reader.name](memory, 0, model.order, page))
            true = truth_of(reader.quantity, truth, page)
            if value != true:
                wrong.append(f"{reader.name} returns {value} of page {page}, and {true} is true")
    return wrong
