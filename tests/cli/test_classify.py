"""`crisis-filter classify` from arguments to exit status."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from crisis_filter.cli import tally as tally_module
from crisis_filter.cli.app import app
from crisis_filter.cli.inputs import Inputs, ReadOptions, source_of
from crisis_filter.errors import InputError

ROWS = 'id,text\n1,"I give up, really"\n2,a fine day\n3,slow one\n'


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "in.csv"
    path.write_text(ROWS, encoding="utf-8")
    return str(path)


def test_table_and_summary(run: Callable, table: str) -> None:
    """People see outcome in words, categories with severity, queue, text, then counts, then faults by kind."""
    ran = run("classify", table)
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert lines[0] == "id outcome score categories queue text"
    assert lines[1].startswith("1 ▲ crisis 0.90 suicide (severe) ")
    assert lines[1].endswith("I give up, really")
    assert lines[2].startswith("2 ○ not crisis 0.10 ")
    assert lines[3].startswith("3 ? undetermined fault: timeout ")
    assert lines[4:6] == ["3 messages: 1 crisis, 1 not crisis, 1 undetermined", "faults: timeout 1"]
    assert ran.err == ""
    assert ran.status == 3


def test_json_lines(run: Callable, table: str) -> None:
    """With `--json` the standard output holds records in input order and nothing else; talk goes to the other stream."""
    ran = run("classify", table, "--json")
    assert [(r["id"], r["outcome"], r["fault"]) for r in ran.records] == [
        ("1", "crisis", None),
        ("2", "no_crisis", None),
        ("3", "undetermined", "timeout"),
    ]
    assert list(ran.records[0])[:6] == ["id", "outcome", "score", "score_source", "findings", "fault"]
    assert "3 messages: 1 crisis" in ran.err
    assert "give up" not in ran.err


def test_quiet(run: Callable, table: str) -> None:
    """`--quiet` leaves the data and the exit status."""
    ran = run("classify", table, "--json", "--quiet")
    assert (len(ran.records), ran.err, ran.status) == (3, "", 3)


@pytest.mark.parametrize(
    ("text", "status"), [("a fine day", 0), ("I give up", 0), ("  ", 0), ("slow", 3), ("refused", 3)]
)
def test_status_of_one_message(run: Callable, text: str, status: int) -> None:
    """A crisis and an empty message are no failure of the run; an undetermined message is."""
    assert run("classify", text, "--json").status == status


def test_standard_input_is_one_message_a_line(run: Callable) -> None:
    """`-`, and nothing at all where the standard input is no terminal, read lines of text."""
    for arguments in (["-"], []):
        ran = run("classify", *arguments, "--json", stdin=b"I give up\na fine day\n")
        assert [(r["id"], r["outcome"]) for r in ran.records] == [("stdin:1", "crisis"), ("stdin:2", "no_crisis")]
    ran = run("classify", "-", "--format", "jsonl", "--json", stdin=b'{"text":"I give up","id":"x"}\n')
    assert [r["id"] for r in ran.records] == ["x"]


def test_several_inputs(run: Callable, table: str) -> None:
    """Files, texts and the standard input may be mixed, and keep their order."""
    ran = run("classify", "a text", table, "-", "another", "--json", stdin=b"line\n")
    assert [r["id"] for r in ran.records] == ["argument:1", "1", "2", "3", "stdin:1", "argument:2"]


def test_files_of_one_name_have_ids_of_their_own(run: Callable, tmp_path: Path) -> None:
    """Two files with one stem are told apart by their whole path."""
    paths = [tmp_path / folder / "x.txt" for folder in "ab"]
    for path in paths:
        path.parent.mkdir()
        path.write_text("a fine day\n", encoding="utf-8")
    ran = run("classify", *map(str, paths), "--json")
    assert [r["id"] for r in ran.records] == [f"{p}:1" for p in paths]


@pytest.mark.parametrize("name", ["nofile.csv", "no file here.txt", "dir/nofile", "./x", "a\\b", "x.PARQUET"])
def test_a_missing_file_is_never_taken_for_a_message(run: Callable, name: str) -> None:
    """What looks like a path and is none is an error with the way out; `--text` takes it for a message."""
    ran = run("classify", name, "--json")
    assert (ran.status, ran.out) == (2, "")
    assert "no such file" in ran.err
    assert "--text" in ran.err
    taken = run("classify", name, "--text", "--json")
    assert taken.status in (0, 3)  # 3 where it is no English
    assert len(taken.records) == 1


@pytest.mark.parametrize("command", ["classify", "explain"])
def test_a_sentence_that_ends_like_a_file_name_is_not_repeated(run: Callable, command: str) -> None:
    """An error about a missing file says which argument it is, and not what it says."""
    ran = run(command, "i left my goodbye note in note.txt")
    assert (ran.status, ran.out) == (2, "")
    assert "argument 1 looks like the name of a file" in ran.err
    assert "goodbye" not in ran.err
    assert "argument 2" in run("classify", "a text", "goodbye all.txt").err


@pytest.mark.parametrize("text", ["I cannot and/or will not", "x" * 5000, "nul \0 here", "why?"])
def test_what_is_plainly_a_message(text: str) -> None:
    """A sentence is a message, even with a slash in it or too long for a name."""
    assert source_of(text).kind == "text"


def test_an_argument_with_broken_bytes_is_marked() -> None:
    """Bytes of an argument that were no UTF-8 are repaired and flagged, so they cannot end as not crisis."""
    (message,) = Inputs(["caf\udce9"], ReadOptions())
    assert (message.text, message.flags) == ("caf\ufffd", {"encoding_repaired"})


def test_one_input_named_twice(run: Callable, table: str) -> None:
    """The same file twice would count its messages twice, so it is refused."""
    ran = run("classify", table, table)
    assert ran.status == 2
    assert "twice" in ran.err


def test_contradicting_ids(run: Callable, tmp_path: Path) -> None:
    """Rows that share an id but not a text are all assessed, and the run ends with status 2 and says why."""
    path = tmp_path / "in.csv"
    path.write_text("id,text\n1,hello\n1,bye\n1,hello\nx,y,z\n", encoding="utf-8")
    ran = run("classify", str(path), "--json")
    assert [(r["id"], r["flags"]) for r in ran.records][:2] == [("1", []), ("1", ["duplicate_id"])]
    assert ran.records[2]["fault"] == "input_unreadable"
    assert ran.status == 2
    assert "1 row with the id of another row" in ran.err
    assert "1 exact duplicate left out" in ran.err
    assert "1 unreadable row (line 5: the number of fields differs from the header)" in ran.err


HINT = "{}: no id in the first row, so it is called {}, and others without one likewise; --id-column names the column with the ids\n"


def test_a_table_without_ids(run: Callable, tmp_path: Path) -> None:
    """What rows are called then, and the way to call them otherwise, is told once, at the start; headers are not shown."""
    path, more = tmp_path / "msgs.csv", tmp_path / "more.csv"
    for file in (path, more):
        file.write_text("msg_id,body,flag\n7,a fine day,x\n8,slow,y\n", encoding="utf-8")
    ran = run("classify", str(path), str(more), "--json")
    assert [r["id"] for r in ran.records] == ["msgs:2", "msgs:3", "more:2", "more:3"]
    assert ran.err.startswith(HINT.format(path, "msgs:2"))
    assert ran.err.count("--id-column") == 1
    assert "msg_id" not in ran.err
    named = run("classify", str(path), "--id-column", "msg_id", "--json")
    assert ([r["id"] for r in named.records], "--id-column" in named.err) == (["7", "8"], False)
    assert run("classify", str(path), "--json", "--quiet").err == ""
    assert run("classify", str(path)).err == HINT.format(path, "msgs:2")


@pytest.mark.parametrize(
    ("name", "data", "made"),
    [
        ("a.tsv", "text\tn\na fine day\t1\n", "a:2"),
        ("a.jsonl", '{"text": "a fine day"}\n', "a:1"),
        ("a.jsonl", 'broken\n{"text": "a fine day"}\n', "a:2"),
        ("a.csv", 'text,n\nx,y,z\n"a fine day",1\n', "a:3"),
        ("a.jsonl", '{"text": "a fine day", "id": "a:1"}\n', None),
        ("a.jsonl", 'broken\n{"text": "a fine day", "id": 1}\n', None),
        ("a.csv", "id,text\n1,a fine day\n,another\n", None),
        ("a.csv", "id,text\n", None),
        ("a.txt", "a fine day\n", None),
    ],
)
def test_when_the_lack_of_ids_is_told(run: Callable, tmp_path: Path, name: str, data: str, made: str | None) -> None:
    """Of the first row that can be read, in every kind of table; lines of text never have one."""
    path = tmp_path / name
    path.write_text(data, encoding="utf-8")
    ran = run("classify", str(path), "--json")
    assert ran.err.startswith(HINT.format(path, made)) == (made is not None)
    assert ("--id-column" in ran.err) == (made is not None)


def test_ids_that_are_not_where_they_were_looked_for(run: Callable) -> None:
    """A name that no object has gives no ids either, and the way out is another name; lines of text say nothing."""
    line = b'{"text": "a fine day", "id": "x"}\n'
    ran = run("classify", "-", "--format", "jsonl", "--id-column", "private", "--json", stdin=line)
    assert ran.err.startswith(HINT.format("standard input", "stdin:1"))
    assert "private" not in ran.err
    for arguments in (["-"], ["--text", "a fine day"]):
        assert "--id-column" not in run("classify", *arguments, "--json", stdin=b"a fine day\n").err


def test_wrong_columns(run: Callable, tmp_path: Path) -> None:
    """A table without a text column is an error that names its columns and the flag."""
    path = tmp_path / "in.csv"
    path.write_text("id,note\n1,a\n", encoding="utf-8")
    ran = run("classify", str(path))
    assert (ran.status, ran.out) == (2, "")
    assert "Columns: id, note" in ran.err
    assert run("classify", str(path), "--text-column", "note", "--quiet").status == 0


@pytest.mark.parametrize("wrong", [("--backend", "nonsense"), ("--policy", "nonsense"), ("--taxonomy", "nonsense")])
def test_wrong_configuration(run: Callable, wrong: tuple[str, str], tmp_path: Path) -> None:
    """A setting that cannot be is status 5 with a reason, and leaves no output file behind."""
    ran = run("classify", "a text", *wrong, "--output", str(tmp_path / "out.csv"), backend=False)
    assert ran.status == 5
    assert "backend" in ran.err or "nonsense" in ran.err
    assert list(tmp_path.glob("*out.csv*")) == []


def test_one_cause_is_told_once(run: Callable) -> None:
    """When every message fails for one cause of the set-up, one line says so and what to do."""
    ran = run(
        "classify", "a", "b", "c", "--json", "--quiet", "--backend", "openai:m", "--base-url", "http://127.0.0.1:9/v1",
        backend=False,
    )  # fmt: skip
    assert {r["fault"] for r in ran.records} == {"broken_reply"}
    assert ran.err.count("\n") == 1
    assert "all 3 messages failed for one cause, broken_reply" in ran.err
    assert "--base-url" in ran.err
    assert ran.status == 3


def test_output_file(run: Callable, table: str, tmp_path: Path) -> None:
    """`--output` writes all to a file and shows only the summary; a file there is kept unless `--force`."""
    out = tmp_path / "out.csv"
    ran = run("classify", table, "--output", str(out))
    assert ran.out.startswith("3 messages:")
    rows = csv.DictReader(out.read_text(encoding="utf-8").splitlines())
    assert [r["outcome"] for r in rows] == ["crisis", "no_crisis", "undetermined"]
    again = run("classify", table, "--output", str(out))
    assert again.status == 2
    assert "--force" in again.err
    assert run("classify", table, "--output", str(out), "--force").status == 3


def test_output_is_not_an_input(run: Callable, table: str) -> None:
    """A run never replaces what it reads, not even by force."""
    before = Path(table).read_bytes()
    assert run("classify", table, "--output", table, "--force").status == 2
    assert Path(table).read_bytes() == before


def test_a_run_that_breaks_off_keeps_what_was_done(run: Callable, tmp_path: Path, table: str) -> None:
    """A second input that cannot be read leaves the first one's assessments in a partial file, and says where."""
    bad = tmp_path / "bad.csv"
    bad.write_text("a,b\n1,2\n", encoding="utf-8")
    out = tmp_path / "out.jsonl"
    ran = run("classify", table, str(bad), "--output", str(out))
    assert ran.status == 2
    assert "not finished: 3 messages" in ran.err
    assert f"{out}.partial" in ran.err
    assert not out.exists()
    assert len(Path(f"{out}.partial").read_text(encoding="utf-8").splitlines()) == 3


