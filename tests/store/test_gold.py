"""What people decided, as reference labels that lead back to nobody."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from sqlalchemy import delete

from crisis_filter.datasets.ratings import Wanted, read_ratings
from crisis_filter.datasets.reading import read_rows
from crisis_filter.store.audit import show
from crisis_filter.store.gold import Exported, csv_text, export_gold
from crisis_filter.store.opening import Store
from crisis_filter.store.queue_records import Answer, QueueError
from crisis_filter.store.records import Actor
from crisis_filter.store.tables import texts
from tests.store.queue_scene import NOW, Scene, blind, cleared, crisis, reader

LEAD = Actor(id="lead", tenant="clinic", scopes=frozenset({"export", "text"}))


@pytest.fixture
def scene(store: Store) -> Scene:
    return Scene(store)


def export(scene: Scene, *clinicians: str, actor: Actor = LEAD) -> Exported:
    return scene.write(
        lambda c: export_gold(
            c, scene.store, actor, since_ms=NOW, until_ms=scene.now + 1, now_ms=scene.now, clinicians=clinicians
        )
    )


def decided(scene: Scene, answer: Answer, text: str = "hello there", who: str = "anna") -> str:
    message = scene.put("crisis", text=text)
    scene.decide(scene.taken(reader(who)), answer, reader(who))
    return message


def test_rows_that_the_projects_own_readers_take(scene: Scene, tmp_path: Path) -> None:
    first = decided(scene, crisis("abuse"), "he locks me in")
    second = decided(scene, cleared(), "this queue is killing me")
    drawn = scene.put("no_crisis", second=True, text="when do you open")
    scene.decide(scene.taken(), blind("no_crisis"))
    scene.put("crisis", text="nobody read this one")
    found = export(scene)
    path = tmp_path / "gold.jsonl"
    path.write_text("".join(row.model_dump_json() + "\n" for row in found.rows), encoding="utf-8")
    rows = {row.id: row for row in read_rows(path)}
    assert {name: (row.text, row.crisis, row.categories, row.stratum) for name, row in rows.items()} == {
        first: ("he locks me in", True, ("abuse",), "queue"),
        second: ("this queue is killing me", False, (), "queue"),
        drawn: ("when do you open", False, (), "second_reading"),
    }
    assert len({row.author for row in rows.values()}) == 1
    assert "0100" not in path.read_text(encoding="utf-8")
    assert scene.message(first).subject_pseudonym[:24] != rows[first].author
    assert len(read_ratings(path, Wanted(categories=("abuse", "suicide"))).lines) == 3


def test_a_reader_is_a_pseudonym_and_a_clinician_only_where_the_operator_says_so(scene: Scene) -> None:
    decided(scene, cleared())
    decided(scene, cleared(), who="ben")
    found = export(scene, "ben")
    raters = [row.ratings[0].rater for row in found.rows]
    assert sorted(name.split("-")[0] for name in raters) == ["clinician", "reader"]
    assert not {"anna", "ben"} & {part for name in raters for part in name.split("-")}
    assert found.labelled_by == "readers of the queue (2), of whom 1 are on record as clinicians"
    assert export(scene).labelled_by == "readers of the queue (2), none of whom is on record as a clinician"


def test_what_has_no_label_or_no_text_is_left_out_and_counted(scene: Scene) -> None:
    decided(scene, Answer(action="override", outcome="undetermined", reason="other"))
    gone = decided(scene, cleared())
    decided(scene, crisis())
    scene.write(lambda c: c.execute(delete(texts).where(texts.c.message_id == gone)))
    found = export(scene)
    assert (len(found.rows), found.undetermined, found.without_text, found.unnamed) == (1, 1, 1, 1)
    assert found.rows[0].categories == ("unspecified",)


def test_each_readers_last_word_and_what_stands_in_the_end(scene: Scene) -> None:
    message = scene.put("no_crisis", second=True)
    scene.decide(scene.taken(), blind("crisis", "suicide"))
    assert export(scene).rows == ()  # the alert that it raised is still to be read
    scene.now += 1
    scene.decide(
        scene.taken(reader("ben")),
        Answer(action="override", outcome="no_crisis", reason="other", revision=2),
        reader("ben"),
    )
    (row,) = export(scene).rows
    assert (row.id, row.crisis, row.stratum) == (message, False, "queue")
    assert [(one.crisis, one.categories) for one in row.ratings] == [(True, ("suicide",)), (False, ())]


def test_a_label_that_a_supervisor_corrected_is_the_corrected_one(scene: Scene) -> None:
    scene.put()
    item = scene.taken()
    scene.decide(item, cleared())
    scene.now += 1
    scene.decide(item, crisis("suicide"), reader("chief", "supervise"))
    (row,) = export(scene).rows
    assert (row.crisis, row.categories, len(row.ratings)) == (True, ("suicide",), 2)


def test_no_cell_runs_in_a_spreadsheet(scene: Scene) -> None:
    for text in ("=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1", 'plain, with "quotes"\nand a line'):
        decided(scene, cleared(), text)
    cells = [cell for row in csv.reader(io.StringIO(csv_text(export(scene)))) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert 'plain, with "quotes"\nand a line' in cells
    assert "'=cmd|' /C calc'!A0" in cells


def test_exporting_needs_its_scopes_is_in_the_audit_and_stays_in_the_tenant(scene: Scene) -> None:
    decided(scene, cleared())
    for scopes in ({"export"}, {"text", "supervise", "admin"}):
        with pytest.raises(QueueError) as told:
            export(scene, actor=Actor(id="x", tenant="clinic", scopes=frozenset(scopes)))
        assert told.value.why == "scope"
    assert export(scene, actor=Actor(id="lead", tenant="other", scopes=LEAD.scopes)).rows == ()
    export(scene)
    rows = scene.read(lambda c: [(row.actor, row.tenant, row.object) for row in show(c) if row.action == "export"])
    assert rows == [("lead", "other", "gold:0"), ("lead", "clinic", "gold:1")]


def test_half_of_a_surrogate_pair_does_not_stop_an_export_and_nothing_shows_in_a_repr(scene: Scene) -> None:
    decided(scene, cleared(), "hello \ud83d there")
    found = export(scene)
    assert found.rows[0].text == "hello ? there"
    assert "hello" not in repr(found)
