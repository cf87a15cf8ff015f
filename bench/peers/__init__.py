"""Other people's guardrails, each in an environment of its own, asked about the same messages under the same faults."""
