"""`crisis-filter serve`: the HTTP service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from crisis_filter.cli.options import (
    Backend,
    BaseUrl,
    Clearing,
    Fallback,
    PolicyName,
    Prevalence,
    Sample,
    TaxonomyName,
    Timeout,
    described,
)
from crisis_filter.cli.store_options import KeysFile, StoreUrl, with_the_extra
from crisis_filter.cli.trouble import say, told

if TYPE_CHECKING:
    from crisis_filter.service.spec import ServiceSpec

_SERVER, _LIMITS, _READING, _WEBHOOKS, _STORE = "Server", "Limits", "Second readings", "Webhooks", "Retention"


def serve(
    store: StoreUrl,
    keys: KeysFile = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; put TLS in front of any other.", rich_help_panel=_SERVER)
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, rich_help_panel=_SERVER)] = 8080,
    workers: Annotated[
        int,
        typer.Option(min=1, max=64, help="Processes that share port and store.", rich_help_panel=_SERVER),
    ] = 1,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65_535,
            help="With several workers: where the first shows its own /metrics, the others on the ports after it.",
            rich_help_panel=_SERVER,
        ),
    ] = None,
    backend: Backend = None,
    base_url: BaseUrl = None,
    fallback: Fallback = None,
    policy: PolicyName = None,
    taxonomy: TaxonomyName = None,
    timeout: Timeout = None,
    clearing: Clearing = None,
    sample: Sample = None,
    prevalence: Prevalence = None,
    at_once: Annotated[
        int, typer.Option(min=1, help="Messages that are judged at once.", rich_help_panel=_LIMITS)
    ] = 256,
    waiting: Annotated[
        int, typer.Option(min=1, help="Messages in work; beyond that requests are refused.", rich_help_panel=_LIMITS)
    ] = 2_000,
    per_minute: Annotated[
        int | None,
        typer.Option(min=1, help="Requests of a key that sets no limit of its own.", rich_help_panel=_LIMITS),
    ] = None,
    most_bytes: Annotated[
        int, typer.Option(min=1_000, help="Of the body of one request.", rich_help_panel=_LIMITS)
    ] = 2_000_000,
    second_readings: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Share of 'not crisis' that somebody reads blind.", rich_help_panel=_READING
        ),
    ] = 0.02,
    second_alerts: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="The same of alerts.", rich_help_panel=_READING)
    ] = 0.0,
    guardrail: Annotated[
        Literal["intervene", "block"],
        typer.Option(
            help="What the guardrail answers for a crisis: the text with a protocol, or a refusal.",
            rich_help_panel=_SERVER,
        ),
    ] = "intervene",
    webhooks: Annotated[
        bool, typer.Option("--webhooks/--no-webhooks", help="Send them from here.", rich_help_panel=_WEBHOOKS)
    ] = True,
    allow_network: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-network",
            metavar="CIDR",
            help="An internal network that webhooks may reach; may be repeated.",
            rich_help_panel=_WEBHOOKS,
        ),
    ] = None,
    allow_port: Annotated[
        list[int] | None,
        typer.Option(
            "--allow-port",
            min=1,
            max=65_535,
            help="A port that webhooks may be sent to beside 443 and 8443; may be repeated.",
            rich_help_panel=_WEBHOOKS,
        ),
    ] = None,
    loopback_http: Annotated[
        bool,
        typer.Option("--loopback-http", help="Send webhooks to this machine over http://.", rich_help_panel=_WEBHOOKS),
    ] = False,
    keep_texts: Annotated[
        int, typer.Option(min=1, help="Days that texts and notes are kept.", rich_help_panel=_STORE)
    ] = 30,
    keep_decisions: Annotated[
        int, typer.Option(min=1, help="Days that decisions and the audit are kept.", rich_help_panel=_STORE)
    ] = 6 * 365 + 2,
    drain: Annotated[
        float, typer.Option(min=0.1, max=600.0, help="Seconds for what is in work at the end.", rich_help_panel=_SERVER)
    ] = 25.0,
) -> None:
    """Serve the API: messages in, stored before they are acknowledged, judged, routed to the queue and told of by webhooks.

    `/openapi.json` describes every address. A key is made by `crisis-filter keys create`. SIGTERM ends it when what is in work is done.

    Exit status: 0 ended; 5 configuration; 1 the store is away.
    """
    with told():
        with with_the_extra():
            from crisis_filter.service.spec import ServiceSpec
            from crisis_filter.settings import policy_or
            from crisis_filter.store.retention import Retention
            from crisis_filter.triage.policy import ROUTING_POLICY

        judging = described(
            backend=backend,
            base_url=base_url,
            fallbacks=fallback,
            policy=policy_or(policy, ROUTING_POLICY),
            taxonomy=taxonomy,
            deadline_s=timeout,
            clearing=clearing,
            sample=sample,
            prevalence=prevalence,
        )
        run(
            ServiceSpec(
                store=store,
                keys=None if keys is None else str(Path(keys)),
                judging=judging,
                host=host,
                port=port,
                workers=workers,
                metrics_port=metrics_port,
                places=at_once,
                most_waiting=waiting,
                most_bytes=most_bytes,
                per_minute=per_minute,
                second_readings=second_readings,
                second_alerts=second_alerts,
                guardrail_crisis=guardrail,
                deliver=webhooks,
                reach=tuple(allow_network or ()),
                webhook_ports=tuple(allow_port or ()),
                loopback_webhooks=loopback_http,
                retention=Retention(
                    text_days=keep_texts,
                    note_days=keep_texts,
                    decision_days=keep_decisions,
                    audit_days=keep_decisions,
                ),
                drain_s=drain,
            )
        )


def run(spec: ServiceSpec) -> None:
    """Serve until a signal ends it.

    Raises:
        ConfigurationError: something that the service needs is not as it has to be.
        StoreError: the store does not answer.
    """
    from crisis_filter.service.serving import serve_spec

    serve_spec(spec, say)
