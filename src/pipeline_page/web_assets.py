"""The page's script, style and icon → responses. Nothing comes from another machine.

`python -m pipeline_page.web_assets` makes the charts' script, as `make setup` and the image do.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import subprocess
import sys
import tempfile
import threading
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from fastapi import Response

# No script but our own files, nothing from elsewhere. Vega writes style attributes, hence that exception.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
ASSETS = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "vega.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_CACHED = {"Cache-Control": "private, max-age=31536000, immutable"}
SCRIPTS = Path(sys.prefix) / "share" / "customer-pipeline"
"""Where the charts' script lies: in the virtual environment, beside the package that it comes out of."""
# In a process of its own, which ends: the bundler takes some 150 MB that the server would keep.
_BUNDLE = "import sys, vl_convert; sys.stdout.write(vl_convert.javascript_bundle())"
_ONE_AT_A_TIME = threading.Lock()


def serve(name: str) -> Response:
    """Return one of `ASSETS`; the page asks for it by `VERSION`, so a browser keeps it."""
    if name == "vega.js":
        packed = {"Content-Encoding": "gzip"}
        return Response(_script(), media_type=ASSETS[name], headers=HEADERS | _CACHED | packed)
    return Response(read_asset(name), media_type=ASSETS[name], headers=HEADERS | _CACHED)


def read_asset(name: str) -> str:
    """Read a file that is served as it is."""
    return (files("pipeline_page") / "static" / name).read_text(encoding="utf-8")


def prepare_script(folder: Path = SCRIPTS) -> bytes:
    """Return the charts' script, packed; make its file if it isn't there.

    Whoever comes while it is being made waits. Where the file can't be written, the script is made all the same.

    Args:
        folder: Where the file lies.
    """
    file = folder / f"vega-{version('vl-convert-python')}.js.gz"
    if file.exists():
        return file.read_bytes()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not file.exists():
                _write_whole(file, _bundle())
        return file.read_bytes()
    except OSError:
        return _bundle()


def _write_whole(file: Path, content: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as part:
        part.write(content)
    # Whoever runs the services may be somebody else than who set them up.
    Path(part.name).chmod(0o644)
    Path(part.name).replace(file)


def _script() -> bytes:
    # `cache` alone would let two first requests make it side by side.
    with _ONE_AT_A_TIME:
        return _kept_script()


@cache
def _kept_script() -> bytes:
    return prepare_script()


def _bundle() -> bytes:
    """Return Vega-Lite's script out of the package that holds it, packed."""
    done = subprocess.run([sys.executable, "-c", _BUNDLE], capture_output=True, check=True, timeout=60)
    return gzip.compress(done.stdout)


def _find_version() -> str:
    own = "".join(read_asset(name) for name in ASSETS if name != "vega.js")
    return hashlib.sha256((own + version("vl-convert-python")).encode()).hexdigest()[:12]


VERSION = _find_version()

if __name__ == "__main__":
    prepare_script()
