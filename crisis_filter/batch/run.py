"""One batch from its inputs to its output: begun or gone on with, judged, judged again where a service had failed, and put out."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from crisis_filter import assets
from crisis_filter.backends.together import TogetherFigures
from crisis_filter.batch.again import judge_again
from crisis_filter.batch.budget import Budget, Capped
from crisis_filter.batch.cache import Judge, VerdictCache
from crisis_filter.batch.journal import Journal
from crisis_filter.batch.journal_files import Crash, no_crash
from crisis_filter.batch.journal_lines import End, Head
from crisis_filter.batch.lanes import lanes
from crisis_filter.batch.output import finish
from crisis_filter.batch.rate import rate_gate
from crisis_filter.batch.rate_bucket import Limits
from crisis_filter.batch.rate_slots import SlotsPolicy
from crisis_filter.batch.rows import BatchRow, input_files, numbered
from crisis_filter.batch.slots import Count, Judging, judge_rows
from crisis_filter.batch.spec import BatchSpec, fingerprint
from crisis_filter.batch.together import Assess, gathering
from crisis_filter.batch.workers import judge_in_processes
from crisis_filter.errors import FAULTS, ConfigurationError, Fault
from crisis_filter.pipeline.description import LOCAL
from crisis_filter.pipeline.filter import CrisisFilter
from crisis_filter.pipeline.garbage import seldom
from crisis_filter.pipeline.spec import open_filter
from crisis_filter.schema import Assessment, Message
from crisis_filter.tables.duplicates import SeenIds
from crisis_filter.tables.reading import read_messages

__all__ = ["Ending", "rows_of", "run_batch"]

_REPLAYING = ("scripted:", "recorded:")


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended."""

    count: Count
    end: End | None
    """What the whole batch came to; `None` when it is not finished."""
    why: str | None = None
    """Why it is not."""
    again: int = 0
    """Rows that were judged again after a fault of the service."""
    settled: int = 0
    """Of those, the ones whose new assessment took the place of the old one."""
    together: TogetherFigures | None = None
    """What was asked about several messages at once; `None` where that was not wanted."""


def rows_of(spec: BatchSpec) -> Iterator[BatchRow]:
    """The rows of all inputs, the same every time.

    Raises:
        InputError: an input cannot be read.
    """
    seen = SeenIds()
    reading = spec.reading
    stems = [Path(name).stem for name in spec.inputs]
    return numbered(
        (
            name,
            read_messages(
                name,
                format=reading.format,
                text_column=reading.text_column,
                id_column=reading.id_column,
                locale=reading.locale,
                label=stem if stems.count(stem) == 1 else name,
                seen=seen,
            ),
        )
        for name, stem in zip(spec.inputs, stems, strict=True)
    )


async def run_batch(
    spec: BatchSpec,
    *,
    force: bool = False,
    verify: bool = False,
    begun: Callable[[Journal], None] = lambda _: None,
    tell: Callable[[Count], None] = lambda _: None,
    crash: Crash = no_crash,
) -> Ending:
    """Do a batch, or what is left of it.

    Args:
        spec: the batch.
        force: begin anew, whatever is there.
        verify: prove a journal that is there line by line.
        begun: is told once the journal is open.
        tell: is told after every row.
        crash: for tests.

    Raises:
        InputError: an input cannot be read or was changed since the run was begun.
        ConfigurationError: what judges cannot be opened or was changed, another run is at work, or the disk does not take a file.
    """
    _refuse(spec)
    shared = gathering(spec.judging, spec.together, spec.proof)
    head_inputs = input_files(map(Path, spec.inputs))
    gate = _gate(spec)
    async with AsyncExitStack() as stack:
        opener = None if gate is None else lanes(gate, fast=spec.fast)
        if shared is not None and opener is not None:
            opener = shared.opener(opener)
        crisis_filter = open_filter(spec.judging, opener=opener)
        stack.push_async_callback(crisis_filter.aclose)
        stack.enter_context(seldom())
        head = Head(
            run=secrets.token_hex(8),
            salt=secrets.token_hex(16),
            version=assets.package_version(),
            inputs=head_inputs,
            fingerprint=fingerprint(spec, crisis_filter),
        )
        journal = stack.enter_context(Journal.open(Path(spec.output), head, force=force, verify=verify, crash=crash))
        begun(journal)
        count = Count()
        budget = Budget(
            most_money=spec.most_money,
            prompt_price=spec.prompt_price or 0.0,
            completion_price=spec.completion_price or 0.0,
        )
        cache = _cache(head, crisis_filter) if spec.reuse else None
        # Who is judged again is judged singly, whatever the first time was like.
        again = Judging(_reusing(cache, crisis_filter.assess), journal, budget, throttle=gate, tell=tell)
        if journal.end is not None:
            return await _healed(spec, again, journal.end, count, crash)
        how = again
        if shared is not None:
            how = replace(again, assess=_reusing(cache, shared.sharing(crisis_filter.assess)))
        ending = await _whole(spec, how, again, count, crash)
        return ending if shared is None else replace(ending, together=shared.figures)