def test_limit(run: Callable, table: str) -> None:
    """`--limit` stops after that many messages."""
    assert [r["id"] for r in run("classify", table, "--limit", "1", "--json").records] == ["1"]


def test_hidden_text(run: Callable, table: str) -> None:
    """`--hide-text` keeps the texts out of the table."""
    assert "fine day" in run("classify", table).out
    assert "fine day" not in run("classify", table, "--hide-text").out


def test_a_message_cannot_act_on_the_terminal(run: Callable) -> None:
    """Escape sequences, direction overrides and markup in a text or an id are shown, not obeyed."""
    line = json.dumps({"id": "\x1b]0;x\x07", "text": "\x1b[31mred \u202eback [bold]b[/bold]"})
    ran = run("classify", "-", "--format", "jsonl", stdin=line.encode())
    assert not {"\x1b", "\x07", "\u202e"} & set(ran.out)
    assert "[bold]b[/bold]" in ran.out


def test_narrow_and_plain_terminals(table: str, script: str) -> None:
    """On 80 columns every column keeps its room; without UTF-8 the words and ASCII symbols stay."""
    env = {**os.environ, "COLUMNS": "80", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "crisis_filter", "classify", table, "--backend", script]
    ran = subprocess.run(command, capture_output=True, env=env, check=False)
    out = ran.stdout.decode("ascii")
    assert max(map(len, out.splitlines()[:6])) <= 80
    assert "! crisis" in out
    assert "- not crisis" in out
    assert "I give up, really" in out


