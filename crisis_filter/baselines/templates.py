"""The prompts of other people's systems in `prompts/baselines/`, filled in and nothing more; the README there says which are to the letter."""

from __future__ import annotations

import re

from crisis_filter import assets
from crisis_filter.errors import AssetError
from crisis_filter.schema import PromptRef, Record

__all__ = ["Template", "load_template"]


class Template(Record):
    """A text with places for fields."""

    id: str
    text: str
    sha256: str

    @property
    def ref(self) -> PromptRef:
        """Identity for provenance."""
        return PromptRef(id=self.id, sha256=self.sha256)

    def filled(self, **fields: str) -> str:
        """The text with each `{name}` of these fields replaced, in one pass: what a field holds is never looked at again.

        Raises:
            AssetError: the text has no place for one of the fields.
        """
        if missing := [name for name in fields if f"{{{name}}}" not in self.text]:
            raise AssetError(f"prompts/{self.id}: has no place for {', '.join(missing)}")
        places = re.compile("|".join(rf"\{{{re.escape(name)}\}}" for name in fields))
        return places.sub(lambda place: fields[place[0][1:-1]], self.text)


def load_template(name: str) -> Template:
    """Load `prompts/baselines/NAME.txt`; the line break at its end is the file's.

    Raises:
        AssetError: there is none.
    """
    text = assets.read_text(assets.find("prompts/baselines", name, ".txt"))
    return Template(id=f"baselines/{name}", text=text.removesuffix("\n"), sha256=assets.sha256(text.encode()))
