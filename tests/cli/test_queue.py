"""`crisis-filter queue`: the whole of a reader's work from a terminal, without one."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crisis_filter.cli.app import app
from crisis_filter.cli.queue_show import covered, lasting
from crisis_filter.cli.queue_work import Lines
from crisis_filter.schema import Assessment, Disposition, Evidence, Finding, Outcome, Provenance
from crisis_filter.store.conclude import conclude
from crisis_filter.store.intake import accept
from crisis_filter.store.opening import now_ms, open_store
from crisis_filter.store.records import Received

CANARY = "canary5519"
TEXT = f"{CANARY} i have the pills here"


class Ran:
    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


class Desk:
    """A store in a file, and the program on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder / 'store.db'}"

    def put(self, outcome: Outcome = "crisis", *, second: bool = False, text: str = TEXT, score: float = 0.9) -> str:
        now = now_ms()
        with open_store(self.url) as store:
            row = Received(tenant="default", source="portal", subject="+1-555-0100", text=text, locale="en-US")
            (made,) = store.write(lambda c: accept(c, store, [row], now_ms=now))
            found = Finding(category="suicide", severity="severe", evidence=(Evidence(quote=text[:4], start=0, end=4),))
            said = Assessment(
                id=made.message_id,
                outcome=outcome,
                score=score,
                score_source="engine",
                findings=(found,) if outcome == "crisis" else (),
                fault="timeout" if outcome == "undetermined" else None,  # type: ignore[arg-type]  # validated
                disposition=Disposition(queue="clinical", urgency="urgent", rule="r", protocol="safety-planning"),
                provenance=Provenance(detector="scripted", version="0"),
            )
            store.write(
                lambda c: conclude(
                    c,
                    store,
                    made.message_id,
                    said,
                    to_person=outcome != "no_crisis",
                    due_ms=now + 3_600_000 if outcome != "no_crisis" else None,
                    second_reading=second,
                    now_ms=now,
                )
            )
        return made.message_id

    def run(self, *arguments: str, who: str = "anna", stdin: str | None = None) -> Ran:
        given = ["queue", *arguments, "--store", self.url, "--as", who]
        done = CliRunner().invoke(app, given, input=stdin)
        return Ran(done.exit_code, done.stdout, done.stderr)

    def next(self, who: str = "anna") -> str:
        return str(json.loads(self.run("next", "--json", who=who).out)["id"])


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("COLUMNS", "120")
    return Desk(tmp_path)


def test_take_look_decide(desk: Desk) -> None:
    desk.put()
    taken = desk.run("next")
    assert taken.status == 0
    item, line = taken.out.splitlines()
    assert re.match(r"urgent   clinical   came \d+ s ago", line)
    assert CANARY not in taken.out
    shown = desk.run("show", item)
    assert CANARY not in shown.out
    assert "suicide (severe)" in shown.out
    assert "Somebody may hurt themself" in shown.out
    assert "ry5519 i have the pills here" in desk.run("show", item, "--text").out  # behind the mark of the evidence
    refused = desk.run("decide", item, "not-crisis")
    assert (refused.status, refused.err) == (4, "refused: say why it is otherwise than was said\n")
    done = desk.run("decide", item, "not-crisis", "--reason", "joke_or_quote")
    assert (done.status, done.out) == (0, "decided\n")
    again = desk.run("decide", item, "not-crisis", "--reason", "joke_or_quote")
    assert (again.status, again.out) == (0, "you had said the same before; nothing was changed\n")
    other = desk.run("decide", item, "crisis", "--category", "suicide")
    assert (other.status, other.err) == (4, "refused: it was decided otherwise; a supervisor may correct that\n")
    assert desk.run("next").out == "nothing waits that you may have\n"
    assert desk.run("next", "--json").out == "null\n"


REFUSED = [
    (["maybe"], 2, "accept, crisis, not-crisis, undetermined or escalate"),
    (["crisis", "--category", "sadness"], 2, "--category is one of: abuse"),
    (["not-crisis", "--category", "abuse"], 2, "--category belongs to crisis"),
    (["not-crisis", "--reason", "because"], 2, "--reason is one of"),
    (["escalate"], 2, "escalate needs --to"),
    (["accept", "--to", "lead"], 2, "escalate needs --to"),
    (["escalate", "--to", "nowhere"], 4, "nobody reads that queue"),
    (["accept", "--note-from", "/nowhere/at/all"], 5, "cannot be read"),
]


