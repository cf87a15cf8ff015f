"""`crisis-filter policy try`: what a policy would have done with a run, and how many people that takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crisis_filter.cli.options import AsJson
from crisis_filter.cli.show import stdout_console
from crisis_filter.cli.trouble import putting_out, say, told
from crisis_filter.cli.wording import counted
from crisis_filter.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crisis_filter.cli.policy_runs import Besides, Remarks
    from crisis_filter.triage.comparing import Compared
    from crisis_filter.triage.policy import Policy
    from crisis_filter.triage.readers import Demand, Staffed
    from crisis_filter.triage.trying import Trial, Tried

DEFAULT = "default-v4"
_COLUMNS, _STAFF = "Columns", "Readers"


def try_(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", show_default=False, help="What classify or batch wrote: .jsonl, .csv or .parquet."
        ),
    ],
    pack: Annotated[str, typer.Option("--policy", help="Name or path of the policy pack to try.")] = DEFAULT,
    compare: Annotated[str | None, typer.Option(help="Another pack: which messages would it send elsewhere?")] = None,
    list_: Annotated[bool, typer.Option("--list", help="With --compare, the ids of those messages.")] = False,
    days: Annotated[
        float | None, typer.Option(min=0.0001, help="Over how many days the messages came (default: by their times).")
    ] = None,
    messages: Annotated[
        Path | None,
        typer.Option(help="File of the messages, with their id, to find the columns in.", rich_help_panel=_COLUMNS),
    ] = None,
    time_column: Annotated[
        str | None,
        typer.Option(
            help="Column with the time at which a message came, for rules with hours.", rich_help_panel=_COLUMNS
        ),
    ] = None,
    source_column: Annotated[
        str | None, typer.Option(help="Column with the source, for rules that name one.", rich_help_panel=_COLUMNS)
    ] = None,
    locale_column: Annotated[
        str | None, typer.Option(help="Column with the writer's locale.", rich_help_panel=_COLUMNS)
    ] = None,
    volume: Annotated[
        float | None,
        typer.Option(min=0.001, help="Messages a day to staff for (default: the run's).", rich_help_panel=_STAFF),
    ] = None,
    prevalence: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help="Share of crises among them (default: as in the run).", rich_help_panel=_STAFF
        ),
    ] = None,
    sensitivity: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Share of crises that raise an alarm.", rich_help_panel=_STAFF),
    ] = None,
    specificity: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Share of others that raise none.", rich_help_panel=_STAFF)
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes-per-message",
            min=0.01,
            help="How long a person takes for one message; asks how many must read.",
            rich_help_panel=_STAFF,
        ),
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(
            help="In which time it must be opened, such as 5m (default: each queue's own).", rich_help_panel=_STAFF
        ),
    ] = None,
    target: Annotated[
        float, typer.Option(min=0.5, max=0.9999, help="Share that must be opened in time.", rich_help_panel=_STAFF)
    ] = 0.95,
    peak: Annotated[
        float,
        typer.Option(min=1.0, max=24.0, help="How many times the average hour the busiest is.", rich_help_panel=_STAFF),
    ] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Say what a policy would have done with a run: messages by queue and urgency, alarms a day, and how many people must read.

    No model is called: the verdicts are those of the run. --minutes-per-message asks how many must read, by Erlang's delay formula.

    Exit status: 0 done; 2 the input is wrong; 5 configuration; 130 stopped.
    """
    with told():
        from crisis_filter.cli.policy_runs import Besides, Remarks
        from crisis_filter.triage.policy import load_policy
        from crisis_filter.triage.trying import Trial

        _refuse_halves(
            minutes, (prevalence, sensitivity, specificity), others=(volume, within), unlisted=list_ and compare is None
        )
        limit = _seconds(within)
        trial, remarks = Trial(load_policy(pack)), Remarks()
        beside = None if compare is None else load_policy(compare)
        besides = Besides(source_column, time_column, locale_column, messages)
        compared = _went_through(runs, besides, trial, beside, remarks)
        tried = trial.result(days)
        need = None
        if minutes is not None:
            demand = _demand(tried, volume, (prevalence, sensitivity, specificity), peak)
            from crisis_filter.triage.readers import staffed

            need = staffed(tried, demand, minutes=minutes, target=target, within_s=limit)
        with putting_out():
            if as_json:
                typer.echo(json.dumps(_record(tried, compared, need, ids=list_), allow_nan=False))
            else:
                _show(tried, compared, need, ids=list_)
        _remark(tried, remarks, trial.policy)


