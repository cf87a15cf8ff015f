"""Many messages, file to file: a journal that survives a kill at any instant, and what keeps within a provider's limits."""
