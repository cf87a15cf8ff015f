"""The table of prices, which its user edits or replaces."""

from __future__ import annotations

import datetime as dt
import tomllib
from pathlib import Path

from pydantic import Field, ValidationError

from crisis_filter.errors import ConfigurationError
from crisis_filter.schema import Record

__all__ = ["BUNDLED", "Price", "PriceTable", "load_prices"]

BUNDLED = Path(__file__).with_name("prices.toml")


class Price(Record):
    """What one model costs, of a million tokens."""

    model: str = Field(min_length=1)
    input: float = Field(ge=0.0, allow_inf_nan=False)
    cached_input: float = Field(ge=0.0, allow_inf_nan=False)
    """Of input that the provider had cached."""
    output: float = Field(ge=0.0, allow_inf_nan=False)
    cache_from: int = Field(default=1024, ge=0)
    """Tokens from which a beginning that prompts share is cached."""
    cache_step: int = Field(default=128, ge=1)
    """Only whole steps of so many tokens are."""
    source: str = Field(min_length=1)
    """Address of the page that says so."""
    looked_at: dt.date
    """When somebody looked."""


class PriceTable(Record):
    """Prices of several models in one currency."""

    currency: str = Field(default="USD", min_length=1)
    models: tuple[Price, ...] = Field(min_length=1)

    def of(self, model: str) -> Price:
        """The price of a model.

        Raises:
            ConfigurationError: it is not in the table; names those that are.
        """
        found = next((price for price in self.models if price.model == model), None)
        if found is None:
            known = ", ".join(price.model for price in self.models)
            raise ConfigurationError(
                f"no price for {model!r} in the table; there are {known}: add it with --prices FILE"
            )
        return found


def load_prices(path: Path = BUNDLED) -> PriceTable:
    """Read a table.

    Raises:
        ConfigurationError: the file cannot be read, is no such table, or names a model twice; names the place.
    """
    try:
        table = PriceTable.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise ConfigurationError(f"{path}: not valid TOML") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ConfigurationError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    names = [price.model for price in table.models]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigurationError(f"{path}: {twice} stands there twice")
    return table
