"""Fine-tuning: a recipe and examples in, a trained network out. The same recipe on the same machine gives the same weights."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from crisis_filter.local.train import keeping
from crisis_filter.local.train.data import Aside, Example, batches, epoch
from crisis_filter.local.train.keeping import Run
from crisis_filter.local.train.model import LAYERS, Classifier
from crisis_filter.local.wordpiece import WordPiece


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides how the network is trained."""

    seeds: tuple[int, ...] = (1, 2)
    """One training run for each; the weights of the runs are averaged, which works because all begin alike."""
    epochs: int = 3
    batch: int = 32
    rate: float = 1.5e-4
    """Highest learning rate of the encoder; warms up over a tenth of the steps and falls to nothing as a cosine."""
    head_rate: float = 2e-3
    frozen: int = 0
    """Lower layers whose weights stay as they start, the embeddings with them; 0 trains everything, 6 only the head."""
    dropout: float = 0.1
    decay: float = 0.01
    noise: float = 0.7
    """Strength of the noise laid over the texts, 0 to 1."""
    joins: float = 0.1
    """Share of the examples that have a second one attached."""
    burials: float = 0.06
    """Share of the examples that stand among one to three ordinary ones."""
    category_weight: float = 3.0
    """Weight of a positive category, which is rare, against a negative one; crises are balanced and need none."""
    crisis_share: float = 1.0
    """Weight of the crisis label in the loss against each category's."""
    asides: tuple[Aside, ...] = ("severe", "imminent", "other")
    """What is learned besides of crises; these outputs come after the labels' and are cut off when the network is stored."""
    aside_share: float = 0.3
    """Their weight in the loss against the labels'."""
    closing_rate: float = 5e-5
    """Highest learning rate of the closing pass, which ends every run of `finish`."""
    closing_again: int = 3
    """How often the closing pass reads each of its own examples."""
    closing_others: int = 4000
    """Other examples that it reads with them, so that nothing is forgotten."""
    rounding: float = 0.25
    """Share of the steps, the last ones, that compute with rounded numbers as the engine will; 0 never does."""
    max_tokens: int = 128
    bfloat16: bool = True
    """Whether training multiplies matrices in 16 bits, twice as fast where the processor can; the engine never does."""


