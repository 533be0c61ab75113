"""A stand-in for an S3 server: buckets in memory, addressed by path, signatures not looked at.

It answers what pyarrow asks for: PUT, GET with Range, HEAD, DELETE, uploads in parts and ListObjectsV2 (Amazon S3's API
reference describes all of them).
"""

from __future__ import annotations

import hashlib
import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from typing import Any, BinaryIO
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

_WHEN = "2026-01-01T00:00:00.000Z"


@dataclass
class Bucket:
    """What is kept, and how to reach it.

    Attributes:
        objects: Content by `bucket/key`.
        buckets: Names of the buckets.
        uploads: Parts of unfinished uploads by id.
        asked: Method and path of every request.
        refuses: Methods that are answered with 403.
        throttles: Every so many-th request is answered with 503, or with a broken connection in turns; 0 for none.
        busy: Number of the next requests that are answered with 503.
        port: Of the server on 127.0.0.1.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    buckets: set[str] = field(default_factory=set)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    throttles: int = 0
    busy: int = 0
    port: int = 0

    def uri(self, path: str) -> str:
        """For `runtime.storage.storage_at`."""
        endpoint = quote(f"http://127.0.0.1:{self.port}", safe="")
        options = f"endpoint_override={endpoint}&scheme=http&region=us-east-1&allow_bucket_creation=true"
        return f"s3://KEY:SECRET@{path}?{options}"

    def under(self, path: str) -> dict[str, bytes]:
        """Objects below a path, by the rest of their names."""
        return {
            key.removeprefix(f"{path}/"): content for key, content in self.objects.items() if key.startswith(f"{path}/")
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # header and body in one go: two small packets would wait 40 ms for each other
    disable_nagle_algorithm = True
    bucket: Bucket
    key: str
    query: dict[str, str]
    body: bytes

    def handle_expect_100(self) -> bool:
        """Say at once that the body may come."""
        goes_on = super().handle_expect_100()
        self.wfile.flush()
        return goes_on

    def _read(self) -> None:
        """Take path, query and body of a request in."""
        asked = urlsplit(self.path)
        self.query = {key: values[0] for key, values in parse_qs(asked.query, keep_blank_values=True).items()}
        self.key = unquote(asked.path).removeprefix("/")
        if self.headers.get("Transfer-Encoding") == "chunked":
            self.body = unchunked(self.rfile)
        else:
            self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "aws-chunked" in self.headers.get("Content-Encoding", ""):
            self.body = unchunked(io.BytesIO(self.body))
        self.bucket.asked.append((self.command, self.key))

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _error(self, status: int, code: str) -> None:
        self._answer(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())

    def _handle(self) -> None:
        self._read()
        if self.command in self.bucket.refuses:
            self._error(403, "AccessDenied")
            return
        if self.bucket.busy:
            self.bucket.busy -= 1
            self._error(503, "SlowDown")
            return
        if self.bucket.throttles and len(self.bucket.asked) % self.bucket.throttles == 0:
            self._fail()
            return
        getattr(self, f"_{self.command.lower()}")()

    def _fail(self) -> None:
        if len(self.bucket.asked) % (2 * self.bucket.throttles):
            self._error(503, "SlowDown")
            return
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def do_GET(self) -> None:
        self._handle()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

    def _head(self) -> None:
        if "/" not in self.key:
            self._answer(200 if self.key in self.bucket.buckets else 404)
        elif self.key in self.bucket.objects:
            content = self.bucket.objects[self.key]
            self._answer(
                200, Content_Length=str(len(content)), ETag=_etag(content), Last_Modified=formatdate(0, usegmt=True)
            )
        else:
            self._answer(404)

    def _get(self) -> None:
        if "list-type" in self.query:
            self._list(self.key.rstrip("/"), self.query.get("prefix", ""), self.query.get("delimiter"))
            return
        if self.key not in self.bucket.objects:
            self._error(404, "NoSuchKey")
            return
        content = self.bucket.objects[self.key]
        headers = {"ETag": _etag(content), "Last_Modified": formatdate(0, usegmt=True)}
        wanted = self.headers.get("Range")
        if wanted is None:
            self._answer(200, content, **headers)
            return
        first, last = wanted.removeprefix("bytes=").split("-")
        part = content[int(first) : int(last) + 1 if last else None]
        span = f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"
        self._answer(206, part, Content_Range=span, **headers)

    def _put(self) -> None:
        if "/" not in self.key:
            self.bucket.buckets.add(self.key)
            self._answer(200)
            return
        if self.key.partition("/")[0] not in self.bucket.buckets:
            self._error(404, "NoSuchBucket")
            return
        if "x-amz-copy-source" in self.headers:
            source = unquote(self.headers["x-amz-copy-source"]).removeprefix("/")
            self.bucket.objects[self.key] = self.bucket.objects[source]
            self._answer(200, f"<CopyObjectResult><ETag>{_etag(b'')}</ETag></CopyObjectResult>".encode())
            return
        if "uploadId" in self.query:
            self.bucket.uploads[self.query["uploadId"]][int(self.query["partNumber"])] = self.body
        else:
            self.bucket.objects[self.key] = self.body
        self._answer(200, ETag=_etag(self.body))

    def _post(self) -> None:
        name, _, key = self.key.partition("/")
        if "uploads" in self.query:
            if name not in self.bucket.buckets:
                self._error(404, "NoSuchBucket")
                return
            upload = str(len(self.bucket.asked))
            self.bucket.uploads[upload] = {}
            root, inside = "InitiateMultipartUploadResult", f"<UploadId>{upload}</UploadId>"
        elif self.query["uploadId"] not in self.bucket.uploads:
            self._error(404, "NoSuchUpload")
            return
        else:
            parts = self.bucket.uploads.pop(self.query["uploadId"])
            self.bucket.objects[self.key] = b"".join(parts[number] for number in sorted(parts))
            root, inside = "CompleteMultipartUploadResult", f"<ETag>{_etag(self.bucket.objects[self.key])}</ETag>"
        self._answer(200, f"<{root}><Bucket>{name}</Bucket><Key>{escape(key)}</Key>{inside}</{root}>".encode())

    def _delete(self) -> None:
        if "uploadId" in self.query:
            self.bucket.uploads.pop(self.query["uploadId"], None)
        else:
            self.bucket.objects.pop(self.key, None)
        self._answer(204)

    def _list(self, name: str, prefix: str, delimiter: str | None) -> None:
        keys = [key for key in sorted(self.bucket.under(name)) if key.startswith(prefix)]
        folders = set()
        if delimiter:
            deeper = [key for key in keys if delimiter in key[len(prefix) :]]
            folders = {prefix + key[len(prefix) :].partition(delimiter)[0] + delimiter for key in deeper}
            keys = [key for key in keys if key not in deeper]
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.bucket.objects[f'{name}/{key}'])}</Size>"
            f"<LastModified>{_WHEN}</LastModified></Contents>"
            for key in keys
        )
        common = "".join(
            f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>" for each in sorted(folders)
        )
        head = f"<Name>{name}</Name><IsTruncated>false</IsTruncated><KeyCount>{len(keys) + len(folders)}</KeyCount>"
        self._answer(200, f"<ListBucketResult>{head}{contents}{common}</ListBucketResult>".encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def unchunked(body: BinaryIO | BufferedIOBase) -> bytes:
    """The content of a body in chunks, each after a line with its size in hexadecimal, up to the trailers."""
    content = b""
    while size := int(body.readline().partition(b";")[0], 16):
        content += body.read(size)
        body.readline()
    while body.readline().strip():
        pass
    return content


@contextmanager
def serving() -> Iterator[Bucket]:
    """Serve an empty account on a free port of this machine."""
    bucket = Bucket()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"bucket": bucket}))
    server.daemon_threads = True
    bucket.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield bucket
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
