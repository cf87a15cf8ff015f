"""The prompt file that a search begins with, and the same file with another stable part and an id of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from crisis_filter import assets
from crisis_filter.errors import ConfigurationError
from crisis_filter.experiments.released import released_hash
from crisis_filter.prompting.prompt import Prompt, load_prompt

__all__ = ["SeedFile", "new_id"]

_VERSIONED = re.compile(r"(?P<stem>.+?)-v(?P<number>\d+)(?:-candidate)?")
_NO_EXAMPLES = "taxonomy: any\nexamples: []\n"
_NUMBERS = 1000


def new_id(prompt_id: str, path: Path) -> str:
    """An id for a candidate that is to follow a prompt: the next number that nobody has released, and `-candidate`.

    Args:
        prompt_id: such as `screen/reasoned-v2`, which gives `screen/reasoned-v3-candidate`; an id without a number counts as the first.
        path: of its file.
    """
    found = _VERSIONED.fullmatch(prompt_id)
    stem, number = (found["stem"], int(found["number"])) if found else (prompt_id, 1)
    for following in range(number + 1, number + _NUMBERS):
        free = f"{stem}-v{following}"
        if not any(_released(one, path) for one in (free, f"{free}-candidate")):
            return f"{free}-candidate"
    raise ConfigurationError(f"{path}: no number after that of {prompt_id} is free")


def _released(prompt_id: str, beside: Path) -> bool:
    return released_hash(prompt_id, beside.with_name(f"{prompt_id.rpartition('/')[2]}.md")) is not None


@dataclass(frozen=True, slots=True)
class SeedFile:
    """A prompt file as it lies on the disk, ready to be written again with another stable part."""

    prompt: Prompt
    path: Path
    id: str
    """Of what is written: that of a candidate, never the seed's."""
    head: str
    """Front matter with the new id, its lines included."""
    rest: str
    """Everything after the stable part."""
    examples: str
    """Content of the examples file; that of an empty one where there is none."""

    @classmethod
    def read(cls, name: str) -> SeedFile:
        """Read a prompt by name or path.

        Raises:
            AssetError: it cannot be loaded.
            ConfigurationError: its id does not stand on a line of its own.
        """
        prompt = load_prompt(name)
        path = assets.find("prompts", name, ".md")
        text = assets.read_text(path)
        beside = path.with_suffix(".examples.yaml")
        body = text.split("---\n", 2)[2]
        front = text[: len(text) - len(body)]
        wanted = new_id(prompt.id, path)
        head, count = re.subn(r"(?m)^id:.*$", f"id: {wanted}", front)
        if count != 1 or yaml.safe_load(head.split("---\n")[1]).get("id") != wanted:
            raise ConfigurationError(f"{path}: the front matter needs its id on one line of its own")
        return cls(
            prompt=prompt,
            path=path,
            id=wanted,
            head=head,
            rest=body[len(prompt.system) :],
            examples=assets.read_text(beside) if beside.exists() else _NO_EXAMPLES,
        )

    def text(self, system: str) -> str:
        """The content of a candidate's file."""
        return f"{self.head}{system}{self.rest}"

    def draft(self, system: str) -> Prompt:
        """What `load_prompt` makes of that file."""
        digest = assets.sha256(self.text(system).encode(), self.examples.encode())
        return self.prompt.model_copy(update={"id": self.id, "system": system, "sha256": digest})
