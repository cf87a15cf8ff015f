"""Opening a `CrisisFilter` from its frozen description, in this process or in a worker."""

from __future__ import annotations

import time

from crisis_filter.backends.breaker import BreakerPolicy
from crisis_filter.pipeline.chain import Opener, open_detector, open_links
from crisis_filter.pipeline.description import DEFAULT_ENGINE, DEFAULT_POLICY, LOCAL, FilterSpec
from crisis_filter.pipeline.filter import CrisisFilter
from crisis_filter.pipeline.journey import Clock
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.triage.policy import load_policy
from crisis_filter.triage.resources import load_resources

__all__ = ["DEFAULT_ENGINE", "DEFAULT_POLICY", "LOCAL", "FilterSpec", "open_filter"]


def open_filter(
    spec: FilterSpec,
    *,
    breaker: BreakerPolicy | None = None,
    opener: Opener | None = None,
    clock: Clock = time.monotonic,
) -> CrisisFilter:
    """Open a filter: load the policy pack, taxonomy, prompts and engine, and connect nothing yet.

    Args:
        spec: what to open.
        breaker: when an endpoint of the chain is left alone; `None` takes the default.
        opener: opens what answers the prompts, in place of the links themselves; for one who writes down or replays what was said.
        clock: a monotonic clock, for deadlines and timing.

    Raises:
        ConfigurationError: the backend is unknown, a key or package is missing, or an asset is missing or malformed.
    """
    policy = load_policy(spec.policy)
    if spec.deadline_s is not None:
        limits = policy.limits.model_copy(update={"deadline_s": spec.deadline_s})
        policy = policy.model_copy(update={"limits": limits})
    taxonomy = load_taxonomy(spec.taxonomy or policy.stages.taxonomy)
    own = spec.taxonomy is None or load_taxonomy(policy.stages.taxonomy).id == taxonomy.id
    whole, policy = policy, policy.for_taxonomy(taxonomy, own=own)
    left_out = tuple(rule.id for rule in whole.rules if rule not in policy.rules)
    detector = open_detector(spec, policy, taxonomy, opener or (lambda links: open_links(links, breaker)))
    resources = load_resources(policy.resources.pack)
    return CrisisFilter(detector, taxonomy, policy, resources, rules_left_out=left_out, clock=clock)
