"""Gold labels and stored assessments to estimates; nothing here calls a model."""
