"""What a worker of several needs to judge blocks of rows. Frozen; is sent to each."""

from __future__ import annotations

from pydantic import Field, SecretStr, model_validator

from crisis_filter.batch.spec import Reading
from crisis_filter.pipeline.description import LOCAL, FilterSpec
from crisis_filter.schema import Record

__all__ = ["BlockSpec", "BrokerAddress"]


class BrokerAddress(Record):
    """Where the broker of an account's limits is; see `lease_tcp`."""

    host: str
    port: int = Field(ge=1, le=65535)
    token: SecretStr
    """What shows a worker to be one of ours; never sent to the broker as it is, and in no `repr`. It lies in the spec, which Ray stores and sends."""


class BlockSpec(Record):
    """Everything a worker needs."""

    judging: FilterSpec = FilterSpec()
    reading: Reading = Reading()
    """Which columns hold what; `format` does not apply."""
    keep: tuple[str, ...] = ()
    """Columns that come back unchanged behind those of the verdict."""
    slots: int = Field(default=64, ge=1, le=4096)
    """Messages in work at once, in this worker."""
    fast: bool = True
    """Whether requests may take the fast lane."""
    broker: BrokerAddress | None = None
    """Who leases the account's limits to all workers; `None` lets each learn from refusals by itself."""
    requests_per_minute: float | None = Field(default=None, gt=0)
    """Of this worker alone, without a broker."""
    tokens_per_minute: float | None = Field(default=None, gt=0)
    """The same."""
    patience: int = Field(default=400, ge=1)
    """Rows in a row for which no endpoint could answer, after which the worker stops: the rest would fare no better."""
    stopped_rows: bool = False
    """What becomes of rows after a stop: an error (`blocks_engine.StoppedError`), which ends the job, or rows that are undetermined."""

    @model_validator(mode="after")
    def _limits_have_one_keeper(self) -> BlockSpec:
        own = self.requests_per_minute is not None or self.tokens_per_minute is not None
        if own and self.broker is not None:
            raise ValueError("limits are given to the broker or to a worker that is alone, not to both")
        if self.broker is not None and self.judging.backend == LOCAL:
            raise ValueError("the embedded engine asks nobody and needs no broker")
        return self
