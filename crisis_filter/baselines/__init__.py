"""Other people's guardrails as detectors, for evaluation: their verdicts are never routed."""
