"""Whether an endpoint answers Stage 2: a clear crisis, sorted into categories, in the shape that was agreed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from crisis_filter.drill.finding import Finding
from crisis_filter.drill.messages import Labelled
from crisis_filter.drill.probes import Clock, Witness
from crisis_filter.drill.signs import FILTER_ADVICE, REFUSAL_ADVICE, advice_on
from crisis_filter.errors import BackendError, Fault
from crisis_filter.prompting.render import NonceSource, Rendered
from crisis_filter.schema import Failure
from crisis_filter.stages.base import Categories
from crisis_filter.stages.categorise import PromptedCategorise
from crisis_filter.taxonomy.records import Taxonomy

SORTS = 2
"""Most requests: the second one only where the first brought no good answer."""
_SHAPE = "Try another model, or a server that keeps to a JSON schema: a crisis whose kind nobody names is still told, as unspecified"
_ADVICE = {
    Fault.STAGE_CONFLICT: "Try another model: this one names no category of a clear crisis, so that nobody is told of which kind it is",
    Fault.TRUNCATED: "Turn the model's thinking off or down, or use a categorise prompt with a higher max_output_tokens",
    Fault.CONTEXT_OVERFLOW: "Give the server a larger window, or take a shorter categorise prompt",
    Fault.FILTER_PROMPT: FILTER_ADVICE,
    Fault.FILTER_FINISH: FILTER_ADVICE,
    Fault.REFUSAL_FIELD: REFUSAL_ADVICE,
    Fault.REFUSAL_PROSE: REFUSAL_ADVICE,
}


@dataclass(frozen=True, slots=True)
class Sort:
    """One request to categorise, and what became of it."""

    result: Categories | Failure = field(repr=False)
    error: BackendError | None
    """Set where no reply came."""
    elapsed_ms: float
    wanted: bool
    """Whether the message shows a category of the taxonomy, so that none named is wrong."""

    @property
    def fault(self) -> Fault | None:
        """What was wrong; `None` for a good answer."""
        if self.result.fault is None and isinstance(self.result, Categories) and self.wanted and not self.result.named:
            return Fault.STAGE_CONFLICT
        return self.result.fault


async def try_sort(
    witness: Witness,
    rendered: Rendered,
    taxonomy: Taxonomy,
    crises: Collection[Labelled],
    *,
    timeout_s: float,
    nonces: NonceSource,
    clock: Clock = time.perf_counter,
) -> list[Sort]:
    """Have a clear crisis sorted, and where that goes wrong another one.

    Args:
        witness: who is asked.
        rendered: the categorise prompt.
        taxonomy: what it was made ready for.
        crises: the messages to take from; those that show a category of the taxonomy go first.
        timeout_s: for one request.
        nonces: where nonces come from.
        clock: seconds that only grow.
    """
    stage = PromptedCategorise(witness, rendered, taxonomy.ids, nonces=nonces)
    known = set(taxonomy.ids)
    sorts: list[Sort] = []
    for message in sorted(crises, key=lambda one: known.isdisjoint(one.categories))[:SORTS]:
        started = clock()
        answer = await stage.categorise(message.text, timeout_s)
        elapsed_ms = (clock() - started) * 1000
        sorts.append(Sort(answer.result, witness.error, elapsed_ms, not known.isdisjoint(message.categories)))
        if sorts[-1].fault is None or witness.gave_up:
            break
    return sorts


def judge_sort(sorts: Sequence[Sort]) -> Finding:
    """What the answers of Stage 2, at least one, say: the first or the second must be good."""
    bad = [(each, each.fault) for each in sorts if each.fault is not None]
    took = f"{max(each.elapsed_ms for each in sorts):,.0f} ms"
    words = f"{len(sorts) - len(bad)} of {len(sorts)} answers of Stage 2 are whole and name known categories"
    if not bad:
        return Finding(check="categorise", status="ok", seen=f"{words}; {took}")
    names = ", ".join(f"{fault} {n}" for fault, n in Counter(fault for _, fault in bad).most_common())
    last, fault = bad[-1]
    advice = advice_on(last.error) if last.error is not None and fault not in _ADVICE else _ADVICE.get(fault, _SHAPE)
    status = "fail" if len(bad) == len(sorts) else "warn"
    return Finding(check="categorise", status=status, seen=f"{words} ({names}); {took}", advice=advice)
