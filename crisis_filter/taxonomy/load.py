"""From a folder of YAML files to a `Taxonomy`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from crisis_filter import assets
from crisis_filter.errors import AssetError
from crisis_filter.taxonomy.records import Taxonomy

# Ten times as fast, where PyYAML was built with it; both make the same of every file here.
_LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_taxonomy(name: str) -> Taxonomy:
    """Load a taxonomy by name (`clinical-v1`) or by the path of a folder.

    Raises:
        AssetError: when a file is missing, unknown or malformed; names the file and the field.
    """
    folder = assets.find("categories", name)
    head_path = folder / "taxonomy.yaml"
    head = read_mapping(head_path)
    if head.get("id") != folder.resolve().name:
        raise AssetError(f"{head_path}: 'id' must equal the name of the folder, {folder.resolve().name!r}")
    listed = head.get("categories")
    if not isinstance(listed, list) or not all(isinstance(c, str) for c in listed):
        raise AssetError(f"{head_path}: 'categories' must be a list of ids")
    paths = [folder / f"{c}.yaml" for c in listed]
    strangers = set(folder.glob("*.yaml")) - {head_path, *paths}
    if strangers:
        raise AssetError(f"{head_path}: 'categories' does not list {', '.join(sorted(p.stem for p in strangers))}")
    pages = []
    for path in paths:
        page = read_mapping(path)
        if page.get("id") != path.stem:
            raise AssetError(f"{path}: 'id' must equal the file name {path.stem!r}")
        pages.append(page)
    digest = assets.sha256(*(assets.read_text(p).encode() for p in [head_path, *paths]))
    try:
        return Taxonomy.model_validate({**head, "categories": pages, "sha256": digest})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise AssetError(f"{folder}: {where}: {first['msg']}") from None


def read_mapping(path: Path) -> dict[str, Any]:
    """The file as a YAML mapping.

    Raises:
        AssetError: it cannot be read or is none.
    """
    try:
        content = yaml.load(assets.read_text(path), Loader=_LOADER)  # noqa: S506  # a safe loader, either of them
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise AssetError(f"{path}{line}: not valid YAML") from None
    if not isinstance(content, dict):
        raise AssetError(f"{path}: must be a YAML mapping")
    return content
