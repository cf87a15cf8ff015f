"""An evaluation as a page to read: one HTML file with figures, or Markdown."""
