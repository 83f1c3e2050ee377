"""For Prometheus' StatsD exporter, where it can't be had: StatsD on UDP 9125 → Prometheus' text on port 9102.

It reads the mapping as the exporter does: the first match counts, a star is one part of a name; without a match,
what is no letter or digit becomes an underscore. Timers become sums and counts of seconds.
"""

from __future__ import annotations

import re
import socket
import sys
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

CONFIG = next(part.split("=", 1)[1] for part in sys.argv if part.startswith("--statsd.mapping-config="))
with open(CONFIG) as file:  # noqa: PTH123 - one line of a script
    RULES = [
        (re.compile(re.escape(rule["match"]).replace(r"\*", "([^.]*)")), rule)
        for rule in yaml.safe_load(file)["mappings"]
    ]
VALUES: dict[str, float] = defaultdict(float)
GUARD = threading.Lock()


def fill(text: str, match: re.Match[str]) -> str:
    """Put the parts of a name where the mapping has `$1`, `$2`."""
    return re.sub(r"\$(\d)", lambda number: match[int(number[1])], text)


def named(name: str) -> tuple[str, str] | None:
    """Return a metric's name and labels in Prometheus; None if it is dropped."""
    for pattern, rule in RULES:
        if match := pattern.fullmatch(name):
            if rule.get("action") == "drop":
                return None
            labels = ",".join(f'{label}="{fill(text, match)}"' for label, text in rule.get("labels", {}).items())
            return fill(rule["name"], match), f"{{{labels}}}" if labels else ""
    return re.sub(r"[^a-zA-Z0-9_]", "_", name), ""


def take(line: str) -> None:
    """Take one line of StatsD: `name:value|type`, perhaps with a rate of sampling and tags."""
    found = re.fullmatch(r"(.+):([-+]?[\d.eE-]+)\|(c|g|ms)(?:\|.*)?", line.strip())
    place = named(found[1]) if found else None
    if not found or not place:
        return
    (name, labels), value, kind = place, float(found[2]), found[3]
    with GUARD:
        if kind == "c":
            VALUES[f"{name}{labels}"] += value
        elif kind == "g":
            VALUES[f"{name}{labels}"] = value
        else:
            VALUES[f"{name}_sum{labels}"] += value / 1000
            VALUES[f"{name}_count{labels}"] += 1


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        with GUARD:
            text = "".join(f"{name} {value}\n" for name, value in sorted(VALUES.items()))
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


threading.Thread(target=ThreadingHTTPServer(("0.0.0.0", 9102), Page).serve_forever, daemon=True).start()  # noqa: S104
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("0.0.0.0", 9125))  # noqa: S104 - in a container, whose port is not published
    while True:
        for received in server.recv(65536).decode(errors="replace").splitlines():
            take(received)
