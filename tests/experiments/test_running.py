"""Experiments are asked, stopped, gone on with and replayed; nothing is asked twice, and no fault is lost."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from crisis_filter.drill.answers import KnownTexts
from crisis_filter.drill.asked import Asked
from crisis_filter.drill.plans import Always, First, InTurn
from crisis_filter.drill.server import FaultServer
from crisis_filter.errors import ConfigurationError
from crisis_filter.experiments.calls import Calls
from crisis_filter.experiments.folder import CALLS, RESULTS, Folder, read_experiment, state_of, written
from crisis_filter.experiments.opening import opener
from crisis_filter.experiments.replaying import Replay, matching, replay_cells
from crisis_filter.experiments.running import Progress
from crisis_filter.experiments.summary import summary_of
from tests.experiments.trying import at, messages, parts, plan_file, tried
from tests.fault_server import chat, serve_faults


def server(folder: Path, plan: Any = None, **more: Any) -> FaultServer:
    """Knows the labels of the messages in a folder."""
    known = KnownTexts.read(folder / "messages.jsonl")

    def brain(asked: Asked) -> bool:
        return known(asked.message)

    return FaultServer(brain, plan, **more)


async def replayed(file: Path, where: Path) -> Replay:
    """Made again without anybody to ask."""
    found = read_experiment(where)
    _, made, data = parts(file)
    matching(found, data, file)
    calls = Calls(where / CALLS, replaying=True)
    openers = {column.variant.id: opener(column, calls, live=False) for column in made.columns}
    again, replay = await replay_cells(found, data, openers)
    if replay.whole:
        assert written(again).encode() == (where / RESULTS).read_bytes()
    return replay


async def test_every_variant_is_asked_about_every_message(tmp_path: Path) -> None:
    """Two prompts, two repeats: one request each for Stage 1, one more for Stage 2 of each crisis; and all of it is in the folder."""
    messages(tmp_path)
    async with server(tmp_path) as one:
        file = plan_file(
            tmp_path, one.base_url, prompts=["screen/terse-v2", "screen/reasoned-v2"], evaluateOptions={"repeat": 2}
        )
        ending = await tried(file, tmp_path / "x")
    assert (ending.done, ending.cells, ending.faults, ending.whole) == (32, 32, 0, True)
    assert one.counts["none"] == 32 + 16
    found = read_experiment(tmp_path / "x")
    assert found.complete
    summary = summary_of(found)
    assert [v.id for v in summary.variants] == ["terse-v2 @ m", "reasoned-v2 @ m"]
    assert all((v.crises.right, v.others.right, v.unstable) == (8, 8, 0) for v in summary.variants)
    assert all(
        spent.requests == 24 and spent.prompt_tokens > 0 and spent.money is None for spent in found.spent.values()
    )
    lines = (tmp_path / "x/assessments/01-terse-v2-m-2.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [item.id for item in found.state.items]


async def test_a_finished_experiment_asks_nothing_more(tmp_path: Path) -> None:
    """The same command again finds everything there."""
    messages(tmp_path)
    async with server(tmp_path) as one:
        file = plan_file(tmp_path, one.base_url)
        await tried(file, tmp_path / "x")
        before, results = one.counts.total(), (tmp_path / "x" / RESULTS).read_bytes()
        await tried(file, tmp_path / "x")
        assert one.counts.total() == before
    assert (tmp_path / "x" / RESULTS).read_bytes() == results


async def test_what_a_service_failed_to_answer_is_asked_again_and_nothing_else(tmp_path: Path) -> None:
    """Cells of an outage are faults at first, and only those are asked about when it is over."""
    messages(tmp_path)
    async with server(tmp_path, First(3, "http_500")) as one:
        file = plan_file(tmp_path, one.base_url, evaluateOptions={"maxConcurrency": 1})
        first = await tried(file, tmp_path / "x")
        assert (first.done, first.faults, first.whole) == (8, 3, False)
        counted = summary_of(read_experiment(tmp_path / "x")).variants[0]
        assert counted.faults == {"server_error": 3}
        assert counted.crises.undetermined + counted.others.undetermined == 3
        asked = one.counts.total()
        second = await tried(file, tmp_path / "x")
        # Three for Stage 1, and Stage 2 of those that are crises.
        crises = {c.item for c in read_experiment(tmp_path / "x").cells.values() if c.assessment.outcome == "crisis"}
        assert len(crises) == 4
        assert 3 <= one.counts.total() - asked <= 6
    assert second.whole
    assert await replayed(file, tmp_path / "x")


async def test_a_provider_of_nonsense_fills_every_cell_with_its_fault(tmp_path: Path) -> None:
    """Every cell says so; none is right, none is cleared, and it is not asked again, for it was answered."""
    messages(tmp_path)
    async with server(tmp_path, Always("code_fence")) as one:
        file = plan_file(tmp_path, one.base_url)
        ending = await tried(file, tmp_path / "x")
    assert ending.whole
    counted = summary_of(read_experiment(tmp_path / "x")).variants[0]
    # A crisis survives the fence around it, a negative does not.
    assert (counted.crises.right, counted.others.right, counted.others.undetermined) == (4, 0, 4)
    assert counted.faults == {"bad_json": 4}


async def test_a_dead_server_is_left_alone_after_ten(tmp_path: Path) -> None:
    """Nothing that was not asked becomes a fault, and a variant beside it goes on."""
    messages(tmp_path, each=12)
    async with server(tmp_path) as one:
        providers = [at("http://127.0.0.1:9/v1", "dead", "dead"), at(one.base_url, "m", "alive")]
        file = plan_file(tmp_path, one.base_url, providers=providers, evaluateOptions={"maxConcurrency": 2})
        ending = await tried(file, tmp_path / "x")
    assert ending.given_up == ("terse-v2 @ dead",)
    assert not ending.whole
    counted = {v.id: v for v in summary_of(read_experiment(tmp_path / "x")).variants}
    assert counted["terse-v2 @ alive"].crises.right == 12
    assert 10 <= counted["terse-v2 @ dead"].answers < 24
    assert counted["terse-v2 @ dead"].crises.right == counted["terse-v2 @ dead"].others.right == 0


@pytest.mark.parametrize("budget", [{"requests": 7}, {"money": 0.02}])
async def test_a_run_stops_at_its_budget_and_goes_on_when_it_is_raised(tmp_path: Path, budget: dict[str, Any]) -> None:
    """It never spends more than it may, loses nothing, and ends with the same results as one without a budget."""
    messages(tmp_path)
    async with server(tmp_path) as one:
        providers = [at(one.base_url, "m", "m", price={"input": 1.0, "output": 1.0})]
        options = {"maxConcurrency": 3}
        file = plan_file(tmp_path, one.base_url, providers=providers, budget=budget, evaluateOptions=options)
        ending = await tried(file, tmp_path / "x")
        assert ending.over_budget
        assert 0 < ending.done < 8
        spent = read_experiment(tmp_path / "x").spent["terse-v2 @ m"]
        assert spent.requests == one.counts.total() <= budget.get("requests", 99)
        assert spent.money is not None
        assert spent.money <= budget.get("money", 99.0)
        file = plan_file(tmp_path, one.base_url, providers=providers, evaluateOptions=options)
        assert (await tried(file, tmp_path / "x")).whole
        assert (await tried(file, tmp_path / "elsewhere/y")).whole
    assert (tmp_path / "x" / RESULTS).read_bytes() == (tmp_path / "elsewhere/y" / RESULTS).read_bytes()


async def test_replies_of_an_experiment_beside_it_are_taken_and_cost_nothing(tmp_path: Path) -> None:
    """More of the same is asked only for what is new; the account of the second holds only that."""
    messages(tmp_path)
    async with server(tmp_path) as one:
        await tried(plan_file(tmp_path, one.base_url), tmp_path / "all/x")
        before = one.counts.total()
        file = plan_file(tmp_path, one.base_url, evaluateOptions={"repeat": 2})
        assert (await tried(file, tmp_path / "all/y")).whole
        assert one.counts.total() - before == before
    found = read_experiment(tmp_path / "all/y")
    assert found.spent["terse-v2 @ m"].requests == before
    assert found.taken == {"terse-v2 @ m": 8}
    assert read_experiment(tmp_path / "all/x").taken == {"terse-v2 @ m": 0}
    assert await replayed(file, tmp_path / "all/y")


async def test_what_lies_beside_it_is_left_there_when_the_plan_says_so(tmp_path: Path) -> None:
    """Everything is asked anew; a folder that holds replies taken over is refused, for they would stay."""
    messages(tmp_path)
    async with server(tmp_path) as one:
        await tried(plan_file(tmp_path, one.base_url), tmp_path / "all/x")
        await tried(plan_file(tmp_path, one.base_url), tmp_path / "all/y")
        before = one.counts.total()
        anew = plan_file(tmp_path, one.base_url, evaluateOptions={"reuse": False})
        assert (await tried(anew, tmp_path / "all/z")).whole
        assert one.counts.total() == 2 * before
        state = (tmp_path / "all/y/experiment.json").read_bytes()
        with pytest.raises(ConfigurationError, match=r"taken over .* evaluateOptions\.reuse forbids"):
            await tried(anew, tmp_path / "all/y")
        assert (tmp_path / "all/y/experiment.json").read_bytes() == state
    assert read_experiment(tmp_path / "all/y").taken == {"terse-v2 @ m": 8}
    assert read_experiment(tmp_path / "all/z").taken == {"terse-v2 @ m": 0}


async def test_of_what_lies_beside_it_only_whole_experiments_are_read(tmp_path: Path) -> None:
    """A damaged one is left out with a word, another kind of folder without one, and the run asks by itself."""
    messages(tmp_path)
    async with server(tmp_path) as one:
        file = plan_file(tmp_path, one.base_url)
        await tried(file, tmp_path / "all/x")
        before, calls = one.counts.total(), (tmp_path / "all/x" / CALLS).read_bytes()
        (tmp_path / "all/w").mkdir()
        (tmp_path / "all/w" / CALLS).write_text("of another kind\n")
        first, second, *others = calls.splitlines(keepends=True)
        (tmp_path / "all/x" / CALLS).write_bytes(b"".join([first, b'{"canary7731": 1}\n', second, *others]))
        plan, made, data = parts(file)
        with Folder.begin(tmp_path / "all/y", state_of(plan, made, data)) as folder:
            (told,) = folder.skipped
        assert told.endswith(f"x/{CALLS}: line 2 is not a line of this journal; its replies are not taken over")
        await tried(file, tmp_path / "all/y")
        assert one.counts.total() == 2 * before
        # One that is being written, or was cut, gives what is whole.
        (tmp_path / "all/x" / CALLS).write_bytes(calls[:-5])
        await tried(file, tmp_path / "all/y2")
        assert one.counts.total() == 2 * before
        (tmp_path / "all/y" / CALLS).unlink()
        await tried(file, tmp_path / "all/y3")
        assert one.counts.total() == 2 * before


async def test_a_server_that_tells_no_usage_keeps_no_budget_of_money(tmp_path: Path) -> None:
    """Nobody knows what it cost, so the account has no sum and the run stops, each time; without a budget it goes on."""
    messages(tmp_path)
    async with serve_faults() as one:
        one.script = [chat("no", usage=None)]
        providers = [at(one.url, "m", "m", price={"input": 1.0, "output": 1.0})]
        file = plan_file(tmp_path, one.url, providers=providers, budget={"money": 9.0})
        for _ in range(2):
            ending = await tried(file, tmp_path / "x")
            assert (ending.done, ending.untold, ending.over_budget) == (1, ("terse-v2 @ m",), False)
            assert not ending.whole
        spent = read_experiment(tmp_path / "x").spent["terse-v2 @ m"]
        assert (spent.requests, spent.money, spent.untold) == (1, None, 1)
        money = []
        file = plan_file(tmp_path, one.url, providers=providers)
        assert (await tried(file, tmp_path / "x", lambda at_: money.append(at_.money))).whole
        assert money == [None] * 7
        free = [at(one.url, "m", "m", price={"input": 0, "output": 0})]
        file = plan_file(tmp_path, one.url, providers=free, budget={"money": 9.0})
        assert (await tried(file, tmp_path / "y")).whole
    assert read_experiment(tmp_path / "y").spent["terse-v2 @ m"].money == 0.0


class Endless:
    """A model that keeps no deadline."""

    name = "endless"

    async def complete(self, _: object) -> Any:
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        pass


async def test_a_call_that_is_given_up_is_counted_and_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was sent, so it is a request of the account; its stage knows of none, and a replay says the same bytes."""
    messages(tmp_path, each=1)
    monkeypatch.setattr("crisis_filter.experiments.opening.open_links", lambda _: Endless())
    file = plan_file(
        tmp_path, "http://127.0.0.1:9/v1", providers=[at("http://127.0.0.1:9/v1", "m", "m", deadline_s=0.2)]
    )
    assert (await tried(file, tmp_path / "x")).faults == 2
    lines = [json.loads(line)["none"] for line in (tmp_path / "x" / CALLS).read_text().splitlines()]
    assert {(line["attempts"], line["detail"], line["fault"]) for line in lines} == {
        (1, "stopped before a reply", "timeout")
    }
    found = read_experiment(tmp_path / "x")
    assert found.spent["terse-v2 @ m"].requests == len(lines)
    assert (await replayed(file, tmp_path / "x")).differing == ()


