"""Log records that other libraries make during our calls lose their words.

The `openai` client logs whole requests at DEBUG and `instructor` logs answers, so both would put a person's words into
whatever the host application does with its logs. Nothing global is configured: a handler is put first on the named package
loggers, and on those of their children that have handlers of their own. That is done when a backend is opened and again at
the start of each call, because a host that configures its logging later takes handlers away. Records pass through it on the
way to the root, and while a call of ours is running in the current context it takes message, arguments, exception and extra
fields away and leaves logger, level and place. Outside our calls, for instance when the host uses the same library for
itself, it does nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["guard_loggers", "withheld"]

_in_our_call: ContextVar[bool] = ContextVar("crisis_filter_in_backend_call", default=False)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class _Withholder(logging.Handler):
    def handle(self, record: logging.LogRecord) -> bool:
        if _in_our_call.get():
            for name in set(vars(record)) - _STANDARD:
                delattr(record, name)
            record.msg, record.args = "(withheld)", ()
            record.exc_info = record.exc_text = record.stack_info = None
        return True


def guard_loggers(*packages: str) -> None:
    """Put the handler on the loggers of these packages, and on their children that have handlers, once each."""
    known = list(logging.root.manager.loggerDict.items())
    children = [child for name, child in known if name.partition(".")[0] in packages]
    handling = [child for child in children if isinstance(child, logging.Logger) and child.handlers]
    for logger in (*map(logging.getLogger, packages), *handling):
        if not any(isinstance(handler, _Withholder) for handler in logger.handlers):
            logger.handlers.insert(0, _Withholder())


@contextmanager
def withheld() -> Iterator[None]:
    """Mark the current context as one of our calls."""
    token = _in_our_call.set(True)
    try:
        yield
    finally:
        _in_our_call.reset(token)
