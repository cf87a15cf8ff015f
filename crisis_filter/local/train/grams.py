"""The linear model over n-grams: logistic regression for each label, on the texts as they are and as a hurried thumb sends them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, diags

from crisis_filter.local.ngrams import bucketed
from crisis_filter.local.train.data import Example, epoch
from crisis_filter.local.wordpiece import WordPiece, spell_out

_ITERATIONS = 80
_SOFTNESS = 4.0
_NOISE = 0.7


@dataclass(frozen=True, slots=True)
class Grams:
    """A trained model."""

    idf: NDArray[np.float32] = field(repr=False)
    """How rare a bucket is, shape (buckets,), as stored in 16 bits."""
    weights: NDArray[np.float32] = field(repr=False)
    """Shape (buckets, labels)."""
    bias: NDArray[np.float32] = field(repr=False)
    """Shape (labels,)."""

    def scaled(self, slopes: NDArray[np.floating]) -> Grams:
        """With the logits of each label multiplied, and without a bias."""
        return Grams(self.idf, (self.weights * slopes).astype(np.float32), np.zeros_like(self.bias))


def _matrix(texts: Sequence[str], tokenizer: WordPiece, buckets: int, max_tokens: int) -> csr_matrix:
    """Counts by text and bucket; texts cut where the network's are."""
    starts, numbers, values = [0], [], []
    for text in texts:
        found, counts = bucketed(tokenizer.decode(tokenizer.encode(spell_out(text))[: max_tokens - 2]), buckets)
        numbers.append(found[:-1])
        values.append(counts[:-1])
        starts.append(starts[-1] + len(found) - 1)
    return csr_matrix((np.concatenate(values), np.concatenate(numbers), starts), shape=(len(texts), buckets))


def _weighted(counts: csr_matrix, idf: NDArray[np.float32]) -> csr_matrix:
    table = csr_matrix(counts @ diags(idf))
    lengths = np.sqrt(np.asarray(table.multiply(table).sum(axis=1)).ravel())
    return csr_matrix(diags(1.0 / np.maximum(lengths, 1e-9)) @ table)


def fit_grams(items: Sequence[Example], tokenizer: WordPiece, *, labels: int, buckets: int, max_tokens: int) -> Grams:
    """Fit by L-BFGS; the same items give the same numbers on the same machine.

    Args:
        items: the training examples; each is used as it is and once with noise, joined or among others.
        tokenizer: cuts texts into words as the network sees them.
        labels: how many of the targets, from the first.
        buckets: see `ngrams`.
        max_tokens: texts are cut here.
    """
    rng = np.random.default_rng(0)
    both = [*items, *epoch(items, rng, strength=_NOISE, joins=0.1, burials=0.1)]
    counts = _matrix([item.text for item in both], tokenizer, buckets, max_tokens)
    seen = np.bincount(counts.indices[: counts.indptr[len(items)]], minlength=buckets)
    idf = (np.log((1 + len(items)) / (1 + seen)) + 1).astype(np.float16).astype(np.float32)
    table = _weighted(counts, idf)
    turned = csr_matrix(table.T)
    targets = np.stack([item.targets[:labels] for item in both]).astype(np.float64)
    fitted = [_regression(table, turned, targets[:, label]) for label in range(labels)]
    return Grams(
        idf=idf,
        weights=np.stack([w[:-1] for w in fitted], axis=1).astype(np.float32),
        bias=np.array([w[-1] for w in fitted], np.float32),
    )


def _regression(table: csr_matrix, turned: csr_matrix, target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights and, last, the bias."""
    sign = 2 * target - 1

    def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = table @ w[:-1] + w[-1]
        off = 1 / (1 + np.exp(-np.clip(logits, -60, 60))) - target
        value = np.logaddexp(0, -sign * logits).sum() + w[:-1] @ w[:-1] / (2 * _SOFTNESS)
        return float(value), np.append(turned @ off + w[:-1] / _SOFTNESS, off.sum())

    start = np.zeros(table.shape[1] + 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS})
    weights: NDArray[np.float64] = found.x
    return weights


def gram_logits(grams: Grams, items: Sequence[Example], tokenizer: WordPiece, max_tokens: int) -> NDArray[np.float32]:
    """Logits of texts, shape (len(items), labels); texts cut at `max_tokens`."""
    counts = _matrix([item.text for item in items], tokenizer, len(grams.idf), max_tokens)
    out: NDArray[np.float32] = (_weighted(counts, grams.idf) @ grams.weights + grams.bias).astype(np.float32)
    return out
