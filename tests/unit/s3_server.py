"""A small S3 server: it knows what `audited_load.storage` asks for, and can be away, break off and refuse."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from audited_load.storage import Access, Store

KEY, PAGE = "a-key", 3
"""Who is let in, and how many objects a page of a list has."""


@dataclass
class S3Server:
    """What it holds, and how it behaves.

    Attributes:
        port: On this machine.
        objects: By `/bucket/key`: content, and when it was put.
        asked: Each request, as `GET /bucket/key`.
        away: How many requests to come get no proper answer.
        breaks: How many answers to come break off in the middle.
        is_old: Whether it takes no notice of If-None-Match.
    """

    port: int = 0
    objects: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    away: int = 0
    breaks: int = 0
    is_old: bool = False

    def store(self, key: str = KEY, wait_seconds: float = 20) -> Store:
        """Open a store on it."""
        access = Access(f"http://127.0.0.1:{self.port}", "", key, "a secret")
        return Store("s3://bucket/pre/fix", access, wait_seconds)

    def keys(self, under: str = "") -> list[str]:
        """Return the keys below the root."""
        at = f"/bucket/pre/fix/{under}"
        return sorted(name.removeprefix("/bucket/pre/fix/") for name in self.objects if name.startswith(at))

    def age(self, key: str, moment: datetime) -> None:
        """Say that an object was put at another time."""
        self.objects[f"/bucket/pre/fix/{key}"] = self.objects[f"/bucket/pre/fix/{key}"][0], moment


def etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'  # noqa: S324 - as S3 does


@contextmanager
def running_server() -> Iterator[S3Server]:  # noqa: C901 - one handler, a method a verb
    """Run it while the block runs."""
    state = S3Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def begin(self) -> bytes | None:
            """Read the request; None if it was answered already."""
            state.asked.append(f"{self.command} {unquote(urlsplit(self.path).path)}")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if state.away > 0:
                state.away -= 1
                self.answer(503, fault="ServiceUnavailable")
            elif f"Credential={KEY}/" not in self.headers.get("Authorization", ""):
                self.answer(403, fault="InvalidAccessKeyId")
            elif not self.path.startswith("/bucket"):
                self.answer(404, fault="NoSuchBucket")
            else:
                return body
            return None

        def answer(self, status: int, body: bytes = b"", *, fault: str = "", **headers: str) -> None:
            if fault:
                body = f"<Error><Code>{fault}</Code><Message>no</Message></Error>".encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            if "Content_Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                if state.breaks > 0 and status == 206:
                    state.breaks -= 1
                    self.wfile.write(body[: len(body) // 2])
                    self.close_connection = True
                    return
                self.wfile.write(body)

        def named(self) -> str:
            return unquote(urlsplit(self.path).path)

        def do_PUT(self) -> None:
            if (body := self.begin()) is None:
                return
            has_condition = self.headers.get("If-None-Match") == "*" and not state.is_old
            if has_condition and self.named() in state.objects:
                self.answer(412, fault="PreconditionFailed")
                return
            state.objects[self.named()] = body, datetime.now(UTC)
            self.answer(200, ETag=etag(body))

        def do_GET(self) -> None:
            if self.begin() is None:
                return
            if "list-type" in self.path:
                self.list()
                return
            if self.named() not in state.objects:
                self.answer(404, fault="NoSuchKey")
                return
            content, moment = state.objects[self.named()]
            if self.headers.get("If-Match") not in {None, etag(content)}:
                self.answer(412, fault="PreconditionFailed")
                return
            told = {"ETag": etag(content), "Last_Modified": f"{moment:%a, %d %b %Y %H:%M:%S GMT}"}
            if self.command == "HEAD":
                self.answer(200, Content_Length=str(len(content)), **told)
            elif span := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
                self.answer(206, content[int(span[1]) : int(span[2]) + 1], **told)
            else:
                self.answer(200, content, **told)

        do_HEAD = do_GET  # noqa: N815

        def list(self) -> None:
            asked = parse_qs(urlsplit(self.path).query)
            prefix, after = asked.get("prefix", [""])[0], asked.get("continuation-token", [""])[0]
            names = sorted(name.removeprefix("/bucket/") for name in state.objects)
            found = [name for name in names if name.startswith(prefix) and name > after]
            rows = "".join(
                f"<Contents><Key>{escape(name)}</Key><Size>{len(content)}</Size><ETag>{escape(etag(content))}</ETag>"
                f"<LastModified>{moment:%Y-%m-%dT%H:%M:%S.000Z}</LastModified></Contents>"
                for name in found[:PAGE]
                for content, moment in [state.objects[f"/bucket/{name}"]]
            )
            more = f"<NextContinuationToken>{escape(found[:PAGE][-1])}</NextContinuationToken>" if found else ""
            cut = f"<IsTruncated>true</IsTruncated>{more}" if found[PAGE:] else "<IsTruncated>false</IsTruncated>"
            self.answer(200, f"<ListBucketResult>{cut}{rows}</ListBucketResult>".encode())

        def do_POST(self) -> None:
            if (body := self.begin()) is None:
                return
            for key in re.findall(r"<Key>(.*?)</Key>", body.decode()):
                state.objects.pop(f"/bucket/{key}", None)
            self.answer(200, b"<DeleteResult></DeleteResult>")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield state
    server.shutdown()
    server.server_close()
