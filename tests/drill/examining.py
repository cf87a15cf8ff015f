"""What the tests of the doctor share: a server that can read a long prompt, and an examination of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from crisis_filter.drill.answers import LITERALS, Brain, Healthy, KnownTexts
from crisis_filter.drill.asked import Asked
from crisis_filter.drill.behaviours import Behaviour
from crisis_filter.drill.doctor import Doctor
from crisis_filter.drill.finding import CHECKS, Finding
from crisis_filter.drill.http import Response
from crisis_filter.drill.messages import load_messages
from crisis_filter.drill.plans import Plan
from crisis_filter.drill.probes import CRISES, ORDINARY, UNCLEAR
from crisis_filter.drill.scene import Scene, answered, failed
from crisis_filter.drill.server import FaultServer
from crisis_filter.pipeline.description import FilterSpec

MESSAGES = load_messages()
ORACLE = Healthy(KnownTexts.of(MESSAGES.labels()))
SENT = [m.text for m in (*MESSAGES.crises, *MESSAGES.ordinary) if m.id in (*CRISES, ORDINARY)]
PRIVATE = [*SENT, UNCLEAR.text, "The drill's model says so", "I can't help with that"]
MACHINE = {"policy", "resources", "engine", "trust_store"}


class Reading(FaultServer):
    """A server that also repeats the codes of a long prompt, as far as its window lets it see them."""

    def __init__(
        self,
        brain: Brain = ORACLE,
        plan: Plan | None = None,
        *,
        window: int = 10**6,
        drops: str = "front",
        loud: bool = False,
        counting: bool = True,
        schemas: bool = True,
    ) -> None:
        super().__init__(brain, plan)
        self.window = window
        self.drops = drops
        self.loud = loud
        self.counting = counting
        self.schemas = schemas

    def _respond(self, behaviour: Behaviour, asked: Asked, body: Mapping[str, Any]) -> Response:
        if not self.schemas and "response_format" in body:
            return failed(400, "response_format is not supported", kind="invalid_request_error")
        prompt = "\n".join(m["content"] for m in body["messages"])
        kept = prompt
        if len(prompt) > 4 * self.window:
            if self.loud:
                return failed(400, "too long", code="context_length_exceeded", kind="invalid_request_error")
            kept = prompt[-4 * self.window :] if self.drops == "front" else prompt[: 4 * self.window]
        if "code on the" not in prompt:
            return super()._respond(behaviour, asked, body)
        front = re.search(r"first line is ([0-9a-f]+)\.", kept)
        nonce = re.search(r"`nonce` is ([0-9a-f]+)", kept)
        words = json.dumps({"nonce": nonce[1] if nonce else "", "front": front[1] if front else "none"})
        scene = Scene(asked=asked, said=words, literals=LITERALS["prompts"], body=body)
        return answered(scene, words, prompt_tokens=len(kept) // 4 if self.counting else 0)


def spec(server: FaultServer, **more: Any) -> FilterSpec:
    return FilterSpec(backend="openai:any", base_url=server.base_url, **more)


async def examined(server: FaultServer, timeout_s: float = 5.0, **more: Any) -> dict[str, Finding]:
    """The findings of one endpoint by check; every check once, and nothing private in any."""
    doctor = Doctor(spec(server, **more), MESSAGES, timeout_s=timeout_s)
    findings = [finding async for finding in doctor.examine()]
    told = "\n".join(finding.model_dump_json() for finding in findings)
    assert not [text for text in PRIVATE if text in told]
    assert all(bool(f.advice) == (f.status in ("warn", "fail")) for f in findings)
    assert [f.check for f in findings] == sorted((f.check for f in findings), key=CHECKS.index)
    assert {f.endpoint for f in findings if f.check not in MACHINE} == {"openai:any"}
    return {finding.check: finding for finding in findings}


def of_status(found: Mapping[str, Finding], status: str) -> set[str]:
    return {check for check, finding in found.items() if finding.status == status} - MACHINE