async def test_progress_counts_as_it_goes(tmp_path: Path) -> None:
    """Also answers that take the place of others: the last count is that of the folder."""
    messages(tmp_path)
    seen: list[tuple[int, int]] = []

    def tell(at_: Progress) -> None:
        seen.append((at_.done, at_.undetermined))

    async with server(tmp_path, First(3, "http_500")) as one:
        file = plan_file(tmp_path, one.base_url, evaluateOptions={"maxConcurrency": 1})
        await tried(file, tmp_path / "x", tell)
        assert seen == [(1, 1), (2, 2), (3, 3), *((done, 3) for done in range(4, 9))]
        seen.clear()
        await tried(file, tmp_path / "x", tell)
    assert seen == [(8, 2), (8, 1), (8, 0)]


@pytest.mark.parametrize(
    "plan",
    [
        Always(),
        InTurn(("none", "trailing_comma", "none", "http_500", "nonce_other", "none", "refusal_field"), repeat=True),
        Always("verdict_null"),
    ],
    ids=["healthy", "many faults", "no verdict"],
)
async def test_a_replay_gives_the_same_bytes_whatever_happened(tmp_path: Path, plan: Any) -> None:
    """Faults, re-asks and crises with a faulty Stage 2 are made again as they were, with the server gone."""
    messages(tmp_path)
    async with server(tmp_path, plan) as one:
        providers = [at(one.base_url, "m", "m", attempts=2)]
        file = plan_file(tmp_path, one.base_url, providers=providers, prompts=["screen/terse-v2", "screen/reasoned-v2"])
        await tried(file, tmp_path / "x")
    replay = await replayed(file, tmp_path / "x")
    assert replay.cells == 16
    assert replay.differing == ()


