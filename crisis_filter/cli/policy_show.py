"""A policy, and what it would have done, on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crisis_filter.cli.evaluate_table import print_table, text
from crisis_filter.cli.wording import OUTCOMES as OUTCOME_WORDS
from crisis_filter.cli.wording import counted
from crisis_filter.schema import OUTCOMES, URGENCIES
from crisis_filter.triage.matching import order_of
from crisis_filter.triage.protocols import load_protocols
from crisis_filter.triage.rules import LONGEST_S
from crisis_filter.triage.words import condition_words, span_words

if TYPE_CHECKING:
    from rich.console import Console

    from crisis_filter.triage.comparing import Compared
    from crisis_filter.triage.policy import Policy
    from crisis_filter.triage.protocols import Protocol, ProtocolPack
    from crisis_filter.triage.readers import Staffed
    from crisis_filter.triage.rules import Rule
    from crisis_filter.triage.trying import Tried

_MOST_IDS = 1000


def _ordered(policy: Policy) -> list[Rule]:
    """Rules in the order in which they decide, outcome by outcome."""
    return [ready.rule for outcome in OUTCOMES for ready in order_of(policy.rules, outcome).ready]


def record_of(policy: Policy) -> dict[str, Any]:
    """The policy as one object: its own fields, the words of each rule, and the protocols."""
    pack = None if policy.protocols is None else load_protocols(policy.protocols)
    return {
        **policy.model_dump(mode="json", exclude={"rules"}),
        "rules": [
            {**_sorted(rule.model_dump(mode="json")), "when": condition_words(rule)} for rule in _ordered(policy)
        ],
        "protocol_pack": None if pack is None else pack.model_dump(mode="json"),
    }


def _sorted(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: sorted(value) if isinstance(value, list) else value for name, value in fields.items()}


def show_policy(policy: Policy, console: Console, *, protocols: bool) -> None:
    """Print queues, rules in the order in which they decide, and the protocols by title or whole."""
    console.print(text(f"{policy.ref.id}: {policy.description}"))
    print_table(
        console,
        "Queues",
        ("queue", "what it is", "read by"),
        [(queue.id, queue.name, queue.staffed_by or "nobody") for queue in policy.queues],
    )
    for outcome in OUTCOMES:
        rules = [rule for rule in _ordered(policy) if rule.outcome == outcome]
        print_table(
            console,
            f"{OUTCOME_WORDS[outcome].capitalize()}: the first rule that fits decides",
            ("rule", "when", "queue", "urgency", "within", "protocol", "if nobody opens it"),
            [_row(rule, policy) for rule in rules],
        )
    console.print()
    if policy.format == 2:
        console.print(text(f"Hours are those of {policy.timezone}. Where the hour is not known, rules with hours fit."))
    if policy.protocols is not None:
        _show_protocols(load_protocols(policy.protocols), console, whole=protocols)


def _row(rule: Rule, policy: Policy) -> tuple[str, ...]:
    limit = rule.within or (span_words(LONGEST_S[rule.urgency]) if rule.queue in policy.staffed else "")
    onward = "" if rule.escalate_to is None else f"{rule.escalate_to} after {rule.escalate_after}"
    return (rule.id, condition_words(rule), rule.queue, rule.urgency, limit, rule.protocol or "", onward)


def _show_protocols(pack: ProtocolPack, console: Console, *, whole: bool) -> None:
    console.print()
    console.print(text(f"Protocols of {pack.ref.id}"))
    for protocol in pack.protocols:
        reviewed = protocol.reviewed_by or "nobody: no clinician has reviewed it"
        console.print(text(f"  {protocol.id}: {protocol.title} (reviewed by {reviewed})"), soft_wrap=True)
        if whole:
            _show_protocol(protocol, console)


def _show_protocol(protocol: Protocol, console: Console) -> None:
    for title, steps in (("First", protocol.first), ("Next", protocol.next), ("Never", protocol.never)):
        console.print(text(f"    {title}"))
        for number, step in enumerate(steps, 1):
            console.print(text(f"      {number}. {step}"), soft_wrap=True)
    for source in protocol.sources:
        console.print(text(f"    Source: {source.title}. {source.address}"), soft_wrap=True)


def show_tried(tried: Tried, console: Console) -> None:
    """Print how many messages went where."""
    outcomes = ", ".join(f"{tried.outcomes[outcome]:,} {OUTCOME_WORDS[outcome]}" for outcome in OUTCOMES)
    console.print(text(f"{tried.policy.id}: {counted(tried.messages, 'message')} ({outcomes})"))
    console.print(text(_over(tried)))
    per_day = tried.days is not None
    staffed = {queue.queue: queue.staffed_by for queue in tried.queues}
    print_table(
        console,
        "By queue and urgency",
        ("queue", "urgency", "read by", "messages", "share", *(("a day",) if per_day else ())),
        [
            (
                line.queue,
                line.urgency,
                staffed[line.queue] or "nobody",
                f"{line.messages:,}",
                f"{100 * line.share:.2f}%",
                *((f"{line.per_day:,.1f}",) if line.per_day is not None else ()),
            )
            for line in tried.lines
        ],
        numbers=(3, 4, 5),
    )
    console.print()
    days = f", {tried.to_people / tried.days:,.1f} a day" if tried.days is not None else ""
    console.print(text(f"To people: {tried.to_people:,} of {tried.messages:,}{days}."))
    console.print(text(f"Set aside by rule (empty content, read by nobody): {tried.set_aside:,}."))
    called = ", ".join(f"{name} {number:,}" for name, number in sorted(tried.protocols.items()))
    console.print(text(f"Protocols called for: {called or 'none'}."))
    idle = [name for name, number in tried.rules.items() if not number]
    if idle:
        console.print(text(f"Rules that decided nothing here: {', '.join(idle)}."))


def _over(tried: Tried) -> str:
    if tried.days is None:
        return "Over how many days is not known: say --days, or name the times with --time-column."
    how = "as told" if tried.days_from == "given" else "of the calendar, from the first message to the last"
    return f"Over {tried.days:g} days, {how}."


def show_compared(compared: Compared, console: Console, *, ids: bool) -> None:
    """Print what another policy sends elsewhere."""
    changed = compared.messages - compared.same
    title = f"Under {compared.other.id} instead of {compared.policy.id}"
    rows = [
        (f"{move.queue}, {move.urgency}", f"{move.other_queue}, {move.other_urgency}", f"{move.messages:,}")
        for move in compared.moves
    ]
    if rows:
        print_table(console, title, ("from", "to", "messages"), rows, numbers=(2,))
    else:
        console.print()
        console.print(text(f"{title}:"))
    console.print(
        text(
            f"{changed:,} of {counted(compared.messages, 'message')} go elsewhere: {compared.sooner:,} more urgent, {compared.later:,} less; "
            f"{compared.to_nobody:,} crises and undetermined ones would lose their reader."
        )
    )
    if ids:
        for move in sorted(compared.moves, key=lambda each: URGENCIES.index(each.urgency)):
            for name in move.ids[:_MOST_IDS]:
                where = f"{move.queue}, {move.urgency} > {move.other_queue}, {move.other_urgency}"
                console.print(text(f"{name}: {where}"), soft_wrap=True)
            if len(move.ids) > _MOST_IDS:
                console.print(text(f"{len(move.ids) - _MOST_IDS:,} more ids not shown; --json has all"))


def show_staffed(need: Staffed, console: Console) -> None:
    """Print how many must read each queue, and on what assumptions."""
    demand = need.demand
    title = (
        f"Readers at work at once in the busiest hour: {demand.per_day:,.0f} messages a day, {need.minutes:g} minutes each, "
        f"{100 * need.target:g}% opened in time"
    )
    print_table(
        console,
        title,
        (
            "queue",
            "read by",
            "a day",
            "busiest hour",
            "within",
            "readers",
            "busy",
            "wait at all",
            "in time",
            "mean wait",
        ),
        [
            (
                one.queue,
                one.staffed_by,
                f"{one.per_day:,.1f}",
                f"{one.busiest_hour:,.2f}",
                span_words(round(one.within_s)) if one.within_s else "at once",
                f"{one.readers:,}",
                f"{100 * one.busy:.0f}%",
                f"{100 * one.waits:.1f}%",
                f"{100 * one.in_time:.1f}%",
                span_words(round(one.mean_wait_s)),
            )
            for one in need.queues
            if one.readers
        ],
        numbers=(2, 3, 4, 5, 6, 7, 8, 9),
    )
    idle = [one.queue for one in need.queues if not one.readers]
    if idle:
        console.print(
            text(
                f"Nothing of the run went to {', '.join(idle)}: that is no proof that nothing will; somebody must be there."
            )
        )
    if need.alarms is not None:
        alarms = need.alarms
        console.print(
            text(
                f"A day, expected: {alarms.crises:,.1f} crises, of which {alarms.caught:,.1f} raise an alarm and {alarms.missed:,.1f} do not; "
                f"{alarms.false_alarms:,.1f} false alarms; {alarms.undetermined:,.1f} undetermined messages."
            )
        )
    console.print(
        text(
            "By Erlang's delay formula: messages come at random and one by one, reading times vary exponentially, each queue has its own readers, first "
            "come first served within its shortest limit; what is escalated is not counted twice. An outage or an event brings many at once and takes more; "
            "so do breaks and shifts."
        )
    )