def say(line: str) -> None:
    """Write a line of progress to the standard error. Here, and not where it is used, because a process of its own must be able to import it."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _deterministic(threads: int) -> None:
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(mode=True)


def _parameters(model: Classifier, recipe: Recipe) -> list[dict[str, object]]:
    if recipe.frozen:
        frozen: list[nn.Module] = [model.words, model.positions, model.norm, *list(model.layers)[: recipe.frozen]]
        for module in frozen:
            module.requires_grad_(requires_grad=False)
    encoder = [p for name, p in model.named_parameters() if p.requires_grad and not name.startswith("head.")]
    groups: list[dict[str, object]] = [{"params": list(model.head.parameters()), "lr": recipe.head_rate}]
    return [{"params": encoder, "lr": recipe.rate}, *groups] if encoder else groups


def _loss(outputs: int, recipe: Recipe) -> Callable[[Tensor, Tensor], Tensor]:
    """Binary cross-entropy of every label, and besides of the asides where they are known."""
    labels = outputs - len(recipe.asides)
    weight = torch.full((labels,), recipe.category_weight)
    weight[0] = 1.0
    share = torch.ones_like(weight)
    share[0] = recipe.crisis_share
    of_labels = nn.BCEWithLogitsLoss(weight=share, pos_weight=weight)
    each = nn.BCEWithLogitsLoss(reduction="none")

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        known = ~targets[:, labels:].isnan()
        aside = (each(logits[:, labels:], targets[:, labels:].nan_to_num()) * known).sum() / known.sum().clamp(min=1)
        total: Tensor = of_labels(logits[:, :labels], targets[:, :labels]) + recipe.aside_share * aside
        return total

    return loss


def _pass(run: Run, items: Sequence[Example], tokenizer: WordPiece, recipe: Recipe, exact: int) -> float:
    """A step for each batch of the examples, from step `exact` on with rounded numbers; returns the mean loss of an example."""
    loss_of = _loss(items[0].targets.shape[0], recipe)
    total = 0.0
    for tokens, mask, targets, _ in batches(
        items, tokenizer, size=recipe.batch, max_tokens=recipe.max_tokens, rng=run.rng
    ):
        run.model.round(on=run.schedule.last_epoch >= exact)
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
            logits = run.model(torch.from_numpy(tokens), torch.from_numpy(mask))
        loss = loss_of(logits.float(), torch.from_numpy(targets))
        run.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
        run.optimizer.step()
        run.schedule.step()
        total += float(loss.detach()) * len(targets)
    return total / len(items)


def _one_run(
    model: Classifier,
    items: Sequence[Example],
    tokenizer: WordPiece,
    recipe: Recipe,
    seed: int,
    report: Callable[[str], None],
    kept: Path | None,
) -> None:
    """Train one network in place; where `kept` holds a run that was interrupted, go on from the end of its last epoch."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    nn.init.zeros_(model.head.weight)
    nn.init.zeros_(model.head.bias)
    optimizer = torch.optim.AdamW(_parameters(model, recipe), weight_decay=recipe.decay, fused=True)
    steps = recipe.epochs * -(-len(items) // recipe.batch)
    warm = max(1, steps // 10)

    def pace(step: int) -> float:
        return min((step + 1) / warm, 0.5 * (1 + float(np.cos(np.pi * max(0, step - warm) / max(1, steps - warm)))))

    run = Run(model, optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, pace), rng)
    model.train()
    if recipe.frozen == LAYERS:
        model.layers.eval()
    exact = round(steps * (1 - recipe.rounding))
    own = keeping.key(items, _without_closing(recipe), seed)
    for number in range(keeping.taken_up(kept, own, run), recipe.epochs):
        noisy = epoch(items, rng, strength=recipe.noise, joins=recipe.joins, burials=recipe.burials)
        loss = _pass(run, noisy, tokenizer, recipe, exact)
        keeping.keep(kept, own, number + 1, run)
        report(f"seed {seed} epoch {number + 1}/{recipe.epochs} loss {loss:.4f}")


def _without_closing(recipe: Recipe) -> dict[str, object]:
    """What decides a run of `fit`; the closing pass comes later."""
    return {name: value for name, value in asdict(recipe).items() if not name.startswith("closing")}


def _seeded(
    fresh: Classifier,
    items: Sequence[Example],
    tokenizer: WordPiece,
    recipe: Recipe,
    threads: int,
    report: Callable[[str], None],
    kept: Path | None,
    seed: int,
) -> dict[str, Tensor]:
    """The weights of one run."""
    _deterministic(threads)
    model = copy.deepcopy(fresh)
    _one_run(model, items, tokenizer, recipe, seed, report, None if kept is None else kept / f"seed-{seed}.pt")
    model.round(on=False)
    weights: dict[str, Tensor] = model.state_dict()
    return weights


def fit(
    items: Sequence[Example],
    tokenizer: WordPiece,
    start: dict[str, Tensor],
    recipe: Recipe,
    *,
    vocabulary: int,
    threads: int,
    report: Callable[[str], None],
    workers: int = 1,
    kept: Path | None = None,
) -> Classifier:
    """Train by the recipe and return the network in evaluation mode, dropout off.

    Args:
        items: at least one training example.
        tokenizer: gives the token numbers.
        start: weights of the encoder to begin from.
        recipe: how to train.
        vocabulary: tokens the tokenizer knows.
        threads: processor threads of a run.
        report: receives one line of progress for each epoch; never text of an example.
        workers: runs at once, each in a process of its own where there is more than one; the result is the same.
        kept: folder where each run is stored after every epoch, to go on from when training was interrupted.
    """
    _deterministic(threads)
    fresh = Classifier(vocabulary, items[0].targets.shape[0], recipe.dropout)
    fresh.start_from(start)
    job = partial(_seeded, fresh, items, tokenizer, recipe, threads, report, kept)
    if workers > 1 and len(recipe.seeds) > 1:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            trained = list(pool.map(job, recipe.seeds))
    else:
        trained = [job(seed) for seed in recipe.seeds]
    average = {name: torch.stack([state[name] for state in trained]).mean(0) for name in trained[0]}
    fresh.load_state_dict(average)
    fresh.eval()
    return fresh


def finish(
    model: Classifier,
    items: Sequence[Example],
    closing: Sequence[Example],
    tokenizer: WordPiece,
    recipe: Recipe,
    report: Callable[[str], None],
) -> None:
    """A short last pass over a few examples among many that were seen before, rounding as the engine will; changes the network in place.

    For what a trained network turns out to lack, without training it anew.

    Args:
        model: a trained network.
        items: what it was trained with.
        closing: what it lacks.
        tokenizer: gives the token numbers.
        recipe: as for `fit`; the seed is the first.
        report: receives one line.
    """
    rng = np.random.default_rng(recipe.seeds[0])
    torch.manual_seed(recipe.seeds[0])
    chosen = rng.choice(len(items), size=min(recipe.closing_others, len(items)), replace=False)
    mixed = [*(items[int(i)] for i in chosen), *(item for item in closing for _ in range(recipe.closing_again))]
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.closing_rate, weight_decay=recipe.decay, fused=True)
    steps = -(-len(mixed) // recipe.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model.train()
    noisy = epoch(mixed, rng, strength=recipe.noise / 2, joins=recipe.joins, burials=recipe.burials)
    loss = _pass(Run(model, optimizer, schedule, rng), noisy, tokenizer, recipe, exact=0)
    model.round(on=False)
    model.eval()
    report(f"closing pass over {len(mixed)} loss {loss:.4f}")


def logits(
    model: Classifier, items: Sequence[Example], tokenizer: WordPiece, max_tokens: int, *, at_once: int = 32
) -> NDArray[np.float32]:
    """Logits by the torch network, shape (len(items), labels); texts cut at `max_tokens`, so many at once."""
    out = np.zeros((len(items), items[0].targets.shape[0]), np.float32)
    with torch.no_grad():
        for tokens, mask, _, places in batches(items, tokenizer, size=at_once, max_tokens=max_tokens, rng=None):
            out[places] = model(torch.from_numpy(tokens), torch.from_numpy(mask)).numpy()
    return out
