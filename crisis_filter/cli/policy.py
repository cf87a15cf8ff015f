"""`crisis-filter policy`: look a routing policy over, read it in words, and see what it would have done."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from crisis_filter.cli.options import AsJson
from crisis_filter.cli.policy_try import DEFAULT, try_
from crisis_filter.cli.show import stdout_console
from crisis_filter.cli.trouble import putting_out, told
from crisis_filter.cli.usage import Commands
from crisis_filter.cli.wording import counted

if TYPE_CHECKING:
    from crisis_filter.triage.policy import Policy

policy = typer.Typer(
    name="policy",
    cls=Commands,
    no_args_is_help=True,
    help="Who reads which message how soon: look a routing policy over, read it in words, and see what it would have done.",
)
_Pack = Annotated[str, typer.Argument(metavar="PACK", help="Name or path of a policy pack.")]


@policy.command("check")
def check(pack: _Pack = DEFAULT, as_json: AsJson = False) -> None:
    """Refuse a policy with a hole or with a rule that sends somebody to no one, and warn of what is probably not meant.

    The categories, protocols and resources that the policy names are looked at too.

    Exit status: 0 it holds, perhaps with warnings; 5 it does not hold; 130 stopped.
    """
    with told():
        from crisis_filter.triage.checking import warnings

        found = _loaded(pack)
        _refuse_what_it_names(found)
        noticed = warnings(found)
        with putting_out():
            if as_json:
                record = {
                    "policy": found.ref.model_dump(),
                    "rules": len(found.rules),
                    "warnings": [each.model_dump() for each in noticed],
                }
                typer.echo(json.dumps(record))
                return
            typer.echo(
                f"{found.ref.id} (SHA-256 {found.ref.sha256[:12]}...): {counted(len(found.rules), 'rule')}, every case is covered, "
                "and every crisis and undetermined message goes to somebody"
                + (
                    ", empty content aside"
                    if any(rule.for_empty_content and rule.queue not in found.staffed for rule in found.rules)
                    else ""
                )
            )
            for each in noticed:
                typer.echo(f"warning: {each.where}: {each.words}")
            typer.echo(counted(len(noticed), "warning") if noticed else "no warnings")


@policy.command("show")
def show(
    pack: _Pack = DEFAULT,
    protocols: Annotated[bool, typer.Option("--protocols", help="Print the texts of the protocols too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print a policy in words: queues, and the rules in the order in which they decide.

    Exit status: 0 done; 5 configuration; 130 stopped.
    """
    with told():
        from crisis_filter.cli.policy_show import record_of, show_policy

        found = _loaded(pack)
        with putting_out():
            if as_json:
                typer.echo(json.dumps(record_of(found), ensure_ascii=False))
            else:
                show_policy(found, stdout_console(), protocols=protocols)


policy.command("try")(try_)


def _loaded(pack: str) -> Policy:
    from crisis_filter.triage.policy import load_policy

    return load_policy(pack)


def _refuse_what_it_names(found: Policy) -> None:
    """Load what a policy names, and hold its rules against it."""
    from crisis_filter.taxonomy.load import load_taxonomy
    from crisis_filter.triage.resources import load_resources

    found.for_taxonomy(load_taxonomy(found.stages.taxonomy))
    load_resources(found.resources.pack)
