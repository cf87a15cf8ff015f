"""Where prompts, categories, policies and their kind are found, and the hash that identifies them.

In a checkout they lie at the top of the repository; a wheel carries them in `crisis_filter/_assets`.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from crisis_filter.errors import AssetError

_PACKAGE = Path(__file__).parent
_BUNDLED = _PACKAGE / "_assets"
_HEADS = {"categories": "taxonomy.yaml"}


def root() -> Path:
    """Folder that holds `prompts/`, `categories/` and `policies/`."""
    return _BUNDLED if _BUNDLED.is_dir() else _PACKAGE.parent


def find(kind: str, name: str, suffix: str = "") -> Path:
    """Path of a named asset, or of the operator's own when `name` is a path.

    Args:
        kind: `prompts`, `categories` or `policies`.
        name: such as `screen/reasoned-v1`, or the path of a file or folder. A bundled name goes before a path without a dot.
        suffix: file ending to add to a name, such as `.md`; a path is taken as it is.

    Raises:
        AssetError: when there is no such file or folder; names those that exist.
    """
    base = root() / kind
    own = Path(name).expanduser()
    bundled = base / f"{name}{suffix}"
    inside = bundled.resolve().is_relative_to(base.resolve())
    if own.is_absolute() or name.startswith(".") or (suffix and name.endswith(suffix)) or not inside:
        path = own
    else:
        # A released name means the released file, whatever lies in the current folder.
        path = bundled if bundled.exists() or not own.exists() else own
    if not path.exists():
        if path == own:
            raise AssetError(f"{kind}: there is no file or folder {name!r}")
        raise AssetError(f"{kind}: there is no {name!r}. There are: {', '.join(names(kind, suffix))}; or give a path")
    return path


def names(kind: str, suffix: str = "") -> tuple[str, ...]:
    """Names of the bundled assets of a kind, sorted."""
    base = root() / kind
    if not suffix:
        # A folder that holds no file of this name is about assets and none itself, such as `categories/maps`.
        return tuple(sorted({p.parent.name for p in base.glob(f"*/{_HEADS.get(kind, '*')}")}))
    return tuple(
        sorted(str(p.relative_to(base)).removesuffix(suffix) for p in base.rglob(f"*{suffix}") if p.stem != "README")
    )


def read_text(path: Path) -> str:
    """The file as UTF-8 text.

    Raises:
        AssetError: when it cannot be read or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AssetError(f"{path}: cannot be read as UTF-8 text ({type(error).__name__})") from None


def sha256(*parts: bytes) -> str:
    """Hex digest over the parts, each preceded by its length so that no two splits collide."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """Hex digest of one file as any tool prints it.

    Raises:
        AssetError: when the file cannot be read.
    """
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise AssetError(f"{path}: cannot be read ({type(error).__name__})") from None


@lru_cache(maxsize=1)
def package_version() -> str:
    """Version of this package, or `unknown` when it runs from a folder that was never installed."""
    # Looked up once: the look goes through every installed package, and each assessment names the version.
    try:
        return metadata.version("crisis-filter")
    except metadata.PackageNotFoundError:
        return "unknown"