async def test_a_cell_that_ran_out_of_time_is_replayed_without_waiting(tmp_path: Path) -> None:
    """A call that its stage gave up is a timeout then as it was before, in no time."""
    messages(tmp_path, each=1)
    async with server(tmp_path, latency_s=2.0) as one:
        providers = [at(one.base_url, "m", "m", deadline_s=0.5)]
        file = plan_file(tmp_path, one.base_url, providers=providers)
        ending = await tried(file, tmp_path / "x")
    assert ending.faults == 2
    began = asyncio.get_running_loop().time()
    replay = await replayed(file, tmp_path / "x")
    assert replay.differing == ()
    assert asyncio.get_running_loop().time() - began < 1.5
    counted = summary_of(read_experiment(tmp_path / "x")).variants[0]
    assert counted.faults == {"timeout": 2}


async def test_a_reply_that_was_tampered_with_is_noticed(tmp_path: Path) -> None:
    """A recorded verdict turned around makes another result, and the replay names the cell."""
    messages(tmp_path)
    async with server(tmp_path) as one:
        file = plan_file(tmp_path, one.base_url)
        await tried(file, tmp_path / "x")
    calls = tmp_path / "x" / CALLS
    lines = calls.read_text().splitlines(keepends=True)
    at_ = next(n for n, line in enumerate(lines) if '\\"crisis\\": true' in line or '\\"crisis\\":true' in line)
    lines[at_] = (
        lines[at_]
        .replace('\\"crisis\\": true', '\\"crisis\\": false')
        .replace('\\"crisis\\":true', '\\"crisis\\":false')
    )
    calls.write_text("".join(lines))
    replay = await replayed(file, tmp_path / "x")
    assert len(replay.differing) == 1


