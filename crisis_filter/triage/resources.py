"""The resource pack: where a person can turn to, each with its source and the date somebody checked it."""

from __future__ import annotations

import tomllib
from datetime import date

from pydantic import Field, ValidationError, field_validator

from crisis_filter import assets
from crisis_filter.errors import AssetError
from crisis_filter.schema import UNSPECIFIED, Record, Resource


class ResourcePack(Record):
    """Resources in the order in which they are offered."""

    id: str
    version: int = Field(ge=1)
    resources: tuple[Resource, ...] = ()

    @field_validator("resources")
    @classmethod
    def _entries_are_dated_and_sourced(cls, resources: tuple[Resource, ...]) -> tuple[Resource, ...]:
        for resource in resources:
            if not resource.source.startswith("https://"):
                raise ValueError(f"{resource.id}: source must be an https address")
            if resource.verified_on is not None:
                date.fromisoformat(resource.verified_on)
        if len({r.id for r in resources}) != len(resources):
            raise ValueError("ids repeat")
        return resources


def load_resources(name: str) -> ResourcePack:
    """Load a resource pack by name or path.

    Raises:
        AssetError: when the file is missing or malformed, or an entry lacks its source.
    """
    path = assets.find("policies", name, ".toml")
    try:
        return ResourcePack.model_validate(tomllib.loads(assets.read_text(path)))
    except tomllib.TOMLDecodeError as error:
        raise AssetError(f"{path}: not valid TOML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise AssetError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def matching(pack: ResourcePack, locale: str, categories: frozenset[str]) -> tuple[Resource, ...]:
    """Resources for a locale and any of the categories, in the pack's order.

    Where no kind of crisis is known, every category's entries match. `en-US` matches entries for `en-US`, and entries for the region `US` whatever the language.
    """
    region = region_of(locale)
    any_kind = not categories - {UNSPECIFIED}
    return tuple(
        r
        for r in pack.resources
        if (locale in r.locales or region in r.locales)
        and (not r.categories or any_kind or not categories.isdisjoint(r.categories))
    )


def region_of(locale: str) -> str:
    """The region that a locale names last, as in `en-US`; a tag without one stands for the region of the same letters."""
    return locale.rpartition("-")[2].upper()
