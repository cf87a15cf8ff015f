"""Overlapping pieces of a long text."""

from __future__ import annotations


def chunks(text: str, *, size: int, overlap: int) -> tuple[str, ...]:
    """Cut a long text into overlapping pieces that together hold every code point.

    Args:
        text: any text.
        size: most code points in a piece; at least 1.
        overlap: code points that neighbours share; from 0 to below `size`.

    Returns:
        `(text,)` when it fits, else pieces in order, cut at white space where one is near.

    Raises:
        ValueError: when `size` and `overlap` don't allow progress.
    """
    if not 0 <= overlap < size:
        raise ValueError("overlap must be at least 0 and below size")
    pieces: list[str] = []
    start = 0
    while start + size < len(text):
        end = start + size
        # A cut at a space must still leave progress beyond the overlap.
        space = max(text.rfind(" ", start + overlap + 1, end), text.rfind("\n", start + overlap + 1, end))
        if space > start + (overlap + size) // 2:
            end = space
        pieces.append(text[start:end])
        start = end - overlap
    pieces.append(text[start:])
    return tuple(pieces)
