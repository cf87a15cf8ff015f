"""A training run kept on disk after every epoch, so that one that was interrupted goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.optim.lr_scheduler import LRScheduler

from crisis_filter.local.train.data import Example
from crisis_filter.local.train.model import Classifier


@dataclass(frozen=True, slots=True)
class Run:
    """A network in training, with all that decides its next step. Each part changes in place."""

    model: Classifier
    optimizer: torch.optim.Optimizer
    schedule: LRScheduler
    """The learning rates; `last_epoch` counts the steps that were done."""
    rng: np.random.Generator


def key(items: Sequence[Example], recipe: Mapping[str, object], seed: int) -> str:
    """Tells runs apart that must not be taken for one another.

    Args:
        items: what is learned, in order.
        recipe: all that decides how.
        seed: of the run.
    """
    told = hashlib.sha256(f"{recipe} {seed} {torch.__version__}".encode())
    for item in items:
        told.update(item.text.encode("utf-8", "surrogatepass"))
        told.update(item.targets.tobytes())
    return told.hexdigest()


def keep(path: Path | None, own: str, epochs: int, run: Run) -> None:
    """Store a run as it stands after so many epochs, under its key; whole or not at all. Without a path, nothing is stored."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".part")
    torch.save(
        {
            "key": own,
            "place": [epochs, run.schedule.last_epoch],
            "model": run.model.state_dict(),
            "optimizer": run.optimizer.state_dict(),
            "rng": json.dumps(run.rng.bit_generator.state),
            "torch": torch.get_rng_state(),
        },
        half,
    )
    half.replace(path)


def taken_up(path: Path | None, own: str, run: Run) -> int:
    """Put a run where the stored one was, and return the epochs that it had done; 0 where none is stored.

    A run under another key, which is one of another recipe or other data, counts for nothing.
    """
    if path is None or not path.exists():
        return 0
    # Nothing but numbers and texts is read: no code can come with it.
    stored = torch.load(path, weights_only=True)
    if stored["key"] != own:
        return 0
    epochs, steps = stored["place"]
    run.model.load_state_dict(stored["model"])
    run.optimizer.load_state_dict(stored["optimizer"])
    run.schedule.load_state_dict({**run.schedule.state_dict(), "last_epoch": steps})
    run.rng.bit_generator.state = json.loads(stored["rng"])
    torch.set_rng_state(stored["torch"])
    return int(epochs)
