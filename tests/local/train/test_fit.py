"""Training that is interrupted goes on where it was; two processes make the same network as one; the closing pass teaches what was lacking.

Needs the `train` extra.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from crisis_filter.local.train import fit as fitting  # noqa: E402
from crisis_filter.local.train import model as network  # noqa: E402
from crisis_filter.local.train.data import Example  # noqa: E402
from crisis_filter.local.train.fit import Recipe, finish, fit, logits  # noqa: E402
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
    other = replace(RECIPE, epochs=2)
    assert same(trained(recipe=other, kept=tmp_path), trained(recipe=other))


def test_two_processes_make_the_same_network(tmp_path):
    """A run knows nothing of the other."""
    assert same(trained(print, workers=2), trained())


def test_a_stored_run_that_holds_more_than_numbers_is_not_loaded(tmp_path):
    """Nothing executable is read back."""
    torch.save({"key": fitting.Recipe}, tmp_path / "seed-1.pt")
    with pytest.raises(Exception, match=r"(?i)weights.only"):
        trained(kept=tmp_path)


CLOSING = replace(RECIPE, closing_rate=1e-3, closing_again=10)
LACKED = ("j j j a", "b j j", "j c j j")


def network_as_made() -> network.Classifier:
    """One in evaluation mode that has not been trained."""
    torch.manual_seed(1)
    model = network.Classifier(len(VOCABULARY), 2)
    model.start_from(start())
    return model.eval()


def closed(target: float, recipe: Recipe = CLOSING) -> tuple[network.Classifier, list[str]]:
    """The network and what was reported after a closing pass that says the same of every label of `LACKED`."""
    model, lines = network_as_made(), []
    lacked = [Example(text, np.full(2, target, np.float32)) for text in LACKED]
    finish(model, ITEMS, lacked, WordPiece(VOCABULARY), recipe, lines.append)
    return model, lines


@pytest.mark.parametrize(("target", "direction"), [(1.0, 1), (0.0, -1)])
def test_the_closing_pass_teaches_what_the_network_lacked(target, direction):
    """Either way, for every label; afterwards nothing is dropped or rounded any more."""
    model, lines = closed(target)
    asked = [Example(text, np.zeros(2, np.float32)) for text in LACKED]
    before, after = (logits(m, asked, WordPiece(VOCABULARY), RECIPE.max_tokens) for m in (network_as_made(), model))
    assert ((after - before) * direction > 0.05).all()
    assert not model.training
    assert not any(module.rounding for module in model.modules() if isinstance(module, network.Rounded))
    assert [line.partition(" loss ")[0] for line in lines] == [f"closing pass over {len(ITEMS) + 10 * len(LACKED)}"]


@pytest.mark.parametrize("seeds", [(1, 2), (2, 1)])
def test_the_closing_pass_from_the_same_start_gives_the_same_weights(seeds):
    """Whatever was drawn before; its first seed decides."""
    recipe = replace(CLOSING, seeds=seeds)
    first = closed(1.0, recipe)[0].state_dict()
    torch.rand(7)
    assert same(closed(1.0, recipe)[0].state_dict(), first)
    assert not same(closed(1.0, replace(recipe, seeds=seeds[::-1]))[0].state_dict(), first)


def test_the_closing_pass_reads_only_so_many_others():
    """Drawn from what the network was trained with, each once."""
    (line,) = closed(1.0, replace(CLOSING, closing_others=5, closing_again=1))[1]
    assert line.startswith(f"closing pass over {5 + len(LACKED)} ")
