"""The documentation keeps up with the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from crisis_filter.assets import names
from crisis_filter.errors import FAULTS
from crisis_filter.schema import Fault
from crisis_filter.settings import Settings

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    p
    for p in [*ROOT.glob("*.md"), *ROOT.glob("*/*.md"), *ROOT.glob("*/*/*.md")]
    if not any(part.startswith(".") for part in p.relative_to(ROOT).parts)
)


def test_every_fault_has_its_row():
    """A person who sees a fault finds what it means."""
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/faults.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [fault.value for fault in Fault]


def test_every_setting_is_documented():
    """Each environment variable is named in the library page."""
    page = (ROOT / "docs/library.md").read_text(encoding="utf-8")
    for name in Settings.model_fields:
        assert f"CRISIS_FILTER_{name.upper()}" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_inside_the_repository_lead_somewhere(page):
    """No dead link between pages."""
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_prompt_is_in_the_changelog():
    """A released prompt has its line with the measured effect."""
    page = (ROOT / "prompts/README.md").read_text(encoding="utf-8")
    for name in names("prompts", ".md"):
        assert f"`{name}`" in page


def test_the_library_page_runs():
    """Its example works offline as it stands."""
    code = (ROOT / "docs/library.md").read_text(encoding="utf-8").split("```python\n", 1)[1].split("```", 1)[0]
    out = subprocess.run([sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True)
    assert "2 crisis" in out.stdout


def test_the_script_in_the_library_page_works(tmp_path):
    """Its two lines give what the page says."""
    from crisis_filter import FilterSpec, open_filter

    lines = (ROOT / "docs/library.md").read_text(encoding="utf-8").split("```json\n", 1)[1].split("```", 1)[0]
    path = tmp_path / "script.jsonl"
    path.write_text(lines, encoding="utf-8")
    with open_filter(FilterSpec(backend=f"scripted:{path}")) as crisis_filter:
        a = crisis_filter.classify("anything")
    assert [(f.category, f.severity) for f in a.findings] == [("suicide", "severe"), ("unspecified", None)]


def test_the_table_of_faults_is_the_code():
    """Retries, next endpoint and judging again, row by row."""
    page = (ROOT / "docs/faults.md").read_text(encoding="utf-8")
    again = {"healed": "when the service is whole", "other": "by another detector", "never": "no"}
    for fault, _, same, following, rejudged, outcome in re.findall(
        r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", page, re.MULTILINE
    ):
        rule = FAULTS[Fault(fault)]
        assert (same == "no") == (rule.retry == "no"), fault
        assert (following == "yes") == rule.next_link, fault
        assert rejudged == again[rule.rejudge], fault
        assert outcome.startswith("crisis") == rule.after_positive, fault
        assert ("read first" in outcome) == rule.sign, fault


def test_the_evaluation_page_runs(tmp_path):
    """Its commands and its example work as they stand, on a set that is in the repository."""
    page = (ROOT / "docs/evaluation.md").read_text(encoding="utf-8")
    made = tmp_path / "engine.jsonl"
    commands = [line.split("#")[0].split() for line in page.splitlines() if line.startswith("    crisis-filter ")]
    offline = [words for words in commands if "labels.csv" not in words]
    assert len(offline) >= 4
    for words in offline:
        out = ">" in words
        given = words[1 : words.index(">")] if out else words[1:]
        moved = [str(tmp_path / word) if word.startswith(("engine.", "report.")) else word for word in given]
        done = subprocess.run(
            [sys.executable, "-m", "crisis_filter", *moved], cwd=ROOT, check=False, timeout=120, capture_output=True
        )
        # 3 says that a message is undetermined, as one of that set is.
        assert done.returncode in ((0, 3) if out else (0,)), done.stderr
        if out:
            made.write_bytes(done.stdout)
    code = page.split("```python\n", 1)[1].split("```", 1)[0].replace("engine.jsonl", str(made))
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120, capture_output=True, text=True
    )
    assert said.stdout.startswith("Interval(estimate=0.9")
