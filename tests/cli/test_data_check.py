"""`crisis-filter data check`: what it prints, how it ends, and what it never shows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from crisis_filter.assets import find
from crisis_filter.cli.app import app
from tests.datasets.making import folder, row

PAGE = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
CRISIS = row(1, "i want to be dead tonight", "suicide", author="a")
PLAIN = row(2, "can i move my appointment to friday", author="b")


def check(path: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["data", "check", str(path), *options])


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return path


def test_a_clean_set_ends_with_0(tmp_path: Path) -> None:
    """Warnings are told and change nothing."""
    ran = check(folder(tmp_path, training=[CRISIS], test=[PLAIN]))
    assert ran.exit_code == 0
    assert "0 errors" in ran.stdout
    assert "one class: training: every message is a crisis" in ran.stdout
    assert not any(one["text"] in ran.output for one in (CRISIS, PLAIN))


def test_errors_end_with_2(tmp_path: Path) -> None:
    """Also as JSON, which is whole; never a text."""
    made = folder(tmp_path, training=[CRISIS], test=[PLAIN | {"id": "t-1"}])
    ran = check(made, "--json")
    assert (ran.exit_code, json.loads(ran.stdout)["problems"][0]["kind"]) == (2, "same_id")
    assert check(made).exit_code == 2
    assert check(made, "--taxonomy", "nothing-v1").exit_code == 5
    assert not any(one["text"] in ran.output for one in (CRISIS, PLAIN))


@pytest.mark.parametrize("name", ["nothing.jsonl", "nothing"])
def test_nothing_there_is_said_plainly(tmp_path: Path, name: str) -> None:
    """Status 2, for the path is the input."""
    ran = check(tmp_path / name)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert f"{name}: there is no such file or folder" in ran.stderr


def test_a_folder_without_a_manifest_is_said_plainly(tmp_path: Path) -> None:
    """And what it lacks."""
    ran = check(tmp_path)
    assert (ran.exit_code, "the folder of a data set has a manifest.json" in ran.stderr) == (2, True)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    """With the mark and the blank lines that editors leave; its split is called as the file is."""
    file = write(tmp_path / "clinic-a.jsonl", CRISIS, PLAIN)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n\r\n"))
    ran = check(file)
    assert ran.exit_code == 0
    assert "clinic-a: 2 messages, 1 crises" in ran.stdout
    assert "0 warnings" in ran.stdout


def test_a_file_that_says_the_least(tmp_path: Path) -> None:
    """Text, label and category are enough; what was not given is told, and no guess stands for it."""
    least = [{"id": "1", "text": CRISIS["text"], "crisis": True, "categories": ["suicide"]}]
    ran = check(write(tmp_path / "mine.jsonl", *least, {"id": "2", "text": PLAIN["text"], "crisis": False}))
    assert (ran.exit_code, ran.stderr) == (0, "")
    shown = [" ".join(line.split()) for line in ran.stdout.splitlines()]
    assert {"severity not given 1", "subject not given 1", "timeframe not given 1", "authors unknown 2"} <= {*shown}
    assert "no author is given for 2 of 2 messages: leaks between authors cannot be seen" in shown
    told = json.loads(check(tmp_path / "mine.jsonl", "--json").stdout)["splits"][0]
    assert (told["authors"], told["severities"]) == ({"unknown": 2}, {"": 1})


def test_authors_that_are_given_in_part(tmp_path: Path) -> None:
    """How many are not is told, and nothing where all are."""
    ran = check(write(tmp_path / "mine.jsonl", CRISIS, {**PLAIN, "author": None}))
    assert "no author is given for 1 of 2 messages" in ran.stdout
    assert "no author" not in check(write(tmp_path / "mine.jsonl", CRISIS, PLAIN)).stdout


def test_a_table_is_told_what_is_read(tmp_path: Path) -> None:
    """And shows nothing of it."""
    (tmp_path / "mine.csv").write_text("id,text,crisis\n1,private,1\n", encoding="utf-8")
    ran = check(tmp_path / "mine.csv")
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "mine.csv: only JSON Lines are read here; turn the table into JSON Lines" in ran.stderr
    assert "private" not in ran.stderr


def test_the_rows_of_the_page_are_clean(tmp_path: Path) -> None:
    """The shortest and the whole ones, each pair a file of its own."""
    whole, least = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    for lines in (whole, least):
        (tmp_path / "mine.jsonl").write_text(lines, encoding="utf-8")
        ran = check(tmp_path / "mine.jsonl")
        assert (ran.exit_code, "2 messages, 1 crises" in ran.stdout, "0 warnings" in ran.stdout) == (0, True, True)
        assert ("no author" in ran.stdout) == (lines == least)
    assert set(json.loads(whole.splitlines()[0])) == {*CRISIS}


def test_the_way_of_the_page_from_a_table_to_a_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its two pieces of Python give a file that is clean."""
    rows = "message_id,message,risk,kinds,thread\n1,i want to be dead tonight,high,SI,a\n2,can i come friday,none,,b\n"
    (tmp_path / "messages.csv").write_text(rows, encoding="utf-8")
    section = PAGE.split("## Your own table")[1].split("\n## ")[0]
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    ran = check(tmp_path / "mine.jsonl")
    assert (ran.exit_code, "2 messages, 1 crises" in ran.stdout) == (0, True)


