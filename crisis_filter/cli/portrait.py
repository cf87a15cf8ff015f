"""One assessment in full, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.text import Text

from crisis_filter.cli.show import category_words, outcome_text, plain
from crisis_filter.cli.wording import SCORE_SOURCES, counted, fault_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from crisis_filter.schema import Assessment, Disposition, Evidence, Finding, Message, PromptRef

_MARKS = ("⟦", "⟧")
_ASCII_MARKS = ("[[", "]]")


def portray(assessment: Assessment, message: Message, console: Console) -> None:
    """Print everything an assessment says, with the evidence marked in the text."""
    first = outcome_text(assessment.outcome, console)
    if assessment.score is not None and assessment.score_source is not None:
        first.append(f"  score {assessment.score:.3f}, {SCORE_SOURCES[assessment.score_source]}", style="not bold")
    if assessment.score_at_prevalence is not None:
        first.append(f" ({assessment.score_at_prevalence:.3f} at the prevalence given)", style="not bold")
    first.append(f"  id {plain(assessment.id)}", style="not bold dim")
    console.print(first)
    marks = _MARKS if console.encoding.lower().startswith("utf") else _ASCII_MARKS
    spots = [*assessment.screen.evidence, *(e for f in assessment.findings for e in f.evidence)]
    _part(console, f"Text (evidence between {marks[0]} {marks[1]})" if spots else "Text")
    _line(console, marked(message.text, spots, marks) if message.text else Text("(none)"))
    _stages(assessment, console)
    if assessment.fault is not None:
        _part(console, f"Fault: {assessment.fault.value}")
        words = fault_words(assessment.fault, (assessment.provenance.detector,))
        detail = f" What was seen: {assessment.fault_detail}." if assessment.fault_detail else ""
        _line(console, f"{words.meaning}{detail} {words.advice}")
    if assessment.flags:
        _part(console, "Flags")
        _line(console, ", ".join(assessment.flags))
    if assessment.disposition is not None:
        _disposition(assessment.disposition, console)
    _provenance(assessment, console)


def marked(text: str, spots: Iterable[Evidence], marks: tuple[str, str]) -> Text:
    """The text with a pair of marks around each stretch of evidence; stretches that touch or overlap become one."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted((e.start, e.end) for e in spots):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    out = Text()
    at = 0
    for start, end in joined:
        out.append(plain(text[at:start]))
        out.append(f"{marks[0]}{plain(text[start:end])}{marks[1]}", style="bold reverse")
        at = end
    return out.append(plain(text[at:]))


def _part(console: Console, title: str) -> None:
    console.print()
    console.print(Text(title, style="bold"))


def _line(console: Console, line: str | Text, *, depth: int = 1) -> None:
    console.print(Padding(Text(line) if isinstance(line, str) else line, (0, 0, 0, 2 * depth), expand=False))


def _stages(assessment: Assessment, console: Console) -> None:
    screen = assessment.screen
    _part(console, "Stage 1, crisis or not")
    _line(console, f"whose: {screen.subject}   when: {screen.timeframe}")
    _quotes(screen.evidence, console)
    if screen.rationale:
        _line(console, plain(screen.rationale))
    _part(console, "Stage 2, which kind")
    if not assessment.findings:
        _line(console, "not asked: only a crisis has a kind")
    for finding in assessment.findings:
        _finding(finding, console)


def _finding(finding: Finding, console: Console) -> None:
    how_sure = "" if finding.probability is None else f", probability {finding.probability:.3f}"
    _line(console, f"{category_words(finding)}{how_sure}, whose: {finding.subject}, when: {finding.timeframe}")
    _quotes(finding.evidence, console, depth=2)
    if finding.rationale:
        _line(console, plain(finding.rationale), depth=2)


def _quotes(evidence: Iterable[Evidence], console: Console, *, depth: int = 1) -> None:
    for quote in evidence:
        _line(console, f'"{plain(quote.quote)}" (characters {quote.start} to {quote.end})', depth=depth)


def _disposition(told: Disposition, console: Console) -> None:
    _part(console, "Where it goes")
    _line(console, f"queue {told.queue}, urgency {told.urgency}, by rule {told.rule}")
    if told.protocol:
        _line(console, f"protocol {told.protocol}")
    for resource in told.resources:
        _line(console, f"{plain(resource.name)}: {plain(resource.contact)} ({plain(resource.source)})")
    if told.resources_withheld:
        _line(console, f"{counted(told.resources_withheld, 'resource')} withheld: nobody has verified them yet")


def _provenance(assessment: Assessment, console: Console) -> None:
    how = assessment.provenance
    _part(console, "How it came about")
    _line(console, f"detector {how.detector}" + (f", model {how.model}" if how.model else ""))
    if how.cascade is not None:
        score = "no score" if how.cascade.score is None else f"score {how.cascade.score:.4f}"
        below = f", {how.cascade.clearing.id}" if how.cascade.clearing is not None else ", nothing is cleared"
        _line(console, f"cascade: {how.cascade.step} (engine's {score}{below})")
    for name, ref in (("taxonomy", how.taxonomy), ("policy", how.policy)):
        if ref is not None:
            _line(console, f"{name} {_ref(ref)}")
    for prompt in how.prompts:
        _line(console, f"prompt {_ref(prompt)}")
    _line(
        console,
        f"crisis-filter {how.version}, {counted(how.views, 'view')}, {counted(how.attempts, 'request')}, "
        f"{how.prompt_tokens:,} + {how.completion_tokens:,} tokens, {counted(how.quotes_dropped, 'quote')} dropped, "
        f"{how.elapsed_ms:,.1f} ms",
    )


def _ref(ref: PromptRef) -> str:
    return f"{ref.id} (SHA-256 {ref.sha256[:12]}...)"
