"""The embedded engine at run time: texts in, probabilities out, on the processor, without a network connection.

A probability never depends on what else is in the batch beyond the last digits: either the arithmetic is 32-bit floating point and
padding is masked, or (`EngineCard.alone`) numbers are rounded to 8 bits as they come and each window is run by itself.

Where the card says so (`EngineCard.buckets`), a linear model over words and pieces of words adds its logits to the network's, inside the same graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from crisis_filter.errors import AssetError, ConfigurationError, EngineError
from crisis_filter.local import artifact
from crisis_filter.local.ngrams import bucketed
from crisis_filter.local.wordpiece import WordPiece, spell_out, windows

Probabilities = NDArray[np.float32]

_PROBE = "can I move my appointment to thursday"
# Bounds what a batch holds at once, whatever the length of its texts.
_BATCH_TOKENS = 2048


class LocalEngine:
    """A loaded engine. Made by `load`; safe to share between threads."""

    def __init__(self, contents: artifact.Artifact, session: onnxruntime.InferenceSession) -> None:
        self.card = contents.card
        self.sha256 = contents.sha256
        self._session = session
        self._tokenizer = WordPiece(contents.vocabulary)

    @classmethod
    def load(cls, path: Path | None = None, *, threads: int = 1) -> Self:
        """Read, check and try out an engine.

        Args:
            path: the engine folder; `None` is the one that comes with the package.
            threads: processor threads for one call, at least 1.

        Raises:
            AssetError: a file is missing, malformed or altered, or the network cannot be loaded.
            EngineError: the engine gives no finite probabilities for a fixed text.
        """
        contents = artifact.read(path if path is not None else artifact.bundled())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        # Idle threads that spin would take the processor from the rest of the program.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = onnxruntime.InferenceSession(contents.model, options, providers=["CPUExecutionProvider"])
            engine = cls(contents, session)
        except Exception as error:  # noqa: BLE001  # the runtime's errors share no base class
            raise AssetError(f"{contents.card.id}: the engine cannot be loaded ({type(error).__name__})") from None
        engine.predict([_PROBE])
        return engine

    @property
    def id(self) -> str:
        """Such as `starter-v1`; `sha256` tells two engines of one id apart."""
        return self.card.id

    @property
    def thresholds(self) -> tuple[float, ...]:
        """One for each label; a label is present at or above its own."""
        return self.card.thresholds

    @property
    def labels(self) -> tuple[str, ...]:
        """`crisis`, then the categories in the order of the taxonomy."""
        return self.card.labels

    def predict(self, texts: Sequence[str]) -> Probabilities:
        """Probabilities of every label for every text.

        A text longer than the network reads at once is read whole, in overlapping windows; each label takes its highest
        probability over the windows.

        Args:
            texts: any texts; an empty one is read as nothing and its probabilities mean nothing.

        Returns:
            Shape (len(texts), len(labels)), values 0 to 1, all finite.

        Raises:
            EngineError: the runtime failed or a value is not finite. Carries no text.
        """
        return self._run([self._tokenizer.encode(spell_out(text)) for text in texts])

    def score(self, text: str) -> Probabilities:
        """Probabilities of one text, shape (len(labels),).

        Raises:
            EngineError: as `predict`.
        """
        row: Probabilities = self.predict([text])[0]
        return row

    def at_prevalence(self, prevalence: float) -> Callable[[float], float]:
        """What a probability of crisis becomes where another share of the messages are crises.

        Args:
            prevalence: that share, in (0, 1).

        Returns:
            A function from probability to probability that keeps their order; 0 and 1 stay.

        Raises:
            ConfigurationError: the engine does not say at which share it was calibrated.
            ValueError: `prevalence` outside (0, 1).

        References:
            M. Saerens, P. Latinne, C. Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities", Neural
            Computation 14 (2002), 21-41, doi:10.1162/089976602753284446.
        """
        if not 0.0 < prevalence < 1.0:
            raise ValueError("prevalence must lie strictly between 0 and 1")
        own = self.card.calibrated_at
        if own is None:
            raise ConfigurationError(
                f"the engine {self.id} does not say at which prevalence it was calibrated: leave the prevalence out"
            )
        odds = prevalence / (1 - prevalence) * (1 - own) / own

        def adjusted(probability: float) -> float:
            return probability * odds / (probability * odds + 1 - probability)

        return adjusted

    def unknown(self, text: str) -> float:
        """Share of a text's tokens that the vocabulary cannot express, 0 to 1; 1 for a text without any token.

        Where it is high (another script, run-together words) the engine has not read the text, and a low probability
        means nothing.
        """
        tokens = self._tokenizer.encode(spell_out(text))
        return tokens.count(self._tokenizer.unknown) / len(tokens) if tokens else 1.0

    def _run(self, texts: Sequence[Sequence[int]]) -> Probabilities:
        rows = [(place, cut) for place, tokens in enumerate(texts) for cut in self._cuts(tokens)]
        rows.sort(key=lambda row: len(row[1]))
        best = np.zeros((len(texts), len(self.labels)), np.float32)
        while rows:
            # Sorted by length, so the last row of a group is its longest.
            end = 1
            while not self.card.alone and end < len(rows) and (end + 1) * (len(rows[end][1]) + 2) <= _BATCH_TOKENS:
                end += 1
            group, rows = rows[:end], rows[end:]
            found = self._batch([cut for _, cut in group])
            np.maximum.at(best, [place for place, _ in group], found)
        return best

    def _cuts(self, tokens: Sequence[int]) -> list[list[int]]:
        """What is read at once: all of a text that fits, else windows."""
        card = self.card
        if len(tokens) <= card.max_tokens - 2:
            return [list(tokens)]
        return windows(tokens, size=(card.window or card.max_tokens) - 2, overlap=card.overlap)

    def _batch(self, cuts: Sequence[Sequence[int]]) -> Probabilities:
        width = max(len(cut) for cut in cuts) + 2
        tokens = np.full((len(cuts), width), self._tokenizer.pad, np.int64)
        for row, cut in enumerate(cuts):
            tokens[row, : len(cut) + 2] = [self._tokenizer.classify, *cut, self._tokenizer.separate]
        mask = (np.arange(width) < np.array([len(cut) + 2 for cut in cuts])[:, None]).astype(np.int64)
        given: dict[str, NDArray[np.generic]] = {"tokens": tokens, "mask": mask}
        if self.card.buckets:
            given["buckets"], given["counts"] = bucketed(self._tokenizer.decode(cuts[0]), self.card.buckets)
        try:
            (logits,) = self._session.run(None, given)
        except Exception as error:  # noqa: BLE001  # the runtime's errors share no base class
            raise EngineError(f"the embedded engine failed ({type(error).__name__})") from None
        if logits.shape != (len(cuts), len(self.labels)) or not np.isfinite(logits).all():
            raise EngineError("the embedded engine gave values that are not probabilities")
        probabilities: Probabilities = (1.0 / (1.0 + np.exp(-np.clip(logits, -60.0, 60.0)))).astype(np.float32)
        return probabilities