def test_an_error_names_line_and_fields_and_no_value(tmp_path: Path) -> None:
    """Whoever reads the line can mend the file without a search."""
    ran = check(write(tmp_path / "mine.jsonl", CRISIS, PLAIN | {"severity": "private", "author": 7, "private": 1}))
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "mine.jsonl: line 2: severity must be one of mild" in ran.stderr
    assert "author must be a text" in ran.stderr
    assert "private" not in ran.stderr


def test_a_field_that_stands_twice(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps(CRISIS) + "\n" + json.dumps(PLAIN)[:-1] + ', "crisis": true}\n', encoding="utf-8")
    ran = check(file)
    assert (ran.exit_code, "line 2: has an object with the same key twice" in ran.stderr) == (2, True)


def test_what_the_file_names_is_no_markup_and_no_control(tmp_path: Path) -> None:
    """Authors, ids and file names are shown as they are, but for what acts on a terminal."""
    rows = (CRISIS | {"author": "[red]a[/red]", "id": "[/x]\x1b[2J"}, PLAIN | {"text": "my name is anna", "id": "[b]"})
    ran = check(write(tmp_path / "[b]mine[c].jsonl", *rows))
    assert ran.exit_code == 0
    assert "[red]a[/red] 1" in ran.stdout
    assert "[b] ([b]mine[c]): looks like name" in ran.stdout
    assert "\x1b" not in ran.stdout


def test_many_warnings_are_counted(tmp_path: Path) -> None:
    """Twenty are shown, and how to have the rest."""
    rows = [row(n, f"my name is anna {n * 7919}") for n in range(3, 25)]
    ran = check(write(tmp_path / "mine.jsonl", CRISIS, *rows), "--near", "100")
    assert "22 warnings" in ran.stdout
    assert "and 2 more; --json has them all" in ran.stdout


def test_private_data_is_warned_of_by_kind(tmp_path: Path) -> None:
    """And not shown."""
    rows = (CRISIS, PLAIN | {"text": "dob 12/10/1987, ssn 219-09-9999"})
    ran = check(write(tmp_path / "mine.jsonl", *rows), "--json")
    warned = [one["detail"] for one in json.loads(ran.stdout)["problems"]]
    assert warned == ["t-2 (mine): looks like social security", "t-2 (mine): looks like birth date"]
    assert "1987" not in ran.output


def test_the_card_of_the_simulated_set_tells_what_the_command_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    """The card's table of the test split, in the words of the command."""
    monkeypatch.setenv("COLUMNS", "200")
    made = find("data", "simulated-v1")
    card = (made / "README.md").read_text(encoding="utf-8")
    ran = check(made / "test.jsonl")
    assert ran.exit_code == 0
    assert re.search("^0 errors$", ran.stdout, re.MULTILINE)
    test = ran.stdout.split("test: 1,800 messages, 900 crises")[1]
    for name in ("characters", "words", "sentences", "ten commonest words"):
        (told,) = re.findall(rf"^\| {name} \| (.*?) \|", card, re.MULTILINE)
        assert re.search(rf"^{name} +{re.escape(told)}  ", test, re.MULTILINE), name
