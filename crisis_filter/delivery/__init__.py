"""Webhooks: what the outbox holds is signed and sent, to checked addresses only, until it is delivered or dead."""
