from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score, roc_curve

from crisis_filter.stats.intervals import wilson
from crisis_filter.stats.resampling import Resampling
from crisis_filter.stats.turns import ever_flagged, flagged_at, timeliness, turn_auroc, turn_fpr_at

unhurried = settings(deadline=None)
Turns = list[list[tuple[bool, float | None]]]
scores = st.integers(0, 4).map(lambda n: n / 4)


def how(seed: int = 0, resamples: int = 15, clusters: list[int] | None = None) -> Resampling:
    return Resampling(np.random.default_rng(seed), resamples, clusters)


def talks(said: st.SearchStrategy, most: int = 8) -> st.SearchStrategy:
    turn = st.tuples(st.sampled_from([False, False, True]), said)
    return st.lists(st.lists(turn, min_size=1, max_size=6), max_size=most)


def mindguard(seed: int = 0) -> Turns:
    """67 conversations, 1,134 turns, 42 of them unsafe, in 17 of the conversations; with scores that tie."""
    rng = np.random.default_rng(seed)
    lengths = [17] * 62 + [16] * 5
    unsafe = [3] * 8 + [2] * 9 + [0] * 50
    return [
        [(at >= n - bad, float(np.round(rng.normal() + 2.5 * (at >= n - bad), 1))) for at in range(n)]
        for n, bad in zip(lengths, unsafe, strict=True)
    ]


def flat(conversations: Turns) -> tuple[np.ndarray, np.ndarray]:
    turns = [turn for talk in conversations for turn in talk]
    return np.array([u for u, _ in turns], dtype=bool), np.array([s for _, s in turns], dtype=float)


# Published figures


@pytest.mark.parametrize(("caught", "low", "high"), [(16, 0.730, 0.990), (7, 0.216, 0.640)])
def test_published_counts(caught: int, low: float, high: float) -> None:
    """17 conversations with an unsafe turn: 16 or 7 flagged in time, of 67 with 1,134 turns, 42 of them unsafe."""
    seen = 0
    conversations: list[list[tuple[bool, bool]]] = []
    for talk in mindguard():
        first = next((at for at, (unsafe, _) in enumerate(talk) if unsafe), None)
        hit = first is not None and seen < caught
        seen += first is not None
        conversations.append([(unsafe, hit and at == first) for at, (unsafe, _) in enumerate(talk)])
    ever, found = ever_flagged(conversations), timeliness(conversations)
    for share in (ever.unsafe, found.in_time, found.at_onset):
        assert (share.count, share.nobs, round(share.low, 3), round(share.high, 3)) == (caught, 17, low, high)
    assert (found.premature.count, found.false_alarms.conversations.count, found.false_alarms.turns.nobs) == (
        0,
        0,
        1092,
    )
    assert found.delays == (0,) * caught + (None,) * (17 - caught)
    sample = found.sample
    assert (sample.turns, sample.unsafe_turns, sample.conversations, sample.unsafe_conversations) == (1134, 42, 67, 17)
    assert ever.sample == sample


@pytest.mark.parametrize(("target", "needed"), [(0.90, 38), (0.95, 40)])
def test_turns_needed(target: float, needed: int) -> None:
    """Of 42 unsafe turns 38 must be flagged for 0.90 and 40 for 0.95; ties may flag more."""
    found = turn_fpr_at(mindguard(), target, how())
    assert found.at is not None and found.span is not None  # noqa: PT018
    assert found.at.tpr.count >= needed
    assert found.at.fpr.nobs == 1092
    assert found.span.low <= (found.at.fpr.estimate or 0) <= found.span.high


# Against other implementations


