"""Several messages to one Stage 1 request in a batch: which messages may go together, and what that is allowed by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crisis_filter import assets
from crisis_filter.backends.base import Backend
from crisis_filter.backends.spec import BackendSpec
from crisis_filter.backends.together import Together, TogetherFigures, may_share
from crisis_filter.batch.together_proof import Bound, TogetherProof, load_proof
from crisis_filter.errors import ConfigurationError
from crisis_filter.pipeline.chain import Opener
from crisis_filter.pipeline.description import LOCAL, FilterSpec
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.render import Rendered, render
from crisis_filter.prompting.together import ReadyTogether, load_together, ready_together
from crisis_filter.schema import Assessment, Message
from crisis_filter.taxonomy.answers import ScreenTerse
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.taxonomy.records import Taxonomy
from crisis_filter.text import chunks, mended, views
from crisis_filter.text.attack import attack_seen
from crisis_filter.text.language import unvalidated
from crisis_filter.triage.policy import Policy, load_policy

__all__ = ["LONGEST", "Gathering", "Prompts", "bound_of", "gathering", "plain", "prompts_of"]

LONGEST = 600
"""Characters; a longer message goes singly."""

# What decides how a language model answers; the rest is pace, the embedded engine's, or told by itself.
_OF_THE_MODEL = (
    "base_url",
    "azure_endpoint",
    "azure_api_version",
    "model_reported",
    "temperature",
    "seed",
)

Assess = Callable[[Message], Awaitable[Assessment]]


@dataclass(frozen=True, slots=True)
class Prompts:
    """What both kinds of request are made of."""

    policy: Policy
    taxonomy: Taxonomy
    single: Rendered
    together: ReadyTogether


def prompts_of(judging: FilterSpec) -> Prompts:
    """The prompts that a filter asks with.

    Raises:
        ConfigurationError: there is no language model, a cascade stands before it, or its prompt for Stage 1 asks for more than a verdict.
    """
    if judging.backend == LOCAL:
        raise ConfigurationError("--together is for a language model; the embedded engine has no requests to share")
    if judging.cascade:
        raise ConfigurationError(
            "--together and a cascade do not go together: what a cascade leaves is another mixture than was validated"
        )
    policy = load_policy(judging.policy)
    taxonomy = load_taxonomy(judging.taxonomy or policy.stages.taxonomy)
    single = render(load_prompt(judging.screen_prompt or policy.stages.screen), taxonomy)
    if single.answer is not ScreenTerse:
        raise ConfigurationError(
            f"--together needs a prompt for Stage 1 that asks for the verdict alone, which {single.prompt.id} is not: "
            "add --screen-prompt screen/terse-v2"
        )
    return Prompts(policy, taxonomy, single, ready_together(load_together(), taxonomy))


def bound_of(judging: FilterSpec, prompts: Prompts, messages: int) -> Bound:
    """What a proof for this must name.

    Args:
        judging: what judges.
        prompts: of both kinds.
        messages: to a request.
    """
    fallbacks = [link for link in judging.fallbacks or () if isinstance(link, BackendSpec)]
    settings = {name: getattr(judging, name) for name in _OF_THE_MODEL}
    return Bound(
        messages=messages,
        backend=" > ".join(link.name for link in (judging.backend_spec(), *fallbacks)),
        judging={name: str(value) for name, value in settings.items() if value is not None},
        single=prompts.single.prompt.ref,
        together=prompts.together.prompt.ref,
        taxonomy=prompts.taxonomy.ref,
        policy=prompts.policy.ref,
        most_characters=LONGEST,
        version=assets.package_version(),
    )


def plain(message: Message, policy: Policy) -> bool:
    """Whether a message is so ordinary that it may be asked about together with others.

    Anything that the pipeline would mark goes singly: a flag, a repaired encoding, more than one reading or piece, words aimed at the model,
    another language than was validated, more characters than `LONGEST`.
    """
    text, limits = message.text, policy.limits
    if message.unreadable or message.flags or not text or len(text) > LONGEST or mended(text) != text:
        return False
    if len(views(text)) != 1 or chunks(text, size=limits.chunk_characters, overlap=limits.chunk_overlap) != (text,):
        return False
    validated = policy.languages.validated
    return not attack_seen(text) and (validated is None or not unvalidated(text, validated))


@dataclass(frozen=True, slots=True)
class Gathering:
    """What a run needs to ask about several messages at once. Lives for one run."""

    prompts: Prompts
    messages: int
    proof: TogetherProof
    figures: TogetherFigures = field(default_factory=TogetherFigures)

    def opener(self, opener: Opener) -> Opener:
        """Opens what `opener` opens, with requests gathered before it."""

        def opened(links: Sequence[BackendSpec]) -> Backend:
            return Together(
                opener(links),
                self.prompts.single,
                self.prompts.together,
                most=self.messages,
                served=frozenset(self.proof.served),
                figures=self.figures,
            )

        return opened

    def sharing(self, assess: Assess) -> Assess:
        """Assesses with leave to share a request, for messages that are plain."""

        async def assessed(message: Message) -> Assessment:
            if not self._plain(message):
                return await assess(message)
            with may_share(message.text):
                return await assess(message)

        return assessed

    def _plain(self, message: Message) -> bool:
        try:
            return plain(message, self.prompts.policy)
        except Exception:  # noqa: BLE001  # a bug here costs a request, and no verdict
            return False


def gathering(judging: FilterSpec, messages: int, proof: str | None) -> Gathering | None:
    """What is needed to ask about so many messages at once; `None` for one.

    Raises:
        ConfigurationError: it cannot be done with this filter, or there is no proof that matches; names what differs.
    """
    if messages == 1:
        if proof is not None:
            raise ConfigurationError("--proof is for --together: say how many messages go to a request")
        return None
    prompts = prompts_of(judging)
    if proof is None:
        raise ConfigurationError(
            f"--together {messages} needs a proof on your own labels that no more crises are missed by it: "
            f"crisis-filter batch together validate LABELS -k {messages} -o proof.json, then --proof proof.json"
        )
    return Gathering(prompts, messages, load_proof(Path(proof).expanduser(), bound_of(judging, prompts, messages)))
