"""The doctor: looks at a configured filter's endpoints, and at the machine, before anybody relies on them."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import numpy as np

from crisis_filter.backends.base import Backend
from crisis_filter.backends.registry import open_backend
from crisis_filter.backends.spec import BackendSpec
from crisis_filter.drill.finding import CHECKS, Check, Finding
from crisis_filter.drill.machine import engine, policy_pack, trust_store
from crisis_filter.drill.messages import DrillMessages, Labelled
from crisis_filter.drill.probes import CRISES, ORDINARY, REPEATS, UNCLEAR, Clock, Look, Witness, look, warm_up
from crisis_filter.drill.signs import Seen, examine_looks
from crisis_filter.drill.sort_probe import SORTS, judge_sort, try_sort
from crisis_filter.drill.window_probe import SIZES, Need, judge_window, try_window
from crisis_filter.errors import ConfigurationError
from crisis_filter.pipeline.description import LOCAL, FilterSpec
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.render import NonceSource, Rendered, fresh_nonce, render
from crisis_filter.taxonomy.answers import ScreenReasoned
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.taxonomy.records import Taxonomy
from crisis_filter.triage.policy import Policy, load_policy
from crisis_filter.triage.resources import load_resources

REQUESTS = len(CRISES) + 1 + REPEATS + SORTS + len(SIZES) + 2
"""Most requests to one endpoint, but for those that find out what it supports."""
_ENDPOINTS = ("openai", "langchain")
_FAILED = "too much failed before"
_OPENING = "The client cannot be made: see the trust_store line, and whether SSL_CERT_FILE names a file that is there"


@dataclass(frozen=True, slots=True)
class _SetUp:
    """What the description names, loaded."""

    policy: Policy
    taxonomy: Taxonomy
    screen: Rendered
    categorise: Rendered
    messages: tuple[Labelled, ...]


class Doctor:
    """Examines what a description describes.

    Args:
        spec: the configured filter.
        messages: where the crises and the ordinary message come from; some of their ids are fixed.
        timeout_s: for one request.
        seed: for the jitter of clients, which is not used: nothing is retried here.
        nonces: where nonces and codes come from.
        clock: seconds that only grow.

    Raises:
        ConfigurationError: an asset is missing or malformed, or a backend replays prepared answers and so is no endpoint.
    """

    def __init__(
        self,
        spec: FilterSpec,
        messages: DrillMessages,
        *,
        timeout_s: float = 30.0,
        seed: int = 0,
        nonces: NonceSource = fresh_nonce,
        clock: Clock = time.perf_counter,
    ) -> None:
        self._spec = spec
        self._timeout_s = timeout_s
        self._rng = np.random.default_rng(seed)
        self._nonces = nonces
        self._clock = clock
        self.endpoints = _endpoints(spec)
        """Name and description of each language model, in the order of the chain; empty with `local`."""
        self._set_up = _set_up(spec, messages)

    async def examine(self) -> AsyncGenerator[Finding, None]:
        """Each finding as it is made: the set-up, the machine, then every endpoint."""
        policy, taxonomy = self._set_up.policy, self._set_up.taxonomy
        own = load_taxonomy(policy.stages.taxonomy).id == taxonomy.id
        left_out = len(policy.rules) - len(policy.for_taxonomy(taxonomy, own=own).rules)
        for finding in policy_pack(policy, load_resources(policy.resources.pack), left_out):
            yield finding
        yield engine(self._spec, taxonomy, self._clock)
        yield trust_store([address for _, link in self.endpoints if (address := _address(link)) is not None])
        warm: set[str] = set()
        for name, link in self.endpoints:
            if link.name not in warm:
                await warm_up(link, self._set_up.screen, self._nonces)
                warm.add(link.name)
            for finding in await self._endpoint(link):
                yield finding.model_copy(update={"endpoint": name})

    async def _endpoint(self, link: BackendSpec) -> list[Finding]:
        # Nothing is retried and no model turned away, so that every fault is seen.
        plain = {"attempts": 1, "attempt_timeout_s": self._timeout_s, "model_reported": None}
        try:
            backend = open_backend(link.model_copy(update=plain), self._rng)
        except ConfigurationError as error:  # no key, no package, no certificates: its words are ours
            seen = f"not asked: {error}"
            return [Finding(check="reachable", status="fail", seen=seen, advice=_OPENING)]
        try:
            findings = await self._asked(link, backend)
        finally:
            await backend.aclose()
        return sorted(findings, key=lambda finding: CHECKS.index(finding.check))

    async def _asked(self, link: BackendSpec, backend: Backend) -> list[Finding]:
        set_up, prompt = self._set_up, self._set_up.screen.prompt
        witness = Witness(backend)
        looks = await look(
            witness,
            set_up.screen,
            set_up.messages,
            threshold=set_up.policy.thresholds.prompted_screen,
            timeout_s=self._timeout_s,
            nonces=self._nonces,
            clock=self._clock,
        )
        form = getattr(backend, "form", None)
        seen = Seen(
            link=link,
            looks=tuple(looks),
            form=form if isinstance(form, str) else None,
            categories=frozenset(set_up.taxonomy.ids),
            deadline_s=self._spec.deadline_s or set_up.policy.limits.deadline_s,
            output_cap=prompt.max_output_tokens,
            states_score=issubclass(set_up.screen.answer, ScreenReasoned),
        )
        findings = examine_looks(seen)
        failed = [finding.check for finding in findings if finding.status == "fail"]
        if "reachable" in failed or "key" in failed:
            return [*findings, _not_asked("categorise", _FAILED), _not_asked("window", _FAILED)]
        return [*findings, await self._sorted(witness, looks), await self._window(witness, looks)]

    async def _sorted(self, witness: Witness, looks: list[Look]) -> Finding:
        """Stage 2, which the filter asks only about what Stage 1 has judged."""
        if all(one.fault is not None for one in looks):
            return _not_asked("categorise", "no valid answer to the screen prompt")
        crises = [one for one in self._set_up.messages if one.crisis and one is not UNCLEAR]
        sorts = await try_sort(
            witness,
            self._set_up.categorise,
            self._set_up.taxonomy,
            crises,
            timeout_s=self._timeout_s,
            nonces=self._nonces,
            clock=self._clock,
        )
        return judge_sort(sorts)

    async def _window(self, witness: Witness, looks: list[Look]) -> Finding:
        if witness.gave_up:
            return _not_asked("window", _FAILED)
        need = Need.of(self._set_up.screen, self._set_up.policy.limits.chunk_characters)
        tried = await try_window(
            witness,
            need,
            timeout_s=self._timeout_s,
            output_cap=self._set_up.screen.prompt.max_output_tokens,
            nonces=self._nonces,
        )
        return judge_window(tried, need, looks)


def _not_asked(check: Check, why: str) -> Finding:
    return Finding(check=check, status="unknown", seen=f"not asked: {why}")


def _endpoints(spec: FilterSpec) -> tuple[tuple[str, BackendSpec], ...]:
    """Every language model of the chain; where two have one name, the later one is numbered.

    Raises:
        ConfigurationError: one is no endpoint.
    """
    if spec.backend == LOCAL:
        return ()
    links = [spec.backend_spec(), *(link for link in spec.fallbacks or () if isinstance(link, BackendSpec))]
    if any(link.kind not in _ENDPOINTS for link in links):
        raise ConfigurationError(
            "doctor examines endpoints (openai:MODEL, langchain:...) or local, not prepared answers"
        )
    names = [link.name for link in links]
    return tuple(
        (f"{name} ({names[: at + 1].count(name)})" if name in names[:at] else name, link)
        for at, (name, link) in enumerate(zip(names, links, strict=True))
    )


def _address(link: BackendSpec) -> str | None:
    """Where messages go; `None` where only the provider's package knows."""
    if link.azure_endpoint is not None or link.base_url is not None:
        return link.azure_endpoint or link.base_url
    return "https://" if link.kind == "openai" else None


def _set_up(spec: FilterSpec, messages: DrillMessages) -> _SetUp:
    policy = load_policy(spec.policy)
    taxonomy = load_taxonomy(spec.taxonomy or policy.stages.taxonomy)
    screen = render(load_prompt(spec.screen_prompt or policy.stages.screen), taxonomy)
    categorise = render(load_prompt(spec.categorise_prompt or policy.stages.categorise), taxonomy)
    known = {one.id: one for one in (*messages.crises, *messages.ordinary)}
    missing = [wanted for wanted in (*CRISES, ORDINARY) if wanted not in known]
    if missing:
        raise ConfigurationError(f"the messages of the drill lack {', '.join(missing)}")
    first, *others = (known[wanted] for wanted in CRISES)
    return _SetUp(policy, taxonomy, screen, categorise, (first, known[ORDINARY], *others, *[UNCLEAR] * REPEATS))
