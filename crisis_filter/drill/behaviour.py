"""What the fault server can do to a request, as a record with a name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from crisis_filter.drill.http import Response
from crisis_filter.drill.scene import Scene
from crisis_filter.schema import Fault

Group = Literal["answer", "transport", "http"]
"""Where it shows: in what the model wrote, on the connection, or in the HTTP response."""
Says = Literal["verdict", "positive", "negative", "nothing"]
"""What can be read in it: the brain's own verdict, always a crisis, always "not crisis", or no verdict at all."""
Stage = Literal["any", "categorise"]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One way to treat a request.

    A client that is asked about a crisis may end at a crisis or at undetermined, never at "not crisis", unless `fault` is
    `None` and the model itself said so.
    """

    name: str
    group: Group
    summary: str
    """One line."""
    fault: Fault | None
    """What a well-behaved client names when there is no positive to keep; `None` when nothing is wrong with the answer."""
    respond: Callable[[Scene], Response] = field(repr=False)
    """Makes the response; for a behaviour of one stage it is called for that stage only."""
    says: Says = "nothing"
    stage: Stage = "any"
    """`categorise`: other requests get a healthy answer."""
    ours_only: bool = False
    """It changes the JSON object that our own prompts ask for, so it means nothing to another client."""
    recoverable_elsewhere: bool = True
    """Whether asking another endpoint can help."""
    lasts: bool = False
    """The request hangs until the client gives up."""
