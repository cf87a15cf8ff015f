"""The only door to a language model; import `base`, `spec` and `registry`, the rest is behind them."""