def _refuse_halves(
    minutes: float | None, rates: Sequence[float | None], *, others: Sequence[object], unlisted: bool
) -> None:
    """Refuse options that need others."""
    if minutes is None and any(value is not None for value in (*rates, *others)):
        raise InputError("add --minutes-per-message: how long a person takes for one message")
    if None in rates and any(rate is not None for rate in rates):
        raise InputError("give --prevalence, --sensitivity and --specificity together, or none for the run's own")
    if unlisted:
        raise InputError("--list needs --compare: the ids of what goes elsewhere")


def _went_through(
    runs: Sequence[Path], besides: Besides, trial: Trial, other: Policy | None, remarks: Remarks
) -> Compared | None:
    """Route every message of the runs, under one policy or under two."""
    from crisis_filter.cli.policy_runs import read_judged
    from crisis_filter.triage.comparing import Comparison
    from crisis_filter.triage.hours import zone

    beside = None if other is None else Comparison(trial.policy, other)
    for judged in read_judged(runs, besides, zone(trial.policy.timezone), remarks):
        if judged.assessment.provenance.detector.startswith("baseline:"):
            raise InputError("the run is a baseline's, which is for evaluation and never routed")
        one = trial.add(judged)
        if beside is not None:
            beside.add(judged, one)
    return None if beside is None else beside.result()


def _demand(tried: Tried, volume: float | None, rates: Sequence[float | None], peak: float) -> Demand:
    from crisis_filter.triage.readers import Demand

    if volume is None:
        if tried.days is None:
            raise InputError(
                "say for how many messages a day with --volume, or over how many days the run came with --days"
            )
        volume = tried.messages / tried.days
    prevalence, sensitivity, specificity = rates
    if prevalence is None or sensitivity is None or specificity is None:
        return Demand(per_day=volume, peak=peak)
    return Demand(per_day=volume, prevalence=prevalence, sensitivity=sensitivity, specificity=specificity, peak=peak)


def _record(tried: Tried, compared: Compared | None, need: Staffed | None, *, ids: bool) -> dict[str, Any]:
    left_out = None if ids else {"moves": {"__all__": {"ids"}}}
    return {
        "tried": tried.model_dump(mode="json"),
        "compared": None if compared is None else compared.model_dump(mode="json", exclude=left_out),
        "staffed": None if need is None else need.model_dump(mode="json"),
    }


def _show(tried: Tried, compared: Compared | None, need: Staffed | None, *, ids: bool) -> None:
    from crisis_filter.cli.policy_show import show_compared, show_staffed, show_tried

    console = stdout_console()
    show_tried(tried, console)
    if compared is not None:
        show_compared(compared, console, ids=ids)
    if need is not None:
        show_staffed(need, console)


def _seconds(within: str | None) -> float | None:
    from pydantic import TypeAdapter, ValidationError

    from crisis_filter.triage.rules import Span, seconds

    if within is None:
        return None
    try:
        return float(seconds(TypeAdapter(Span).validate_python(within)))
    except ValidationError:
        raise InputError("--within is a time such as 5m, 4h or 1d") from None


def _remark(tried: Tried, remarks: Remarks, chosen: Policy) -> None:
    """What the reader of the figures has to know, on the standard error."""
    if tried.hours_unknown and any(rule.window is not None for rule in chosen.rules):
        say(
            f"{counted(tried.hours_unknown, 'message')} without a time: every rule with hours matched, as at the most urgent hour (--time-column)"
        )
    if tried.sources_unknown and any(rule.sources for rule in chosen.rules):
        say(f"{counted(tried.sources_unknown, 'message')} of unknown source: rules that name sources did not match")
    if remarks.tables and any(rule.degraded is not None for rule in chosen.rules):
        say("a table does not say whether the service was degraded: it was taken for whole; JSON Lines says it")
    if remarks.zoneless:
        say(f"{counted(remarks.zoneless, 'time')} without a zone, taken in {chosen.timezone}")
    if remarks.strangers:
        say(f"{counted(remarks.strangers, 'message')} of the run not in the file of the messages")
