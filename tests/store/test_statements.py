"""Statements go to the driver as SQLAlchemy writes them, for any number of values."""

from __future__ import annotations

import pytest
from sqlalchemy import bindparam, select, update

from crisis_filter.errors import StoreError
from crisis_filter.store.opening import Store
from crisis_filter.store.statements import change, each, each_in, insert_new, insert_rows, plain_in, update_in
from crisis_filter.store.tables import facts

NAMED = select(facts.c.name, facts.c.value).where(facts.c.name.in_(bindparam("values", expanding=True)))
VALUED = NAMED.where(facts.c.value == bindparam("value"))
CHANGE = update(facts).where(facts.c.name.in_(bindparam("values", expanding=True))).values(value=bindparam("to"))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 511, 512, 513, 1500])
def test_any_number_of_values(store: Store, count: int) -> None:
    made = [{"name": f"n{number:04}", "value": "old"} for number in range(count)]
    names = [row["name"] for row in made]

    def all_of_it(connection):
        assert insert_rows(connection, facts, made) == count
        assert insert_new(connection, facts, [*made, {"name": "another", "value": "old"}]) == 1
        assert sorted(plain_in(connection, NAMED, [*names, "nobody"])) == [(name, "old") for name in names]
        assert [row.name for row in each_in(connection, NAMED, names)] == names
        assert update_in(connection, CHANGE, names[1:], to="new") == max(0, count - 1)
        assert {name for name, _ in plain_in(connection, VALUED, names, value="new")} == set(names[1:])
        assert each(connection, select(facts.c.value).where(facts.c.name == bindparam("n")), n="another") == [("old",)]
        return change(connection, update(facts).where(facts.c.name == bindparam("n")).values(value="x"), n="another")

    assert store.write(all_of_it) == 1


def test_an_error_of_the_driver_is_an_error_of_the_store(store: Store) -> None:
    """Without the words of the row."""
    for row in ({"name": "canary", "value": None}, {"name": "n" * 4, "value": object()}):
        with pytest.raises(StoreError) as caught:
            store.write(lambda c, row=row: insert_rows(c, facts, [row]))
        assert "canary" not in str(caught.value)