@unhurried
@given(talks(scores), st.integers(0, 99), st.sampled_from(["percentile", "bca"]))
def test_area_equals_scikit_learn(conversations: Turns, seed: int, method: str) -> None:
    """Over all turns; the span is that of scipy over whole conversations wherever scipy has one."""
    truth, said = flat(conversations)
    found = turn_auroc(conversations, how(seed), method=method)
    if len(set(truth.tolist())) < 2:
        assert (found.estimate, found.span) == (None, None)
        return
    assert found.estimate == pytest.approx(roc_auc_score(truth, said), abs=1e-12)
    if found.span is None or found.span.undefined:
        return
    parts = [flat([talk]) for talk in conversations]

    def area(drawn: np.ndarray) -> float:
        # Pair by pair, in halves: the rounding of a trapezoid sum would make unequal what is equal, and move a corrected interval.
        unsafe, held = (np.concatenate([parts[at][side] for at in drawn]) for side in (0, 1))
        apart = held[unsafe][:, None] - held[~unsafe][None, :]
        return float((apart > 0).sum() + 0.5 * (apart == 0).sum()) / apart.size

    # The leave-one-out values of a corrected interval may be undefined though no draw is.
    if method == "bca" and any(
        len(set(flat(conversations[:at] + conversations[at + 1 :])[0].tolist())) < 2 for at in range(len(parts))
    ):
        return
    theirs = stats.bootstrap(
        (np.arange(len(parts)),),
        area,
        vectorized=False,
        n_resamples=15,
        method="BCa" if method == "bca" else method,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    assert (found.span.low, found.span.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@pytest.mark.parametrize("target", [0.90, 0.95])
def test_false_alarm_span_equals_scipy(target: float) -> None:
    """Each draw of conversations sets its own threshold."""
    conversations = mindguard(4)
    parts = [flat([talk]) for talk in conversations]

    def rate(drawn: np.ndarray) -> float:
        truth, said = (np.concatenate([parts[at][side] for at in drawn]) for side in (0, 1))
        fpr, tpr, _ = roc_curve(truth, said, drop_intermediate=False)
        return float(fpr[tpr >= target - 1e-9].min())

    for method in ("percentile", "bca"):
        found = turn_fpr_at(conversations, target, how(9, 200), method=method)
        theirs = stats.bootstrap(
            (np.arange(67),),
            rate,
            vectorized=False,
            n_resamples=200,
            method="BCa" if method == "bca" else method,
            rng=np.random.default_rng(9),
        )
        assert found.at is not None and found.span is not None  # noqa: PT018
        assert found.at.fpr.estimate == pytest.approx(rate(np.arange(67)))
        bounds = theirs.confidence_interval
        assert (found.span.low, found.span.high) == pytest.approx((bounds.low, bounds.high), abs=1e-9)
        assert found.span.method == ("bca" if method == "bca" else "bootstrap")


@unhurried
@given(talks(st.booleans(), most=12))
def test_flags_by_their_definitions(conversations: list[list[tuple[bool, bool]]]) -> None:
    """Every share written out, one conversation at a time."""
    ever, found = ever_flagged(conversations), timeliness(conversations)
    bad = [talk for talk in conversations if any(unsafe for unsafe, _ in talk)]
    good = [talk for talk in conversations if talk not in bad]
    onsets = [[unsafe for unsafe, _ in talk].index(True) for talk in bad]
    flags = [[at for at, (_, flag) in enumerate(talk) if flag] for talk in bad]
    assert (ever.unsafe.count, ever.unsafe.nobs) == (sum(map(bool, flags)), len(bad))
    in_time = [any(at <= onset for at in each) for each, onset in zip(flags, onsets, strict=True)]
    onset_hit = [onset in each for each, onset in zip(flags, onsets, strict=True)]
    early = [any(at < onset for at in each) for each, onset in zip(flags, onsets, strict=True)]
    for share, each in ((found.in_time, in_time), (found.at_onset, onset_hit), (found.premature, early)):
        assert share == wilson(sum(each), len(bad))
    assert in_time == [hit or soon for hit, soon in zip(onset_hit, early, strict=True)]
    assert found.delays == tuple(each[0] - onset if each else None for each, onset in zip(flags, onsets, strict=True))
    for alarms in (ever.false_alarms, found.false_alarms):
        assert alarms.conversations == wilson(sum(any(flag for _, flag in talk) for talk in good), len(good))
        safe = [flag for talk in conversations for unsafe, flag in talk if not unsafe]
        assert alarms.turns == wilson(sum(safe), len(safe))


# Properties


def test_flagging_everything_is_always_in_time() -> None:
    """All caught, none late, and every safe conversation disturbed: the one without the other says nothing."""
    conversations = flagged_at(mindguard(), -1e9)
    found, ever = timeliness(conversations), ever_flagged(conversations)
    assert (found.in_time.estimate, found.at_onset.estimate, ever.unsafe.estimate) == (1.0, 1.0, 1.0)
    for alarms in (found.false_alarms, ever.false_alarms):
        assert (alarms.conversations.estimate, alarms.conversations.nobs) == (1.0, 50)
        assert (alarms.turns.estimate, alarms.turns.nobs) == (1.0, 1092)
    # And its score is worth nothing.
    constant = [[(unsafe, 1.0) for unsafe, _ in talk] for talk in conversations]
    assert turn_auroc(constant).estimate == 0.5
    at = turn_fpr_at(constant, 0.9).at
    assert at is not None
    assert (at.unreachable, at.fpr.estimate) == (True, 1.0)


def test_flagging_nothing_is_never_in_time() -> None:
    """No alarm, and no catch: the delay is unknown, not long."""
    found = timeliness(flagged_at(mindguard(), 1e9))
    assert (found.in_time.count, found.at_onset.count, found.premature.count) == (0, 0, 0)
    assert found.delays == (None,) * 17
    assert found.false_alarms.turns.count == 0


@unhurried
@given(talks(st.none() | scores))
def test_failures_bound_the_figures(conversations: Turns) -> None:
    """A failed turn is an error unless said otherwise; best and worst enclose every other reading."""
    failed = sum(score is None for talk in conversations for _, score in talk)
    if failed:
        for figure in (turn_auroc, lambda c: turn_fpr_at(c, 0.9)):
            with pytest.raises(ValueError, match=r"turn \d+ of conversation \d+ failed"):
                figure(conversations)
    areas = {f: turn_auroc(conversations, failures=f) for f in ("best", "worst", "flagged", "unflagged")}
    rates = {f: turn_fpr_at(conversations, 0.9, failures=f).at for f in areas}
    assert {each.sample.failed for each in areas.values()} == {failed}
    if areas["best"].estimate is None:
        assert set(rates.values()) == {None}
        return
    estimates = {f: each.estimate for f, each in areas.items()}
    alarms = {f: each.fpr.estimate for f, each in rates.items() if each}
    assert estimates["worst"] <= min(estimates.values())
    assert estimates["best"] >= max(estimates.values())
    assert alarms["best"] <= min(alarms.values())
    assert alarms["worst"] >= max(alarms.values())
    if not failed:
        assert len(set(estimates.values())) == 1


@unhurried
@given(talks(st.none() | st.booleans()))
def test_failed_flags(conversations: list[list[tuple[bool, bool | None]]]) -> None:
    """As flags they catch more and alarm more than as none; each is what writing the flag down would give."""
    if any(flag is None for talk in conversations for _, flag in talk):
        for figure in (ever_flagged, timeliness):
            with pytest.raises(ValueError, match=r"turn \d+ of conversation \d+ failed"):
                figure(conversations)
    most, least = (timeliness(conversations, failures=f) for f in ("flagged", "unflagged"))
    assert most.in_time.count >= least.in_time.count
    assert most.false_alarms.turns.count >= least.false_alarms.turns.count
    for filling, found in ((True, most), (False, least)):
        written = [[(u, filling if flag is None else flag) for u, flag in talk] for talk in conversations]
        assert found.delays == timeliness(written).delays
        assert found.false_alarms == timeliness(written).false_alarms
        kind = "flagged" if filling else "unflagged"
        assert ever_flagged(conversations, failures=kind).unsafe == ever_flagged(written).unsafe


def test_failed_scores_are_beyond_every_score() -> None:
    """Also where scores are so large that adding one changes nothing."""
    for size in (1.0, 1e300, -1e300):
        talk: Turns = [[(True, None), (False, size), (True, size)]]
        assert turn_auroc(talk, failures="flagged").estimate == 0.75
        assert turn_auroc(talk, failures="unflagged").estimate == 0.25
    alone: Turns = [[(True, None), (False, None)]]
    assert [turn_auroc(alone, failures=f).estimate for f in ("best", "worst", "flagged", "unflagged")] == [
        1.0,
        0.0,
        0.5,
        0.5,
    ]


def test_conversations_are_drawn_whole() -> None:
    """Turns copied within a conversation are no new evidence; conversations of one author may be drawn together."""
    base = mindguard()
    longer = [talk * 9 for talk in base]
    one, other = turn_auroc(base, how(3, 400)).span, turn_auroc(longer, how(3, 400)).span
    assert one is not None and other is not None  # noqa: PT018
    assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-12)
    copies, owners = base * 9, list(range(67)) * 9
    naive, whole = turn_auroc(copies, how(3, 400)).span, turn_auroc(copies, how(3, 400, owners)).span
    assert naive is not None and whole is not None  # noqa: PT018
    assert whole.high - whole.low > 2 * (naive.high - naive.low)


@unhurried
@given(talks(scores), scores)
def test_a_threshold_flags_at_or_above(conversations: Turns, threshold: float) -> None:
    """Equal scores are flagged together."""
    flags = flagged_at(conversations, threshold)
    assert [[flag for _, flag in talk] for talk in flags] == [
        [(s or 0) >= threshold for _, s in talk] for talk in conversations
    ]
    assert flagged_at([[(True, None)]], threshold) == [[(True, None)]]


# Degenerate cases


def test_nothing_to_look_at_is_undefined() -> None:
    """No conversation, or none of a kind: no estimate, and anything is possible."""
    for conversations in ([], [[(False, True)]], [[(True, True)]]):
        found, ever = timeliness(conversations), ever_flagged(conversations)
        bad = sum(talk[0][0] for talk in conversations)
        for share in (found.in_time, found.at_onset, ever.unsafe):
            assert share == wilson(bad, bad)
        assert found.premature == wilson(0, bad)
        assert (found.false_alarms.conversations.estimate is None) == (len(conversations) == bad)
        scored = [[(unsafe, 0.5) for unsafe, _ in talk] for talk in conversations]
        area, rate = turn_auroc(scored, how()), turn_fpr_at(scored, 0.9, how())
        assert (area.estimate, area.span, rate.at, rate.span) == (None, None, None, None)
    assert turn_auroc([[(True, 1.0), (False, 0.0)]], how()).span is None
    assert turn_auroc(mindguard()).span is None


BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: turn_auroc([[(True, 1.0)], []]), "conversation 1 has no turns"),
    (lambda: ever_flagged([[]]), "conversation 0 has no turns"),
    (lambda: turn_auroc([[(True, 1.0)], [(False, 0.0), (False, math.nan)]]), "turn 1 of conversation 1 is not finite"),
    (lambda: turn_fpr_at([[(True, math.inf)]], 0.9), "turn 0 of conversation 0 is not finite"),
    (lambda: turn_fpr_at([[(True, None)]], 0.9), "turn 0 of conversation 0 failed"),
    (lambda: turn_auroc([[(None, 1.0)]]), "neither unsafe nor safe"),  # type: ignore[list-item]
    (lambda: timeliness([[(True, 0.7)]]), "conversation 0 has a flag"),  # type: ignore[list-item]
    (lambda: flagged_at([[(True, math.nan)]], 0.5), "turn 0 of conversation 0 is not finite"),
    (lambda: flagged_at([[(True, 0.5)]], math.nan), "threshold"),
    (lambda: turn_fpr_at([[(True, 1.0), (False, 0.0)]], 0.0), "target"),
    (lambda: turn_auroc([[(True, 1.0)]], how(), level=1.0), "level"),
    (lambda: timeliness([[(True, True)]], level=0.0), "level"),
    (lambda: turn_auroc([[(True, 1.0)]], how(clusters=[1, 2])), "one cluster for each conversation"),
]


@pytest.mark.parametrize(("call", "words"), BAD)
def test_impossible_arguments_are_refused(call: Callable[[], object], words: str) -> None:
    """An error that says where, not a number."""
    with pytest.raises(ValueError, match=words):
        call()
