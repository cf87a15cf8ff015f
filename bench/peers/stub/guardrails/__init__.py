"""A stand-in for the few names of the Guardrails AI framework that the NOPE validator imports. Written for the bench; not that framework."""