def raised(desk: Desk) -> tuple[str, Callable[[], None]]:
    """An item that anna holds and that nobody could judge, and what makes ben say, who reads it blind, that it is a crisis."""
    desk.put("undetermined", second=True)
    item, blind = desk.next(), desk.next("ben")

    def say() -> None:
        assert desk.run("decide", blind, "crisis", who="ben").status == 0

    return item, say


def test_nobody_decides_by_its_id_what_they_have_not_seen(desk: Desk) -> None:
    """Another reader called it a crisis between the look and the answer."""
    item, say = raised(desk)
    assert "revision" not in desk.run("show", item).out
    say()
    unseen = ["not-crisis", "--reason", "figure_of_speech"]
    for arguments in (unseen, ["accept"], ["undetermined"]):
        done = desk.run("decide", item, *arguments)
        assert (done.status, "name the revision that you saw" in done.err) == (4, True)
    for arguments in ([*unseen, "--revision", "1"], ["accept", "--revision", "1"]):
        done = desk.run("decide", item, *arguments)
        assert (done.status, "judged again meanwhile" in done.err) == (4, True)
    assert "What a reader found, revision 2" in desk.run("show", item).out
    assert desk.run("decide", item, *unseen, "--revision", "2").out == "decided\n"


def test_what_changes_under_a_reader_is_shown_before_the_next_key(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    _, say = raised(desk)
    took = Lines.key

    def key(self: Lines) -> str:
        got = took(self)
        if got == "n":
            say()
        return got

    monkeypatch.setattr(Lines, "key", key)
    done = desk.run("work", stdin="t\nn\nq\n")
    assert done.err == "0 items decided\n"
    assert "judged again meanwhile" in done.out
    assert "What a reader found, revision 2" in done.out


def test_an_answer_that_is_none_is_refused_and_the_item_stays(desk: Desk) -> None:
    desk.put()
    item = desk.next()
    for arguments, status, words in REFUSED:
        done = desk.run("decide", item, *arguments)
        assert (done.status, words in done.err) == (status, True)
    assert desk.next() == item


def test_accepting_sending_on_and_giving_back(desk: Desk) -> None:
    desk.put()
    item = desk.next()
    assert (
        desk.run("decide", item, "escalate", "--to", "lead", "--note-from", "-", stdin="i know them").out == "sent on\n"
    )
    assert desk.run("next").out == "nothing waits that you may have\n"
    assert desk.next("ben") == item
    assert "i know them" in desk.run("show", item, "--text", who="ben").out
    assert desk.run("release", item).status == 4
    assert desk.run("release", item, who="ben").err == "given back\n"
    assert desk.run("show", item, who="ben").status == 4
    assert desk.next("carl") == item
    assert desk.run("decide", item, "accept", who="carl").out == "decided\n"


def test_what_is_not_there_and_names_that_are_none(desk: Desk) -> None:
    desk.put()
    assert desk.run("show", "nothing").err == "refused: there is no such item\n"
    assert desk.run("next", who="").status == 2
    assert desk.run("next", who="a\nb").status == 2


def test_the_board_and_outages(desk: Desk) -> None:
    desk.put()
    for _ in range(3):
        desk.put("undetermined", score=0.8)
    desk.put("no_crisis", second=True)
    found = desk.run("board").out
    assert found.splitlines()[1].split()[:4] == ["clinical", "urgent", "1", "0"]
    assert "outage  timeout: 3 messages since 0 s, 3 left, 3 likely" in found
    assert "0 decided in 1 d, 1 blind to be read" in found
    assert json.loads(desk.run("board", "--json").out)["incidents"][0]["left"] == 3
    assert desk.run("incidents").out.startswith("outage  timeout: 3 messages")
    assert json.loads(desk.run("incidents", "--json").out)["likely"] == 3
    assert CANARY not in found


def test_work_by_lines(desk: Desk) -> None:
    desk.put(text="first " + TEXT, score=0.99)
    desk.put("undetermined", text="second one", score=0.5)
    desk.put("no_crisis", second=True, text="third one")
    lines = ["n", "a", "t", "a", "e", "5", "t", "1 6", "7", "6", "", "t"]
    done = desk.run("work", "--rest-after", "2", stdin="\n".join(lines))
    assert done.status == 0
    assert "read the words first: space shows them" in done.out
    assert "first canary5519" in done.out.replace("⟦", "").replace("⟧", "")
    assert "Send it to?" in done.out
    assert done.out.count("You have read") == 1
    assert done.err == "3 items decided\n"
    board = json.loads(desk.run("board", "--json").out)
    assert [(one["reader"], one["read"]) for one in board["readers"]] == [("anna", 3)]
    assert desk.run("work", who="ben", stdin="").err == "0 items decided\n"  # what was held is given back
    held = json.loads(desk.run("board", "--json").out)["readers"]
    assert [one["holds"] for one in held] == [0]


def test_second_readings_and_export(desk: Desk, tmp_path: Path) -> None:
    desk.put("crisis", second=True, text="=1+1 " + TEXT)
    item = desk.next()
    desk.run("decide", item, "crisis", "--category", "abuse", "--reason", "wrong_category")
    blind = desk.next("ben")
    desk.run("decide", blind, "crisis", "--category", "abuse", who="ben")
    told = desk.run("second-readings").out
    assert "crises read blind, 1 drawn: not crisis in 0 of 1 (0.0%, 0.0% to 79.3%, Wilson)" in told
    assert "outcome: the same in 1 of 1" in told
    assert json.loads(desk.run("second-readings", "--json").out)["alerts_drawn"] == 1
    file = tmp_path / "gold.jsonl"
    done = desk.run("export", str(file), "--clinician", "ben")
    assert (done.status, done.out) == (0, "")
    assert "1 message, labelled by readers of the queue (2), of whom 1 are on record as clinicians" in done.err
    assert file.stat().st_mode & 0o777 == 0o600
    row = json.loads(file.read_text())
    assert (row["crisis"], row["categories"], len(row["ratings"])) == (True, ["abuse"], 2)
    assert desk.run("export", str(file)).status == 2
    assert desk.run("export", str(tmp_path / "gold.txt")).status == 2
    table = tmp_path / "gold.csv"
    assert desk.run("export", str(table)).status == 0
    assert ",'=1+1 canary" in table.read_text()


def test_an_export_that_fails_leaves_no_file(desk: Desk, tmp_path: Path) -> None:
    desk.put()
    desk.run("decide", desk.next(), "accept")
    (tmp_path / "store.db.pseudonyms").write_bytes(b"x")
    assert desk.run("export", str(tmp_path / "gold.jsonl")).status == 5
    assert not (tmp_path / "gold.jsonl").exists()


def test_work_at_a_terminal_keeps_the_words_off_what_can_be_scrolled_back_to(desk: Desk) -> None:
    desk.put()
    leader, follower = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "crisis_filter", "queue", "work", "--store", desk.url, "--as", "anna"],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "COLUMNS": "100", "LINES": "40", "TERM": "xterm"},
        start_new_session=True,
        preexec_fn=_own_terminal,
    )
    os.close(follower)
    seen = ""

    def until(words: str) -> None:
        nonlocal seen
        end = time.monotonic() + 60
        while words not in seen and time.monotonic() < end:
            if select.select([leader], [], [], 0.2)[0]:
                try:
                    seen += os.read(leader, 65536).decode("utf-8", "replace")
                except OSError:
                    break
        assert words in seen

    def press(key: str, words: str) -> None:
        nonlocal seen
        time.sleep(0.1)  # the terminal is set to single keys after the screen is drawn
        seen = ""
        os.write(leader, key.encode())
        until(words)

    until("0 items read")
    assert "\x1b[?1049h" in seen  # the second screen
    assert CANARY not in seen
    press("a", "read the words first")
    press(" ", "pills here")
    press("a", "Enter keeps it")
    press("x", "nothing was decided")
    press("a", "Enter keeps it")
    press("\r", "Any key ends")
    press("x", "1 item decided")
    assert "\x1b[?1049l" in seen
    assert child.wait(timeout=30) == 0
    os.close(leader)


def _own_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (-5, "0 s"),
        (59_999, "59 s"),
        (60_000, "1 min"),
        (3_600_000, "1 h"),
        (3_900_000, "1 h 5 min"),
        (86_400_000, "1 d"),
        (2 * 86_400_000 + 3_600_000, "2 d 1 h"),
    ],
)
def test_times_in_words(ms: int, words: str) -> None:
    assert lasting(ms) == words


def test_a_covered_text_has_its_shape_and_none_of_its_words() -> None:
    assert covered("I am\x1b here\nnow", unicode=True) == "░ ░░░ ░░░░\n░░░"
    assert covered("I am", unicode=False) == "# ##"
