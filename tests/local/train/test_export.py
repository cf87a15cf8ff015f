"""Needs the `train` extra; passed over where it is not installed."""

from __future__ import annotations

import copy

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]

VOCABULARY = 300


@pytest.fixture(scope="module")
def model():  # type: ignore[no-untyped-def]
    from crisis_filter.local.train.model import Classifier

    torch.manual_seed(0)
    return Classifier(VOCABULARY, 9).eval()


@pytest.mark.parametrize("storage", ["int8", "float16", "float32"])
def test_the_graph_computes_what_the_rounded_network_does(model, storage: str) -> None:  # type: ignore[no-untyped-def]
    """Whatever the storage, the runtime agrees with torch once the weights are rounded alike, at any batch and length."""
    from crisis_filter.local.train.export import round_weights, to_onnx

    session = onnxruntime.InferenceSession(to_onnx(model, storage), providers=["CPUExecutionProvider"])
    rounded = copy.deepcopy(model)
    round_weights(rounded, storage)
    rng = np.random.default_rng(1)
    for rows, width in ((1, 1), (3, 17), (2, 128)):
        tokens = rng.integers(0, VOCABULARY, (rows, width))
        mask = (np.arange(width) < rng.integers(1, width + 1, (rows, 1))).astype(np.int64)
        (logits,) = session.run(None, {"tokens": tokens, "mask": mask})
        with torch.no_grad():
            expected = rounded(torch.from_numpy(tokens), torch.from_numpy(mask)).numpy()
        assert np.abs(logits - expected).max() < 1e-3


def test_whole_numbers_agree_with_the_rounding_of_training(model) -> None:  # type: ignore[no-untyped-def]
    """One message at a time: what the runtime computes is what the network was trained to live with, but for ties that fall the other way."""
    from crisis_filter.local.train.export import round_weights, to_onnx

    session = onnxruntime.InferenceSession(to_onnx(model, "rounded"), providers=["CPUExecutionProvider"])
    rounded = copy.deepcopy(model)
    round_weights(rounded, "rounded")
    rng = np.random.default_rng(1)
    apart, cost = [], []
    for width in (5, 17, 60, 128):
        tokens = rng.integers(0, VOCABULARY, (1, width))
        mask = np.ones((1, width), np.int64)
        (logits,) = session.run(None, {"tokens": tokens, "mask": mask})
        with torch.no_grad():
            expected = rounded(torch.from_numpy(tokens), torch.from_numpy(mask)).numpy()
            exact = model(torch.from_numpy(tokens), torch.from_numpy(mask)).numpy()
        apart.append(np.abs(logits - expected).max())
        cost.append(np.abs(logits - exact).max())
    assert max(apart) < 0.02
    assert max(cost) > max(apart), "the rounding itself is larger than how far the two differ over it"


def test_the_linear_model_adds_its_logits_inside_the_graph(model) -> None:  # type: ignore[no-untyped-def]
    """One graph, four inputs; a window without words gets nothing added."""
    from crisis_filter.local.ngrams import bucketed
    from crisis_filter.local.train.export import to_onnx
    from crisis_filter.local.train.grams import Grams

    rng = np.random.default_rng(2)
    idf = rng.uniform(1, 8, 64).astype(np.float16).astype(np.float32)
    grams = Grams(idf, rng.normal(size=(64, 9)).astype(np.float32), np.zeros(9, np.float32))
    alone, both = (
        onnxruntime.InferenceSession(to_onnx(model, "rounded", g), providers=["CPUExecutionProvider"])
        for g in (None, grams)
    )
    for words in ([], ["help"], ["wish", "i", "could", "just", "not"]):
        given = {"tokens": rng.integers(0, VOCABULARY, (1, 9)), "mask": np.ones((1, 9), np.int64)}
        buckets, counts = bucketed(words, 64)
        (network,) = alone.run(None, given)
        (logits,) = both.run(None, {**given, "buckets": buckets, "counts": counts})
        raw = counts * idf[buckets]
        unit = raw / max(float(np.linalg.norm(raw)), 1e-9)
        assert np.abs(logits - network - unit @ grams.weights[buckets]).max() < 0.05
        assert words or np.array_equal(logits, network)


def test_rounding_lets_gradients_pass(model) -> None:  # type: ignore[no-untyped-def]
    """As if nothing were rounded, or nothing would be learned; and it is off again afterwards."""
    trained = copy.deepcopy(model).train()
    trained.round(on=True)
    loss = trained(torch.tensor([[1, 2, 3]]), torch.ones(1, 3, dtype=torch.int64)).sum()
    loss.backward()
    assert all(float(layer.up.weight.grad.abs().sum()) > 0 for layer in trained.layers)
    trained.round(on=False)
    assert not trained.layers[0].up.rounding


def test_int8_storage_is_a_quarter(model) -> None:  # type: ignore[no-untyped-def]
    """Eight bits a weight make a file near a quarter of the full one, and the same bytes each time."""
    from crisis_filter.local.train.export import to_onnx

    small = to_onnx(model, "int8")
    assert len(small) < 0.28 * len(to_onnx(model, "float32"))
    assert small == to_onnx(model, "int8")


def test_training_again_gives_the_same_weights() -> None:
    """One recipe, one seed, one machine: one result."""
    from crisis_filter.local.train.data import Example
    from crisis_filter.local.train.fit import Recipe, fit
    from crisis_filter.local.train.model import LAYERS, POSITIONS, WIDTH
    from crisis_filter.local.wordpiece import WordPiece

    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefgh"]
    generator = torch.Generator().manual_seed(0)

    def some(*shape: int):  # type: ignore[no-untyped-def]
        return torch.randn(*shape, generator=generator) * 0.05

    start = {
        "embeddings.word_embeddings.weight": some(len(tokens), WIDTH),
        "embeddings.position_embeddings.weight": some(POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": some(2, WIDTH),
        "embeddings.LayerNorm.weight": torch.ones(WIDTH),
        "embeddings.LayerNorm.bias": torch.zeros(WIDTH),
    }
    for i in range(LAYERS):
        base = f"encoder.layer.{i}"
        shapes = {
            **{f"attention.self.{n}": (WIDTH, WIDTH) for n in ("query", "key", "value")},
            "attention.output.dense": (WIDTH, WIDTH),
            "intermediate.dense": (4 * WIDTH, WIDTH),
            "output.dense": (WIDTH, 4 * WIDTH),
        }
        for name, shape in shapes.items():
            start[f"{base}.{name}.weight"] = some(*shape)
            start[f"{base}.{name}.bias"] = torch.zeros(shape[0])
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            start[f"{base}.{name}.weight"] = torch.ones(WIDTH)
            start[f"{base}.{name}.bias"] = torch.zeros(WIDTH)
    items = [Example(text, np.array([1, 0, 1], np.float32)) for text in ("a b", "c d e", "f", "g h a")]
    recipe = Recipe(seeds=(1, 2), epochs=1, batch=2, frozen=2, rounding=0.5, asides=())

    def once():  # type: ignore[no-untyped-def]
        return fit(
            items, WordPiece(tokens), start, recipe, vocabulary=len(tokens), threads=1, report=lambda line: None
        ).state_dict()

    first, second = once(), once()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(first["layers.0.up.weight"], start["encoder.layer.0.intermediate.dense.weight"])
    assert not torch.equal(first["layers.5.up.weight"], start["encoder.layer.5.intermediate.dense.weight"])