def test_long_runs_keep_every_alarm_in_the_table(run: Callable) -> None:
    """Beyond the first rows the table drops messages that are not crisis, says how many, and keeps the crises."""
    lines = ["a fine day"] * 250 + ["I give up"]
    ran = run("classify", "-", stdin="\n".join(lines).encode())
    assert "stdin:251" in ran.out
    assert "50 more messages not shown (50 not crisis)" in " ".join(ran.out.split())


def test_a_bug_is_told_without_the_text(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unforeseen exception ends in a line with its kind and place; its words may hold the text and are not shown."""

    def broken(*_: object) -> None:
        raise ValueError("private words")

    monkeypatch.setattr(tally_module.Tally, "add", broken)
    ran = run("classify", "private words", "--json")
    assert ran.status == 1
    assert "ValueError at" in ran.err
    assert "private words" not in ran.err


def test_the_embedded_engine(run: Callable) -> None:
    """Without any option the embedded engine judges, needs no key and no network, and is named."""
    ran = run("classify", "a fine day at the lake with my sister", "i want to end my life tonight", backend=False)
    assert "judged by local:" in ran.out
    assert ran.out.count("undetermined") == 1  # in the summary, as 0
    assert "2 messages: 1 crisis, 1 not crisis, 0 undetermined" in ran.out
    assert ran.status == 0


def lines_of(process: subprocess.Popen[bytes], count: int) -> list[bytes]:
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(count)]


def test_a_killed_run_leaves_whole_lines(script: str, tmp_path: Path) -> None:
    """Lines come as messages are judged, and a run killed at any instant has written no half of one."""
    source, out = tmp_path / "many.txt", tmp_path / "out.jsonl"
    source.write_text("a fine day\n" * 20_000, encoding="utf-8")
    for size in (1, 234_567):
        with out.open("wb") as file:
            command = [sys.executable, "-m", "crisis_filter", "classify", str(source), "--json", "--backend", script]
            process = subprocess.Popen(command, stdout=file, stderr=subprocess.DEVNULL)
            while out.stat().st_size < size and process.poll() is None:
                time.sleep(0.001)
            process.kill()
            process.wait()
        written = out.read_bytes()
        assert written.endswith(b"\n")
        ids = [json.loads(line)["id"] for line in written.splitlines()]
        assert ids == [f"many:{n}" for n in range(1, len(ids) + 1)]
        assert len(ids) < 20_000


def test_interrupt(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    """Ctrl-C ends a run that waits for input, says how far it got, and exits with 130."""
    process = start("classify", "-", "--json")
    assert process.stdin is not None
    process.stdin.write(b"a fine day\n" * 10)
    process.stdin.flush()
    lines_of(process, 3)
    process.send_signal(signal.SIGINT)
    status = process.wait(timeout=20)
    assert process.stderr is not None
    told = process.stderr.read().decode()
    for stream in (process.stdin, process.stdout, process.stderr):
        assert stream is not None
        stream.close()
    assert status == 130
    # Lines may come out between the third and the signal, and the last may be out and not yet counted.
    assert re.match(r"not finished: (\d+) messages: 0 crisis, \1 not crisis, 0 undetermined\n", told)
    assert "Traceback" not in told


def test_one_line_on_an_open_pipe(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    """A message is answered when it is there, not when more have come; Ctrl-C then ends the waiting without a complaint."""
    process = start("classify", "-", "--json", "--quiet")
    assert process.stdin is not None
    assert process.stdout is not None
    for n in (1, 2):
        process.stdin.write(b"I give up\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], 20)
        assert ready
        assert json.loads(process.stdout.readline())["id"] == f"stdin:{n}"
    process.send_signal(signal.SIGINT)
    # Before the pipe is closed: the reading thread must not keep the program.
    status = process.wait(timeout=20)
    _, err = process.communicate()
    assert status == 130
    assert re.fullmatch(rb"not finished: [12] messages?: [12] crisis, 0 not crisis, 0 undetermined\n", err)


def test_a_limit_on_an_open_pipe(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    """A run with a limit ends when it has that many, and does not wait for more input."""
    process = start("classify", "-", "--json", "--quiet", "--limit", "1")
    assert process.stdin is not None
    process.stdin.write(b"a fine day\n")
    process.stdin.flush()
    assert process.wait(timeout=20) == 0
    out, err = process.communicate()
    assert (out.count(b"\n"), err) == (1, b"")


def test_a_closed_pipe_ends_quietly(start: Callable[..., subprocess.Popen[bytes]], tmp_path: Path) -> None:
    """`| head` is no error to talk about."""
    path = tmp_path / "many.txt"
    path.write_text("a fine day\n" * 2000, encoding="utf-8")
    process = start("classify", str(path), "--json")
    lines_of(process, 1)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (141, b"")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals(number: int, start: Callable[..., subprocess.Popen[bytes]], tmp_path: Path) -> None:
    """SIGTERM and SIGHUP end a run as Ctrl-C does: the count is told, what was done is kept, the status is theirs."""
    output = tmp_path / "out.jsonl"
    process = start("classify", "-", "--json", "--output", str(output))
    assert process.stdin is not None
    process.stdin.write(b"a fine day\n" * 3)
    process.stdin.flush()
    lines_of(process, 3)
    process.send_signal(number)
    status = process.wait(timeout=20)
    _, err = process.communicate()
    assert status == 128 + number
    told = err.decode()
    assert re.match(r"not finished: [23] messages: 0 crisis", told)
    assert told.endswith(f"what was done is in {output}.partial\n")
    assert sorted(f.name for f in tmp_path.iterdir()) == ["out.jsonl.partial", "script.jsonl"]


def test_hang_up_under_nohup(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    """A hang-up that the caller has set to be ignored does not end the run."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start("classify", "-", "--json", "--quiet")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert process.stdin is not None
    process.stdin.write(b"a fine day\n")
    process.stdin.flush()
    lines_of(process, 1)
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, b"")