async def _whole(spec: BatchSpec, how: Judging, again: Judging, count: Count, crash: Crash) -> Ending:
    """All that is not judged yet; then once more what a fault of the service left open, and the output."""
    journal, why = how.journal, None
    if spec.workers > 1:
        await judge_in_processes(spec.judging, rows_of(spec), how, spec.workers, count)
    else:
        why = await judge_rows(rows_of(spec), how, spec.slots, count)
    if why is not None:
        await journal.flushed()
        return Ending(count, None, why)
    received = count.read
    rejudged, settled = 0, 0
    if spec.judging.backend != LOCAL:
        rejudged, settled = await judge_again(lambda: rows_of(spec), again, spec.slots, count)
    await journal.flushed()
    end = await asyncio.to_thread(finish, journal, received=received, crash=crash)
    return Ending(count, end, again=rejudged, settled=settled)


async def _healed(spec: BatchSpec, how: Judging, end: End, count: Count, crash: Crash) -> Ending:
    """A finished batch: what a fault of the service left open is judged once more, and the output made anew where that settles any."""
    if spec.judging.backend == LOCAL or not any(FAULTS[Fault(fault)].rejudge == "healed" for fault in end.faults):
        return Ending(count, end)
    again, settled = await judge_again(lambda: rows_of(spec), how, spec.slots, count)
    if settled:
        await how.journal.flushed()
        end = await asyncio.to_thread(finish, how.journal, received=end.received, crash=crash)
    return Ending(count, end, again=again, settled=settled)


def _refuse(spec: BatchSpec) -> None:
    if spec.judging.backend.startswith(_REPLAYING):
        raise ConfigurationError(
            "a batch does not take scripted or recorded answers: nobody would have read the messages"
        )
    if spec.workers > 1 and (spec.judging.backend != LOCAL):
        raise ConfigurationError(
            "more than one worker is for the embedded engine; one process keeps an endpoint busy: raise --slots"
        )
    if spec.workers > 1 and spec.reuse:
        raise ConfigurationError("verdicts are reused within one process: add --workers 1")
    if spec.most_money is not None and spec.prompt_price is None and spec.completion_price is None:
        raise ConfigurationError(
            "a budget of money needs prices: --prompt-price and --completion-price, per million tokens"
        )


def _cache(head: Head, crisis_filter: CrisisFilter) -> VerdictCache:
    judge = Judge(
        backend=head.fingerprint.sha256,
        policy=crisis_filter.policy.ref,
        taxonomy=crisis_filter.taxonomy.ref,
        prompts=crisis_filter.prompts,
        version=head.version,
    )
    return VerdictCache(judge, key=secrets.token_bytes(32))


def _reusing(cache: VerdictCache | None, judge: Assess) -> Assess:
    if cache is None:
        return judge

    async def assess(message: Message) -> Assessment:
        known = cache.get(message)
        if known is not None:
            await asyncio.sleep(0)  # or a file of one text would keep all other slots waiting
            return known
        assessment = await judge(message)
        cache.put(message, assessment)
        return assessment

    return assess


def _gate(spec: BatchSpec) -> Capped | None:
    if spec.judging.backend == LOCAL:
        return None
    limits = Limits(requests_per_minute=spec.requests_per_minute, tokens_per_minute=spec.tokens_per_minute)
    # Where the account's limits are known, all places may be taken from the start.
    known = spec.requests_per_minute is not None or spec.tokens_per_minute is not None
    slots = SlotsPolicy(most=spec.slots, start=spec.slots if known else None)
    return Capped(rate_gate(limits, slots=slots, rng=np.random.default_rng()), spec.most_requests)
