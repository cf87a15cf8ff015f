"""A whole search, or what is left of it: opened, done, counted and written down."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from crisis_filter.backends.base import Backend
from crisis_filter.backends.registry import open_backend
from crisis_filter.errors import InputError
from crisis_filter.experiments.optimize.choosing import Candidate, Counts, chosen, count, may_win
from crisis_filter.experiments.optimize.feedback import Case
from crisis_filter.experiments.optimize.folder import BEST, RESULT, OptimizeFolder
from crisis_filter.experiments.optimize.judging import Judging, stage_one
from crisis_filter.experiments.optimize.proposals import Private
from crisis_filter.experiments.optimize.purse import HaltError, Purse
from crisis_filter.experiments.optimize.records import Result
from crisis_filter.experiments.optimize.reflecting import Reflecting
from crisis_filter.experiments.optimize.search import Search, require_gepa, searched
from crisis_filter.experiments.optimize.work import Work, reflection_hash
from crisis_filter.pipeline.chain import open_links
from crisis_filter.prompting.render import render

__all__ = ["Progress", "following_plan", "optimize"]

_MARGIN = 0.05
_NEXT = """\
# The experiment to run next: the candidate beside the prompt it is to replace, on messages that no search has seen.
# Decide the bounds before you run it, and look once: crisis-filter experiment run next.yaml --unlock-validation 'why'
# A prompt is promoted as the file that was validated: to release this one, copy it to its place first, with an id of its own, and name that file.
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a search stands."""

    judged: int
    max_calls: int
    candidates: int
    proposals: int
    rejected: int


async def optimize(work: Work, folder: OptimizeFolder, tell: Callable[[Progress], None] = lambda _: None) -> Result:
    """Search, and write what comes of it into the folder.

    A finished folder is searched again from what was written down, without asking anybody, and has to come to the same.

    Args:
        work: what to search.
        folder: takes every call.
        tell: is told after every new answer.

    Raises:
        ConfigurationError: a backend cannot be opened, or a file cannot be written.
        InputError: a finished search does not come to the same.
    """
    require_gepa()
    async with AsyncExitStack() as stack:
        judge: Backend | None = None
        reflection: Backend | None = None
        if not folder.replaying:
            judge = open_links([work.spec.backend_spec()])
            stack.push_async_callback(judge.aclose)
            reflection = open_backend(work.reflection)
            stack.push_async_callback(reflection.aclose)
        search = _search(work, folder, judge, reflection, tell)
        try:
            await searched(search)
        except HaltError as halt:
            search.ended = halt.why
    result = _result(work, search)
    if folder.replaying:
        if (folder.path / RESULT).read_text(encoding="utf-8") != result.model_dump_json(indent=1) + "\n":
            raise InputError(
                f"{folder.path}: made again from its calls, the search comes to another result than {RESULT} says; restore its files"
            )
        return result
    systems = {number: search.template.with_parts(found.parts) for number, found in enumerate(search.found)}
    folder.put(result, work.seed, systems, following_plan(work) if result.winner is not None else None)
    return result


def _search(
    work: Work,
    folder: OptimizeFolder,
    judge: Backend | None,
    reflection: Backend | None,
    tell: Callable[[Progress], None],
) -> Search:
    choices, variant = work.choices, work.column.variant
    purse = Purse(work.plan.budget, {"judge": variant.price, "reflection": work.reflection_price}, folder.calls)

    def told() -> None:
        tell(
            Progress(
                judged=search.judging.judged,
                max_calls=choices.max_calls,
                candidates=len(search.found),
                proposals=search.reflecting.asked,
                rejected=search.rejected.total(),
            )
        )

    judging = Judging(
        partial(stage_one, work.spec, work.policy, work.taxonomy),
        judge,
        work.spec.backend_spec().name,
        variant.fingerprint,
        folder.calls,
        purse,
        concurrency=work.plan.options.max_concurrency,
        tell=told,
    )
    reflecting = Reflecting(
        reflection,
        work.reflection.name,
        reflection_hash(work.reflection, choices.reflection.tokens),
        folder.calls,
        purse,
        tokens=choices.reflection.tokens,
        deadline_s=choices.reflection.timeout_s,
    )
    search = Search(
        seed=work.seed,
        template=work.template,
        taxonomy=work.taxonomy,
        learned=work.learned.cases,
        deciding=work.deciding.cases,
        private=Private(_texts(work.learned.cases), render(work.seed.prompt, work.taxonomy).system),
        judging=judging,
        reflecting=reflecting,
        max_calls=choices.max_calls,
        minibatch=choices.minibatch,
        rng_seed=choices.seed,
    )
    return search


def _texts(cases: tuple[Case, ...]) -> list[str]:
    return [text for case in cases for text in (case.message.text, case.row.adjudication) if text]


def _result(work: Work, search: Search) -> Result:
    candidates = tuple(_candidates(search))
    winner = chosen(candidates)
    faults = search.judging.faults + search.reflecting.faults
    ended = search.ended or "nothing_to_learn"
    return Result(
        ended=ended,
        whole=ended not in ("budget", "silence") and faults == 0,
        max_calls=search.max_calls,
        judgements=search.judging.judged,
        faults=faults,
        proposals=search.reflecting.asked,
        rejected=dict(sorted(search.rejected.items())),
        candidates=candidates,
        winner=winner.number if winner is not None else None,
        id=work.seed.id,
        development=work.deciding.data.name,
        labelled_by=work.deciding.data.labelled_by,
    )


def _candidates(search: Search) -> list[Candidate]:
    items = [case.item for case in search.deciding]
    made: list[Candidate] = []
    first: Counts | None = None
    for number, found in enumerate(search.found):
        prompt = search.prompt(found.parts)
        outcomes = {item.id: search.judging.said(prompt, item.id).outcome for item in items}
        counts = count(items, outcomes)
        first = first or counts
        before = search.found[found.parents[0]].parts if found.parents else found.parts
        made.append(
            Candidate(
                number=number,
                parents=found.parents,
                changed=tuple(name for name, text in found.parts.items() if before[name] != text),
                prompt=prompt.ref,
                characters=len(prompt.system),
                counts=counts,
                may_win=may_win(counts, first),
                missed=tuple(i.id for i in items if i.crisis and outcomes[i.id] == "no_crisis"),
                undetermined=tuple(i.id for i in items if outcomes[i.id] == "undetermined"),
                alarms=tuple(i.id for i in items if not i.crisis and outcomes[i.id] == "crisis"),
            )
        )
    return made


def following_plan(work: Work) -> str | None:
    """The file of the experiment that follows: seed and candidate on the validation split, with bounds to be decided on.

    Returns:
        `None` where the data is a file, which has no such split.
    """
    tests = work.plan.tests
    if not Path(tests.data).is_dir():
        return None
    seed = work.plan.prompts[0]
    labels = (
        {"label": seed.label, "screen": seed.screen},
        {"label": f"{seed.label[:60]} candidate", "screen": f"./{BEST}.md"},
    )
    provider = work.plan.providers[0].model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    whole = {
        "prompts": [{**label, "categorise": seed.categorise} if seed.categorise else label for label in labels],
        "providers": [provider],
        "tests": {"data": tests.data, "split": "validation"},
        "acceptance": {"incumbent": seed.label, "sensitivity_margin": _MARGIN, "specificity_margin": _MARGIN},
        **({"policy": work.plan.policy} if work.plan.policy else {}),
        **({"taxonomy": work.plan.taxonomy} if work.plan.taxonomy else {}),
    }
    return _NEXT + yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)
