"""Needs the `train` extra; passed over where it is not installed."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")


def test_an_overconfident_logit_is_drawn_in() -> None:
    """Logits three times too large get a slope near a third, and the mean probability is the share of positives."""
    from crisis_filter.local.train.calibrate import platt

    rng = np.random.default_rng(0)
    true_logit = rng.normal(0.5, 2.0, 4000)
    truth = rng.random(4000) < 1 / (1 + np.exp(-true_logit))
    line = platt(3 * true_logit, truth)
    assert line.slope == pytest.approx(1 / 3, rel=0.1)
    assert line.offset == pytest.approx(0.0, abs=0.15)


def test_separable_classes_give_a_finite_line() -> None:
    """Even where a threshold splits the classes cleanly, slope and offset stay finite."""
    from crisis_filter.local.train.calibrate import platt

    line = platt(np.array([-9.0, -8.0, 8.0, 9.0]), np.array([False, False, True, True]))
    assert 0 < line.slope < 10


def test_a_label_that_was_not_learned_is_refused() -> None:
    """One class only, or a logit that falls where the label is present, is an error."""
    from crisis_filter.local.train.calibrate import platt

    with pytest.raises(ValueError, match="with the label and without"):
        platt(np.array([1.0, 2.0]), np.array([True, True]))
    with pytest.raises(ValueError, match="falls"):
        platt(np.linspace(-5, 5, 50), np.linspace(-5, 5, 50) < 0)


def test_folding_changes_the_logits_by_the_lines() -> None:
    """The network with the lines folded in gives slope x logit + offset."""
    from crisis_filter.local.train.calibrate import Line, fold
    from crisis_filter.local.train.model import Classifier

    torch.manual_seed(0)
    model = Classifier(20, 2).eval()
    tokens, mask = torch.tensor([[1, 2, 3]]), torch.ones(1, 3, dtype=torch.int64)
    with torch.no_grad():
        before = model(tokens, mask)
        fold(model, [Line(0.5, 1.0), Line(2.0, -1.0)])
        after = model(tokens, mask)
    assert torch.allclose(after, before * torch.tensor([0.5, 2.0]) + torch.tensor([1.0, -1.0]), atol=1e-6)


def test_a_second_model_gets_the_share_it_earns() -> None:
    """What is told by both is weighed by how well each tells; one that speaks against the label is left out."""
    from crisis_filter.local.train.calibrate import platt

    rng = np.random.default_rng(1)
    true_logit = rng.normal(0.0, 2.0, 6000)
    truth = rng.random(6000) < 1 / (1 + np.exp(-true_logit))
    part = rng.normal(0.0, 1.0, 6000)
    line = platt(true_logit - part, truth, part)
    assert (line.slope, line.second) == pytest.approx((1.0, 1.0), abs=0.15)
    against = platt(true_logit, truth, -true_logit + rng.normal(0.0, 0.01, 6000))
    assert against.second >= 0.0
    assert platt(true_logit, truth, -part).second < 0.2
