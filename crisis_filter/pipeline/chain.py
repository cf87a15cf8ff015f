"""From a description to the detector: the links of the chain, their prompts, and the engine that may only raise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crisis_filter.backends.base import Backend
from crisis_filter.backends.breaker import BreakerPolicy
from crisis_filter.backends.registry import open_backend
from crisis_filter.backends.spec import BackendSpec
from crisis_filter.errors import ConfigurationError
from crisis_filter.local.artifact import ENGINES
from crisis_filter.pipeline.description import LOCAL, FilterSpec
from crisis_filter.pipeline.detector import TwoStages
from crisis_filter.prompting.prompt import Prompt, Stage, load_prompt
from crisis_filter.prompting.render import Rendered, render
from crisis_filter.stages.base import Categoriser, Screener
from crisis_filter.stages.cascade import Cascade
from crisis_filter.stages.categorise import PromptedCategorise
from crisis_filter.stages.clearing import load_clearing
from crisis_filter.stages.fallback import FallbackCategorise, FallbackScreen
from crisis_filter.stages.screen import PromptedScreen
from crisis_filter.stages.turns import CategoriseInTurn, ScreenInTurn, Turns
from crisis_filter.stages.votes import VotedScreen
from crisis_filter.taxonomy.records import Taxonomy
from crisis_filter.triage.policy import Policy

if TYPE_CHECKING:
    from crisis_filter.local.engine import LocalEngine
    from crisis_filter.stages.engine import EngineStages

Opener = Callable[[Sequence[BackendSpec]], Backend]
"""Opens what answers the prompts, given the links of the chain in their order."""

# What replays or pretends is left as it is: a stand-in would hide what it was made to show.
_GUARDED = ("openai", "langchain")


def open_links(
    links: Sequence[BackendSpec],
    breaker: BreakerPolicy | None = None,
    open_link: Callable[[BackendSpec], Backend] = open_backend,
) -> Backend:
    """One backend for all links; breakers and shared retries even where there is one."""
    if len(links) == 1 and links[0].kind not in _GUARDED:
        return open_link(links[0])
    from crisis_filter.backends.chain import Chain  # loads what the embedded engine alone does without

    opened = [open_link(link) for link in links]
    return Chain(opened, attempts=links[0].attempts, policy=breaker, rng=np.random.default_rng())


def open_detector(spec: FilterSpec, policy: Policy, taxonomy: Taxonomy, opener: Opener) -> TwoStages:
    """The two stages that a description asks for.

    Raises:
        ConfigurationError: a link is unknown, incomplete or in the wrong place; an asset is missing.
    """
    if spec.backend == LOCAL:
        if spec.fallbacks:
            raise ConfigurationError("the embedded engine as the sole detector has no fallbacks: leave them out")
        return _sole(spec, policy, taxonomy)
    primary = spec.backend_spec()
    asked = spec.fallbacks
    fallbacks = asked if asked is not None else (LOCAL,) if primary.kind in _GUARDED else ()
    others = [link for link in fallbacks if isinstance(link, BackendSpec)]
    if LOCAL in fallbacks[:-1]:
        raise ConfigurationError("local comes last in a chain: the embedded engine may only raise")
    detector = _prompted(spec, policy, taxonomy, opener([primary, *others]))
    engine = _engine(spec) if spec.cascade or LOCAL in fallbacks else None
    if engine is not None and LOCAL in fallbacks:
        detector = _guarded(spec, policy, taxonomy, detector, engine, asked=asked is not None)
    return _cascaded(spec, policy, taxonomy, detector, engine) if engine is not None and spec.cascade else detector


def _sole(spec: FilterSpec, policy: Policy, taxonomy: Taxonomy) -> TwoStages:
    engine = _engine(spec)
    if engine.labels[1:] != taxonomy.ids:
        raise _other_categories(engine.id, taxonomy)
    stages = _engine_stages(engine, spec, policy, may_clear=True)
    # A threshold that no policy pack holds is part of the name, or provenance would not tell.
    own = "" if spec.engine_threshold is None else f"@{spec.engine_threshold:g}"
    name = f"{LOCAL}:{engine.id}{own}"
    return TwoStages(
        name=name,
        screener=stages,
        categoriser=stages,
        sole=True,
        at_prevalence=_at_prevalence(engine, spec),
        aclose=stages.aclose,
    )


def _at_prevalence(engine: LocalEngine, spec: FilterSpec) -> Callable[[float], float] | None:
    return None if spec.prevalence is None else engine.at_prevalence(spec.prevalence)


def _guarded(
    spec: FilterSpec, policy: Policy, taxonomy: Taxonomy, first: TwoStages, engine: LocalEngine, *, asked: bool
) -> TwoStages:
    """The engine behind a language model: it may raise and may not clear (law 2).

    Where nobody asked for it, a taxonomy that it was not trained for is done without it.
    """
    if engine.labels[1:] != taxonomy.ids:
        if asked:
            raise _other_categories(engine.id, taxonomy)
        return first
    stages = _engine_stages(engine, spec, policy, may_clear=False)
    name = f"{LOCAL}:{engine.id}"

    async def close_both() -> None:
        await stages.aclose()
        await first.aclose()

    return TwoStages(
        name=f"{first.name} > {name}",
        screener=FallbackScreen(first.screener, stages, name),
        categoriser=FallbackCategorise(first.categoriser, stages, name),
        at_prevalence=_at_prevalence(engine, spec),
        aclose=close_both,
    )


def _cascaded(spec: FilterSpec, policy: Policy, taxonomy: Taxonomy, asked: TwoStages, engine: LocalEngine) -> TwoStages:
    """The engine before a language model; it clears only below a threshold that the operator has validated (law 2)."""
    clearing = load_clearing(Path(spec.clearing).expanduser(), engine_sha256=engine.sha256) if spec.clearing else None
    stages = _engine_stages(engine, spec, policy, may_clear=False)
    if clearing is not None and engine.labels[1:] != taxonomy.ids:
        raise _other_categories(engine.id, taxonomy)
    if clearing is not None and clearing.threshold > stages.threshold:
        raise ConfigurationError(
            f"{spec.clearing}: clears below {clearing.threshold:.4f}, but the engine takes everything from {stages.threshold:.4f} up for a crisis"
        )
    if clearing is not None and not set(clearing.languages) & set(policy.languages.validated or ()):
        raise ConfigurationError(
            f"{spec.clearing}: clears {', '.join(clearing.languages)}, which policy {policy.ref.id} does not name among its validated languages"
        )
    name = f"{LOCAL}:{engine.id}"

    async def close_both() -> None:
        await stages.aclose()
        await asked.aclose()

    cascade = Cascade(
        engine=stages,
        name=name,
        clearing=clearing,
        sample=spec.sample,
        seed=spec.sample_seed,
    )
    return replace(
        asked,
        name=f"cascade:{name},{asked.name}",
        cascade=cascade,
        at_prevalence=_at_prevalence(engine, spec),
        aclose=close_both,
    )


def _engine(spec: FilterSpec) -> LocalEngine:
    # The runtime takes longer to import than all the rest.
    from crisis_filter.local.engine import LocalEngine

    return LocalEngine.load(engine_folder(spec.engine), threads=spec.engine_threads)


def engine_folder(name: str) -> Path:
    """The folder of a bundled engine, or of one that a path names."""
    bundled = ENGINES / name
    return bundled if bundled.is_dir() else Path(name).expanduser()


def _engine_stages(engine: LocalEngine, spec: FilterSpec, policy: Policy, *, may_clear: bool) -> EngineStages:
    from crisis_filter.stages.engine import EngineStages

    asked, own = policy.thresholds.engine_screen, engine.thresholds[0]
    place = f"policy {policy.ref.id}: thresholds.engine_screen"
    if spec.engine_threshold is not None:
        asked, place = spec.engine_threshold, "engine_threshold"
    if asked is not None and asked > own:
        raise ConfigurationError(
            f"{place} is {asked}, above {own:.4f}, which the engine {engine.id} was measured "
            "with: it would miss more crises than anybody has counted; set it lower or leave it out"
        )
    return EngineStages(engine, may_clear=may_clear, threshold=asked, evidence=spec.evidence)


def _other_categories(engine: str, taxonomy: Taxonomy) -> ConfigurationError:
    return ConfigurationError(
        f"the engine {engine} was trained for other categories than those of {taxonomy.id}: "
        "use a language model for this taxonomy (--backend openai:MODEL), or leave --taxonomy out"
    )


def _prompted(spec: FilterSpec, policy: Policy, taxonomy: Taxonomy, backend: Backend) -> TwoStages:
    screen = _rendered("screen", spec.screen_prompt or policy.stages.screen, taxonomy)
    categorise = _rendered("categorise", spec.categorise_prompt or policy.stages.categorise, taxonomy)
    threshold, votes = policy.thresholds.prompted_screen, policy.votes
    prompted = PromptedScreen(backend, screen, threshold=threshold)
    screener: Screener = VotedScreen(prompted, count=votes.count, threshold=threshold, margin=votes.margin)
    categoriser: Categoriser = PromptedCategorise(backend, categorise, taxonomy.ids)
    if spec.places is not None:
        turns = Turns(spec.places)
        screener, categoriser = ScreenInTurn(screener, turns), CategoriseInTurn(categoriser, turns)
    return TwoStages(name=backend.name, screener=screener, categoriser=categoriser, aclose=backend.aclose)


def _rendered(stage: Stage, name: str, taxonomy: Taxonomy) -> Rendered:
    prompt: Prompt = load_prompt(name)
    if prompt.stage != stage:
        raise ConfigurationError(f"prompt {prompt.id} is for the stage {prompt.stage!r}, not {stage!r}")
    return render(prompt, taxonomy)
