"""Training that is interrupted goes on where it was; two processes make the same network as one. Needs the `train` extra."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from crisis_filter.local.train import fit as fitting  # noqa: E402
from crisis_filter.local.train import model as network  # noqa: E402
from crisis_filter.local.train.data import Example  # noqa: E402
from crisis_filter.local.train.fit import Recipe, fit  # noqa: E402
from crisis_filter.local.wordpiece import WordPiece  # noqa: E402

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghij"]
RECIPE = Recipe(seeds=(1, 2), epochs=3, batch=4, bfloat16=False, rounding=0.4, asides=())
ITEMS = [
    Example(" ".join("abcdefghij"[(i + j) % 10] for j in range(5)), np.array([i % 2, i % 3 == 0], np.float32))
    for i in range(12)
]


def start() -> dict[str, torch.Tensor]:
    """Weights of an encoder that has learned nothing, named as a checkpoint names them."""
    torch.manual_seed(0)
    model = network.Classifier(len(VOCABULARY), 2)
    weights = {
        "embeddings.word_embeddings.weight": model.words.weight,
        "embeddings.position_embeddings.weight": model.positions.weight,
        "embeddings.token_type_embeddings.weight": torch.zeros(2, network.WIDTH),
        "embeddings.LayerNorm.weight": model.norm.weight,
        "embeddings.LayerNorm.bias": model.norm.bias,
    }
    for i, layer in enumerate(model.layers):
        base = f"encoder.layer.{i}"
        parts = {
            "attention.output.dense": layer.out,
            "attention.output.LayerNorm": layer.norm1,
            "intermediate.dense": layer.up,
            "output.dense": layer.down,
            "output.LayerNorm": layer.norm2,
        }
        for part in ("weight", "bias"):
            for name, piece in zip(("query", "key", "value"), getattr(layer.qkv, part).chunk(3), strict=True):
                weights[f"{base}.attention.self.{name}.{part}"] = piece
            for name, module in parts.items():
                weights[f"{base}.{name}.{part}"] = getattr(module, part)
    return {name: weight.detach().clone() for name, weight in weights.items()}


def trained(report=lambda _: None, **options) -> dict[str, torch.Tensor]:
    model = fit(
        ITEMS,
        WordPiece(VOCABULARY),
        start(),
        options.pop("recipe", RECIPE),
        vocabulary=len(VOCABULARY),
        threads=1,
        report=report,
        **options,
    )
    return model.state_dict()


def same(one, other) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


class Stopped(Exception):
    """The power fails."""


@pytest.mark.parametrize("after", ["seed 1 epoch 1", "seed 1 epoch 3", "seed 2 epoch 2"])
def test_an_interrupted_run_ends_as_if_nothing_had_happened(tmp_path, after):
    """Weights, optimizer, pace, noise and dropout go on from the last whole epoch; what was done is not done again."""
    whole = trained()

    def stopping(line: str) -> None:
        if line.startswith(after):
            raise Stopped

    with pytest.raises(Stopped):
        trained(stopping, kept=tmp_path)
    lines: list[str] = []
    assert same(trained(lines.append, kept=tmp_path), whole)
    assert not any(line.startswith(after) for line in lines)


def test_what_another_recipe_left_behind_is_not_taken_up(tmp_path):
    """Nor what other data did."""
    trained(kept=tmp_path)
    other = Recipe(**{**{f: getattr(RECIPE, f) for f in RECIPE.__slots__}, "epochs": 2})
    assert same(trained(recipe=other, kept=tmp_path), trained(recipe=other))


def test_two_processes_make_the_same_network(tmp_path):
    """A run knows nothing of the other."""
    assert same(trained(print, workers=2), trained())


def test_a_stored_run_that_holds_more_than_numbers_is_not_loaded(tmp_path):
    """Nothing executable is read back."""
    torch.save({"key": fitting.Recipe}, tmp_path / "seed-1.pt")
    with pytest.raises(Exception, match=r"(?i)weights.only"):
        trained(kept=tmp_path)