def shell(line: str, script: str, table: str) -> tuple[int, str, str]:
    """Runs the program from a shell line: `P` is the program, `T` a table, `B` the backend option."""
    start = f'P="{sys.executable} -m crisis_filter"; T="{table}"; B="--backend {script}"; '
    done = subprocess.run(["/bin/bash", "-c", start + line], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize(
    "command",
    ["classify $T $B --json -q", "classify $T $B", "explain $B --text x", "--help", "classify -h", "--version"],
)
def test_a_full_disk(command: str, script: str, table: str) -> None:
    """An output that cannot be written is told in one line and is no bug of ours."""
    status, _, err = shell(f"$P {command} >/dev/full", script, table)
    assert err == "crisis-filter: the output cannot be written: No space left on device\n"
    assert status == 5


@pytest.mark.parametrize("command", ["classify $T $B --json", "classify $T $B -q", "explain $B --text x", "--help"])
def test_a_closed_output(command: str, script: str, table: str) -> None:
    """Without a standard output nothing is judged, and that is told."""
    status, _, err = shell(f"$P {command} >&-", script, table)
    assert err == "crisis-filter: the output cannot be written: the standard output is closed. /dev/null takes it\n"
    assert status == 5


@pytest.mark.parametrize("command", ["classify - $B", "classify $B", "explain - $B"])
def test_a_closed_input(command: str, script: str, table: str) -> None:
    """Without a standard input to read from the error is about the input."""
    status, out, err = shell(f"$P {command} <&-", script, table)
    assert err == "crisis-filter: the standard input is closed: name a file, or give the message itself\n"
    assert (status, out) == (2, "")


def test_an_input_that_cannot_be_read(script: str, table: str) -> None:
    """An error of the system while reading is told as one of the input."""
    status, _, err = shell("$P classify - $B 0>/dev/null", script, table)
    assert err == "crisis-filter: standard input: cannot be read: Bad file descriptor\n"
    assert status == 2


@pytest.mark.parametrize("command", ["classify $T $B", "explain $B --text x", "--help", "classify --help", "--version"])
def test_a_pipe_that_nobody_reads(command: str, script: str, table: str) -> None:
    """What people are shown ends at a closed pipe as quietly as JSON Lines do, and with the same status."""
    line = f"{{ sleep 0.3; $P {command}; }} > >(true)"
    status, _, err = shell(line, script, table)
    assert (status, err) == (141, "")


def test_base_url_without_a_language_model(run: Callable, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address given for the embedded engine is refused; one in the environment is for other runs and is not."""
    ran = run("classify", table, "--base-url", "http://127.0.0.1:1/v1", backend=False)
    assert ran.err == "crisis-filter: --base-url needs a language model: add --backend openai:MODEL\n"
    assert ran.status == 5
    monkeypatch.setenv("CRISIS_FILTER_BASE_URL", "http://127.0.0.1:1/v1")
    assert run("classify", table, "--quiet", backend=False).status == 0


def test_rules_left_out(run: Callable, table: str) -> None:
    """A policy that another taxonomy robs of rules is told of, also with `--quiet`; with its own there is no such line."""
    ran = run("classify", table, "--quiet", "--json", "--taxonomy", "mindguard-v1")
    first, *_ = ran.err.splitlines()
    assert re.fullmatch(r"policy default was written for another taxonomy; rules left out: [\w-]+(, [\w-]+)*", first)
    assert ran.err.count("rules left out") == 1
    assert "rules left out" not in run("classify", table, "--quiet", "--json").err


def test_a_script_without_an_answer(run: Callable, tmp_path: Path) -> None:
    """Where a file of answers lacks one, the advice is about the file and not about a server."""
    empty = tmp_path / "empty.jsonl"
    empty.write_text('{"when": "nothing of the kind", "answer": {}}\n', encoding="utf-8")
    backend = ("--backend", f"scripted:{empty}")
    told = run("classify", "--text", "a", "b", "--json", "--quiet", *backend, backend=False).err
    shown = " ".join(run("explain", "--text", "a", *backend, backend=False).out.split())
    for words in (told, shown):
        assert "The script has no answer for the message." in words
        assert "server" not in words


def test_progress_on_a_terminal(table: str, script: str, tmp_path: Path) -> None:
    """Where the standard error is a terminal a line tells counts and rate; with `--quiet` there is none.

    What is said meanwhile has a line of its own.
    """
    without = tmp_path / "without.csv"
    without.write_text("text,n\na fine day,1\n", encoding="utf-8")

    def talk(file: str, *more: str) -> str:
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "crisis_filter", "classify", file, "--json", "--backend", script, *more]
        env = {**os.environ, "COLUMNS": "400"}
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs, env=env)
        seen = b""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            ready, _, _ = select.select([ours], [], [], 0.1)
            if ready:
                seen += os.read(ours, 4096)
            elif process.poll() is not None:
                break
        os.close(theirs)
        os.close(ours)
        return seen.decode(errors="replace")

    assert "3 messages | 1 crisis | 1 undetermined" in talk(table)
    assert talk(table, "--quiet") == ""
    lines = re.split(r"\r\n|\x1b\[2K", talk(str(without)))
    assert HINT.format(without, "without:2").strip() in lines


def test_nothing_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, without input, the command says what to give instead of waiting in silence."""
    from crisis_filter.cli import classify

    monkeypatch.setattr(classify.sys.stdin, "isatty", lambda: True, raising=False)
    with pytest.raises(InputError, match="nothing to read"):
        classify._arguments(None)


def test_locals_stay_out_of_tracebacks() -> None:
    """Typer's own tracebacks, which show local variables, are off."""
    assert app.pretty_exceptions_enable is False
    assert app.pretty_exceptions_show_locals is False
