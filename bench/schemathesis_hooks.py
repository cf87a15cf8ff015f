"""What schemathesis cannot know of the service: an `Idempotency-Key` is for one request, and an answer takes longer than a millisecond."""

from __future__ import annotations

import os
import re
import uuid
from itertools import count
from typing import Any

import schemathesis

_IDS = [each for each in os.environ.get("REAL_IDS", "").split(",") if each]
"""Pairs `ITEM:MESSAGE` that are there, so that not every address says 404."""
_NUMBERS = count()


@schemathesis.hook
def before_call(_: Any, case: Any, **__: Any) -> None:
    """Mend what is documented and no schema can say; whatever is meant to be wrong stays wrong."""
    if _about_the_key(case):
        return
    headers = case.headers or {}
    if 1 <= len(headers.get("Idempotency-Key", "")) <= 255:
        headers["Idempotency-Key"] = uuid.uuid4().hex
    if re.fullmatch("[1-9][0-9]{0,8}", headers.get("X-Deadline-Ms", "")):
        headers["X-Deadline-Ms"] = "60000"
    # What answers are refused depends on what the item is: those go to items that are not there.
    if _IDS and case.path_parameters and not case.path.endswith("/decision") and next(_NUMBERS) % 2:
        item, message = _IDS[next(_NUMBERS) // 2 % len(_IDS)].split(":")
        for name, known in (("item_id", item), ("message_id", message)):
            if re.fullmatch("[0-9A-Za-z_-]{1,64}", str(case.path_parameters.get(name, ""))):
                case.path_parameters[name] = known


def _about_the_key(case: Any) -> bool:
    """Whether the case is one without the API key: any change would make schemathesis take it for one with it."""
    place = getattr(getattr(case.meta, "phase", None), "data", None)
    return str(getattr(place, "parameter", "")).lower() == "authorization"
