"""Pages of experiments: one HTML file each that fetches nothing, in the look of the evaluation report."""

from crisis_filter.experiments.page.compare import compare_page
from crisis_filter.experiments.page.matrix import matrix_page

__all__ = ["compare_page", "matrix_page"]
