"""What the tests of figures over several categories share: a paper's tables, a set with their counts, and random cases."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from crisis_filter.stats.binary import Counts

Flags = NDArray[np.bool_]
Triples = list[tuple[float, ...]]

# Tables 4 and 3 of the VBHSF paper. Table 4 is over the 898 messages that its first stage flagged, Table 3 over all 1,800.
# Columns: tp, fp, fn, tn; point, low and high, as printed, of accuracy, sensitivity, specificity, PPV and NPV.
TABLE_4 = """
abuse            132 17  2  747  .979 .967 .986  .985 .947 .996  .978 .965 .986  .886 .825 .928  .997 .990 .999
eating_disorder  110  3 10  775  .986 .975 .992  .917 .853 .954  .996 .989 .999  .973 .925 .991  .987 .977 .993
neglect          107 12  5  774  .981 .970 .988  .955 .900 .981  .985 .974 .991  .899 .832 .941  .994 .985 .997
psychosis        125  8  5  760  .986 .975 .992  .962 .913 .983  .990 .980 .995  .940 .886 .969  .993 .985 .997
self_harm        123  6  8  761  .984 .974 .991  .939 .884 .969  .992 .983 .996  .953 .902 .979  .990 .980 .995
substance_misuse 129 11  8  750  .979 .967 .986  .942 .889 .970  .986 .974 .992  .921 .865 .956  .989 .979 .995
suicide          119 17  4  758  .977 .965 .985  .967 .919 .987  .978 .965 .986  .875 .809 .920  .995 .987 .998
violence         118  8  1  771  .990 .981 .995  .992 .954 .999  .990 .980 .995  .937 .880 .967  .999 .993 1.00
"""
TABLE_3 = """
abuse            132 17  2 1649  .989 .984 .993  .985 .947 .996  .990 .984 .994  .886 .825 .928  .999 .996 1.00
eating_disorder  110  3 15 1672  .990 .984 .994  .880 .811 .926  .998 .995 .999  .973 .925 .991  .991 .985 .995
neglect          107 12  6 1675  .990 .984 .994  .947 .889 .975  .993 .988 .996  .899 .832 .941  .996 .992 .998
psychosis        125  8  5 1662  .993 .988 .996  .962 .913 .983  .995 .991 .998  .940 .886 .969  .997 .993 .999
self_harm        123  6  8 1663  .992 .987 .995  .939 .884 .969  .996 .992 .998  .953 .902 .979  .995 .991 .998
substance_misuse 129 11  8 1652  .989 .984 .993  .942 .889 .970  .993 .988 .996  .921 .865 .956  .995 .991 .998
suicide          119 17  7 1657  .987 .980 .991  .944 .890 .973  .990 .984 .994  .875 .809 .920  .996 .991 .998
violence         118  8  1 1673  .995 .991 .997  .992 .954 .999  .995 .991 .998  .937 .880 .967  .999 .997 1.00
"""


def rows_of(table: str) -> dict[str, tuple[Counts, Triples]]:
    found = {}
    for line in table.split("\n")[1:-1]:
        name, *numbers = line.split()
        printed = [float(number) for number in numbers[4:]]
        found[name] = (Counts(*map(int, numbers[:4])), list(zip(*[iter(printed)] * 3, strict=True)))
    return found


HIERARCHICAL, FLAT = rows_of(TABLE_4), rows_of(TABLE_3)
MISSED = {"eating_disorder": 5, "neglect": 1, "suicide": 3}
"""Of the messages that the first stage missed, how many had which category."""
NAMES = tuple(HIERARCHICAL)
PAPER = tuple(counts for counts, _ in HIERARCHICAL.values())


def paper_messages() -> tuple[Flags, Flags]:
    """898 messages with the counts of Table 4, whose 125 errors lie on 88 of them, as the paper says."""
    truth, said = np.zeros((898, 8), bool), np.zeros((898, 8), bool)
    errors = 0
    for at, counts in enumerate(PAPER):
        places = np.arange(errors, errors + counts.fp + counts.fn) % 88
        errors += len(places)
        said[places[: counts.fp], at] = True
        truth[places[counts.fp :], at] = True
        right = np.setdiff1d(np.arange(898), places)[: counts.tp]
        truth[right, at] = said[right, at] = True
    return truth, said


@st.composite
def cases(draw: st.DrawFn, systems: int = 1, least: int = 0, narrowest: int = 1) -> tuple[Flags, ...]:
    """Truth and answers, with anything from none to all of a category, or of the messages, alike."""
    rows, width = draw(st.integers(least, 30)), draw(st.integers(narrowest, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    share = draw(st.sampled_from([0.0, 0.05, 0.3, 0.5, 0.9, 1.0]))
    noise = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    truth = rng.random((rows, width)) < share
    if draw(st.booleans()):
        truth[:, 0] = draw(st.booleans())
    return (truth, *(truth ^ (rng.random((rows, width)) < noise) for _ in range(systems)))


def names_of(truth: Flags) -> tuple[str, ...]:
    return tuple("abcdefgh"[: truth.shape[1]])
