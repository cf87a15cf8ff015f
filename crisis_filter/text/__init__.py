"""What can be said of a text without judging it: canonical views, pieces, quotes, scripts."""

from crisis_filter.text.chunks import chunks
from crisis_filter.text.quotes import QuoteFinder
from crisis_filter.text.scripts import beyond_latin, runs_together
from crisis_filter.text.views import View, ViewName, mended, normalise, views

__all__ = ["QuoteFinder", "View", "ViewName", "beyond_latin", "chunks", "mended", "normalise", "runs_together", "views"]
