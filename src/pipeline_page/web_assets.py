"""The page's script, style and icon → responses. Nothing comes from another machine."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from importlib.resources import files

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
# In a process of its own, which ends: the bundler takes some 150 MB that the server would keep.
_BUNDLE = "import sys, vl_convert; sys.stdout.write(vl_convert.javascript_bundle())"


def serve(name: str) -> Response:
    """Return one of `ASSETS`; the page asks for it by `VERSION`, so a browser keeps it."""
    if name == "vega.js":
        packed = {"Content-Encoding": "gzip"}
        return Response(_bundle(), media_type=ASSETS[name], headers=HEADERS | _CACHED | packed)
    return Response(read_asset(name), media_type=ASSETS[name], headers=HEADERS | _CACHED)


def read_asset(name: str) -> str:
    """Read a file that is served as it is."""
    return (files("pipeline_page") / "static" / name).read_text(encoding="utf-8")


@cache
def _bundle() -> bytes:
    """Return Vega-Lite's script out of the package that holds it, packed."""
    done = subprocess.run([sys.executable, "-c", _BUNDLE], capture_output=True, check=True, timeout=60)
    return gzip.compress(done.stdout)


def _find_version() -> str:
    own = "".join(read_asset(name) for name in ASSETS if name != "vega.js")
    return hashlib.sha256((own + version("vl-convert-python")).encode()).hexdigest()[:12]


VERSION = _find_version()
