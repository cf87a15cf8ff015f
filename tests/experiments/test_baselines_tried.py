"""Other people's guardrails as columns: asked once, written down, replayed with nobody there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from crisis_filter import assets
from crisis_filter.drill.answers import LITERALS, KnownTexts
from crisis_filter.drill.asked import Asked
from crisis_filter.drill.server import FaultServer
from crisis_filter.experiments.folder import read_experiment
from crisis_filter.experiments.summary import summary_of
from tests.experiments.test_running import replayed
from tests.experiments.trying import messages, parts, plan_file, tried
from tests.fault_server import Answer, Received, serve_faults


async def test_a_guard_model_is_a_column(tmp_path: Path) -> None:
    """Llama Guard's format from a server that speaks it: the engine and it beside one another."""
    known = KnownTexts.read(messages(tmp_path))

    def brain(asked: Asked) -> bool:
        return known(asked.message)

    async with FaultServer(brain, literals=LITERALS["safe-unsafe"]) as one:
        guard = {
            "id": "baseline:llama-guard-3-8b",
            "label": "guard",
            "config": {"base_url": one.base_url, "attempts": 1},
        }
        file = plan_file(tmp_path, providers=["local", guard])
        ending = await tried(file, tmp_path / "x")
    assert ending.whole
    found = read_experiment(tmp_path / "x")
    counted = {v.id: v for v in summary_of(found).variants}
    assert (counted["guard"].crises.right, counted["guard"].others.right) == (4, 4)
    assert found.spent["guard"].requests == 8
    assert {c.assessment.disposition for c in found.cells.values() if c.variant == "guard"} == {None}
    assert (await replayed(file, tmp_path / "x")).differing == ()


async def test_a_moderation_endpoint_is_a_column(tmp_path: Path) -> None:
    """Its replies are written down in a form of their own, and faults too."""
    messages(tmp_path)
    keys = ("harassment", "hate", "illicit", "self-harm", "sexual", "violence")
    more = (
        "harassment/threatening",
        "hate/threatening",
        "illicit/violent",
        "self-harm/intent",
        "self-harm/instructions",
        "sexual/minors",
        "violence/graphic",
    )
    seen: list[str] = []

    def answer(received: Received) -> Answer:
        text = received.body["input"]
        seen.append(text)
        crisis = any(word in text for word in ("tonight", "bath", "monday"))
        if "voices" in text:
            return Answer(b'{"results": [{}]}')
        result = {
            "flagged": crisis,
            "categories": {key: crisis and key == "self-harm" for key in (*keys, *more)},
            "category_scores": {key: 0.9 if crisis and key == "self-harm" else 0.01 for key in (*keys, *more)},
            "category_applied_input_types": {key: ["text"] for key in (*keys, *more)},
        }
        body = {"id": "modr-1", "model": "omni-moderation-2024-09-26", "results": [result]}
        return Answer(json.dumps(body).encode())

    async with serve_faults() as one:
        one.script = [answer]
        config = {"base_url": one.url, "attempts": 1}
        providers = [{"id": "baseline:openai-moderation", "label": "omni", "config": config}]
        # Its requests count like any other's.
        file = plan_file(tmp_path, providers=providers, budget={"requests": 3})
        ending = await tried(file, tmp_path / "x")
        assert ending.over_budget
        assert len(seen) == ending.done == 3
        file = plan_file(tmp_path, providers=providers)
        await tried(file, tmp_path / "x")
    found = read_experiment(tmp_path / "x")
    counted = summary_of(found).variants[0]
    assert (counted.crises.right, counted.crises.undetermined, counted.others.right) == (3, 1, 4)
    assert found.spent["omni"].requests == len(seen)
    assert (await replayed(file, tmp_path / "x")).differing == ()


def test_another_map_is_another_variant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same reply read by other rules is another answer."""
    messages(tmp_path)
    provider = {"id": "baseline:llama-guard-3-8b", "label": "guard", "config": {"base_url": "http://127.0.0.1:9/v1"}}
    file = plan_file(tmp_path, providers=[provider])
    before = parts(file)[1].columns[0].variant.fingerprint
    for kind in ("categories", "policies", "prompts"):
        shutil.copytree(assets.root() / kind, tmp_path / "other" / kind)
    monkeypatch.setattr(assets, "_PACKAGE", tmp_path / "other" / "package")
    assert parts(file)[1].columns[0].variant.fingerprint == before
    one = tmp_path / "other/categories/maps/llama-guard-3.yaml"
    one.write_text(one.read_text() + "# changed\n")
    assert parts(file)[1].columns[0].variant.fingerprint != before
