"""Pure routing: an assessment and a policy give a disposition."""
