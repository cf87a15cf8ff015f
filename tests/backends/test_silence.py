"""No words of a message or an answer leave through logs or errors."""

from __future__ import annotations

import io
import logging
import logging.config
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from crisis_filter.backends.base import Backend, Reply
from crisis_filter.backends.registry import open_backend
from crisis_filter.backends.silence import guard_loggers, withheld
from crisis_filter.backends.spec import parse_backend
from crisis_filter.errors import BackendError
from tests.backends.asking import asking, verdict
from tests.fault_server import Answer, FaultServer, chat, failure

SAID = "MARK-OF-THE-MESSAGE"
ANSWERED = "MARK-OF-THE-ANSWER"


@pytest.fixture
def everything_logged() -> Iterator[io.StringIO]:
    """All that any logger says at DEBUG, formatted with every extra field, as a careless host would."""
    out = io.StringIO()

    class Careless(logging.StreamHandler[io.StringIO]):
        def format(self, record: logging.LogRecord) -> str:
            return super().format(record) + repr(vars(record))

    handler = Careless(out)
    root = logging.getLogger()
    level, levels = root.level, {}
    for name in ("openai", "instructor", "langchain_core", "langchain_openai", "httpx2", "httpcore2"):
        levels[name] = logging.getLogger(name).level
        logging.getLogger(name).setLevel(logging.DEBUG)
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield out
    root.removeHandler(handler)
    root.setLevel(level)
    for name, old in levels.items():
        logging.getLogger(name).setLevel(old)


_BAD = verdict(reasoning=ANSWERED, crisis="maybe")
_ECHO = {"message": f"{SAID} {ANSWERED}", "param": SAID, "code": ANSWERED}


@pytest.mark.parametrize("kind", ["openai:m", "langchain:openai:m"])
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(chat(_BAD), id="schema"),
        pytest.param(chat(ANSWERED), id="prose"),
        pytest.param(chat(_BAD[:-3], finish="length"), id="length"),
        pytest.param(chat(None, message={"refusal": ANSWERED}), id="refusal"),
        pytest.param(chat(verdict(reasoning=ANSWERED)), id="answered"),
        pytest.param(Answer(f"<html>{ANSWERED}".encode(), content_type="text/html"), id="HTML"),
        pytest.param(Answer(b'{"error": {"message": "%s"}}' % ANSWERED.encode()), id="error with 200"),
        pytest.param(failure(400, _ECHO), id="400"),
        pytest.param(failure(401, _ECHO), id="401"),
        pytest.param(failure(503, _ECHO, Retry_After="0"), id="503"),
        pytest.param(Answer(chat(_BAD).body, act="cut"), id="cut"),
    ],
)
async def test_nothing_private_leaves(
    server: FaultServer, everything_logged: io.StringIO, kind: str, answer: Answer
) -> None:
    """Whatever goes wrong, neither message nor answer is in a log record, an error, its chain or a repr."""
    server.answer(answer)
    backend = open_backend(parse_backend(kind, base_url=server.url))
    shown = await _everything_shown(backend)
    await backend.aclose()
    assert SAID in str(server.received[0].body)
    for place in (everything_logged.getvalue(), shown):
        assert SAID not in place
        assert ANSWERED not in place


async def _everything_shown(backend: Backend) -> str:
    request = asking(SAID, label_field="crisis")
    try:
        reply: Reply[Any] = await backend.complete(request)
    except BackendError as error:
        chain = "".join(traceback.format_exception(error))
        assert error.__cause__ is None
        assert error.__context__ is None
        return f"{error}{error!r}{vars(error)}{chain}{request!r}"
    return f"{reply!r}{reply.detail}{request!r}"


@pytest.mark.parametrize("kind", ["openai:m", "langchain:openai:m"])
@pytest.mark.parametrize("named", ["openai", "openai._base_client"])
async def test_the_host_may_configure_its_logging_later(server: FaultServer, kind: str, named: str) -> None:
    """A host that configures our libraries' loggers after a backend was opened still gets no words of a message."""
    server.answer(chat(verdict(reasoning=ANSWERED)))
    backend = open_backend(parse_backend(kind, base_url=server.url))
    out = io.StringIO()
    logger = logging.getLogger(named)
    level = logger.level
    try:
        logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "handlers": {"h": {"class": "logging.StreamHandler", "stream": out}},
                "loggers": {named: {"level": "DEBUG", "handlers": ["h"]}},
            }
        )
        await backend.complete(asking(SAID))
        await backend.aclose()
    finally:
        logger.handlers.clear()
        logger.setLevel(level)
    assert SAID in str(server.received[0].body)
    assert "(withheld)" in out.getvalue()
    assert SAID not in out.getvalue()
    assert ANSWERED not in out.getvalue()


async def test_an_unsendable_message_stays_private(server: FaultServer) -> None:
    """A text that has no UTF-8 fails inside the client, whose error holds the text; ours does not."""
    server.answer(chat(verdict()))
    backend = open_backend(parse_backend("openai:m", base_url=server.url))
    with pytest.raises(BackendError) as caught:
        await backend.complete(asking(SAID + "\ud83d"))
    await backend.aclose()
    assert SAID not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


async def test_the_host_keeps_its_own_logs(everything_logged: io.StringIO) -> None:
    """Outside our calls, and for other packages, records are left alone; inside, a child's record loses everything."""
    guard_loggers("openai")
    guard_loggers("openai")
    logging.getLogger("openai").debug("host %s", "first")
    with withheld():
        try:
            raise ValueError("secret")
        except ValueError:
            logging.getLogger("openai.made.later").exception("inside %s", "second", extra={"more": "third"})
        logging.getLogger("application").debug("fourth")
    logging.getLogger("openai").debug("host %s", "fifth")
    logged = everything_logged.getvalue()
    assert all(word in logged for word in ("first", "(withheld)", "openai.made.later", "fourth", "fifth"))
    assert not any(word in logged for word in ("secret", "second", "third"))