async def test_the_engine_is_tried_at_thresholds_of_ones_own(tmp_path: Path) -> None:
    """A lower threshold can only find more; provenance names it; one above the released is refused."""
    messages(tmp_path)
    providers = [
        {"id": "local", "label": "as released"},
        {"id": "local", "label": "low", "config": {"threshold": 0.0001}},
    ]
    file = plan_file(tmp_path, providers=providers)
    await tried(file, tmp_path / "x")
    found = read_experiment(tmp_path / "x")
    names = Counter((c.variant, c.assessment.provenance.detector) for c in found.cells.values())
    assert names == {("as released", "local:standard-v1"): 8, ("low", "local:standard-v1@0.0001"): 8}
    counted = {v.id: v for v in summary_of(found).variants}
    assert counted["low"].crises.right >= counted["as released"].crises.right
    assert counted["low"].others.right < counted["as released"].others.right
    assert (await replayed(file, tmp_path / "x")).differing == ()
    file = plan_file(tmp_path, providers=[{"id": "local", "label": "high", "config": {"threshold": 0.999}}])
    with pytest.raises(ConfigurationError, match=r"engine_threshold is 0\.999, above"):
        await tried(file, tmp_path / "y")


async def test_another_experiment_is_refused_in_the_same_folder(tmp_path: Path) -> None:
    """With what differs, and both hashes where there are two; pace and budget may change."""
    messages(tmp_path)
    where = tmp_path / "x"
    prompt = tmp_path / "mine.md"
    released = Path(__file__).parents[2] / "prompts/screen/terse-v2.md"
    prompt.write_text(released.read_text().replace("id: screen/terse-v2", "id: screen/mine-v1"))
    (tmp_path / "mine.examples.yaml").write_text(released.with_suffix(".examples.yaml").read_text())
    async with server(tmp_path) as one:
        await tried(plan_file(tmp_path, one.base_url, prompts=["./mine.md"]), where)
        await tried(
            plan_file(tmp_path, one.base_url, prompts=["./mine.md"], evaluateOptions={"maxConcurrency": 9}), where
        )
        prompt.write_text(prompt.read_text().replace("You screen", "You now screen"))
        with pytest.raises(
            ConfigurationError, match=r"prompt screen/mine-v1 had the hash [0-9a-f]{64} and has [0-9a-f]{64} now"
        ):
            await tried(plan_file(tmp_path, one.base_url, prompts=["./mine.md"]), where)
        with pytest.raises(ConfigurationError, match="other variants"):
            await tried(plan_file(tmp_path, one.base_url), where)
        prompt.write_text(prompt.read_text().replace("You now screen", "You screen"))
        messages(tmp_path, each=5)
        with pytest.raises(ConfigurationError, match="the data had the hash"):
            await tried(plan_file(tmp_path, one.base_url, prompts=["./mine.md"]), where)


def test_the_plan_decides_what_is_drawn(tmp_path: Path) -> None:
    """A limit takes half crises, the seed decides which, and the same seed the same again."""
    messages(tmp_path, each=20)

    def drawn(**tests: Any) -> list[str]:
        file = plan_file(tmp_path, tests={"data": "messages.jsonl", "split": "development", **tests})
        return [item.id for item in parts(file)[2].items]

    ten = drawn(limit=10)
    assert sum(name.startswith("c") for name in ten) == 5
    assert ten == drawn(limit=10) != drawn(limit=10, seed=1)
    assert sorted(drawn()) == sorted(drawn(limit=99)) != drawn()
