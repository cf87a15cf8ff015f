"""`python -m crisis_filter`."""

from __future__ import annotations

from crisis_filter.cli import main

if __name__ == "__main__":
    main()
