"""Drills: a fault server for any client of the OpenAI chat protocol, and a proxy for what TCP can do to it."""
