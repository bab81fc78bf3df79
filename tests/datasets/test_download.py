"""The download against a local server: complete, resumed, damaged, interrupted, absent."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from isi_widget.datasets import download
from isi_widget.datasets.download import DownloadError, Manifest, cache_folder, fetch

CONTENT = {
    "table.csv": b"image,question\n",
    "images/one picture.jpg": np.random.default_rng(1).bytes(300_000),
    "images/two.png": np.random.default_rng(2).bytes(70_001),
    "empty": b"",
}


class Server(ThreadingHTTPServer):
    """Serves CONTENT, with faults by file name: each fault is used up by one request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str | None]] = []
        self.faults: dict[str, list[str]] = {}
        self.ranges = True

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/at commit/".replace(" ", "%20")


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.removeprefix("/at%20commit/").replace("%20", " ")
        wanted = self.headers["Range"]
        self.server.requests.append((name, wanted))
        fault = (self.server.faults.get(name) or [""]).pop(0)
        if fault.isdigit() or name not in CONTENT:
            self.send_error(int(fault or 404))
            return
        body = CONTENT[name] if fault != "other" else bytes(len(CONTENT[name]))
        if fault == "longer":
            body += b"x" * 500_000
        start = 0
        if wanted and self.server.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        if fault == "breaks":  # half of what was promised
            self.wfile.write(body[start : (start + len(body)) // 2])
        else:
            self.wfile.write(body[start:])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "PAUSE", 0.0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def manifest(server: Server, **more: tuple[int, str]) -> Manifest:
    files = {name: (len(body), hashlib.sha256(body).hexdigest()) for name, body in CONTENT.items()}
    return Manifest("some-data", "v1", "somewhere", server.base, files | more)


def whole(folder: Path) -> bool:
    return all((folder / name).read_bytes() == body for name, body in CONTENT.items()) and not list(
        folder.rglob("*.part")
    )


def test_everything_arrives_once_and_no_network_is_used_afterwards(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    assert (
        fetch(manifest(server), tmp_path, progress=lambda done, total: seen.append((done, total))) == tmp_path
    )
    assert whole(tmp_path)
    size = sum(map(len, CONTENT.values()))
    assert seen[-1] == (size, size) and [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert len(server.requests) == len(CONTENT)
    server.shutdown()
    server.server_close()
    fetch(manifest(server), tmp_path, progress=lambda done, total: pytest.fail("nothing is left to fetch"))


def test_only_what_is_missing_is_fetched(server: Server, tmp_path: Path) -> None:
    fetch(manifest(server), tmp_path, progress=False)
    (tmp_path / "images" / "two.png").unlink()
    (tmp_path / "table.csv").write_bytes(b"cut")
    server.requests.clear()
    fetch(manifest(server), tmp_path, progress=False)
    assert whole(tmp_path) and {name for name, _ in server.requests} == {"images/two.png", "table.csv"}


def test_an_interrupted_file_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    name = "images/one picture.jpg"
    (tmp_path / "images").mkdir()
    (tmp_path / (name + ".part")).write_bytes(CONTENT[name][:100_000])
    fetch(manifest(server), tmp_path, progress=False)
    assert whole(tmp_path) and (name, "bytes=100000-") in server.requests


def test_a_connection_that_breaks_off_is_taken_up_again(server: Server, tmp_path: Path) -> None:
    name = "images/one picture.jpg"
    server.faults[name] = ["breaks", "503", "breaks"]
    seen: list[int] = []
    fetch(manifest(server), tmp_path, progress=lambda done, total: seen.append(done))
    assert whole(tmp_path) and seen[-1] == sum(map(len, CONTENT.values()))
    asked = [wanted for file, wanted in server.requests if file == name]
    assert asked == [None, "bytes=150000-", "bytes=150000-", "bytes=225000-"]


def test_it_goes_on_at_the_next_call_after_giving_up(server: Server, tmp_path: Path) -> None:
    name = "images/two.png"
    server.faults[name] = ["breaks", "500", "500", "500"]
    with pytest.raises(
        DownloadError, match=r"two.png could not be downloaded: the server answered 500.*kept; try again"
    ):
        fetch(manifest(server), tmp_path, progress=False)
    assert (tmp_path / (name + ".part")).stat().st_size == 35_000
    assert (tmp_path / "table.csv").exists() and not (tmp_path / name).exists()
    fetch(manifest(server), tmp_path, progress=False)
    assert whole(tmp_path) and server.requests[-2] == (name, "bytes=35000-")


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.faults["images/two.png"] = ["breaks"]
    seen: list[int] = []
    fetch(manifest(server), tmp_path, progress=lambda done, total: seen.append(done))
    assert whole(tmp_path) and seen[-1] == sum(map(len, CONTENT.values()))


def test_a_damaged_part_is_thrown_away_and_fetched_afresh(server: Server, tmp_path: Path) -> None:
    part = tmp_path / "images" / "two.png.part"
    part.parent.mkdir()
    for damage in (bytes(1000), bytes(70_001), bytes(99_999)):
        part.write_bytes(damage)
        fetch(manifest(server), tmp_path, progress=False)
        assert whole(tmp_path)
        (tmp_path / "images" / "two.png").unlink()


@pytest.mark.parametrize(
    ("fault", "reason"), [("other", "SHA-256 differs"), ("longer", "sent more than 70001 bytes")]
)
def test_other_content_than_was_pinned_is_never_kept(
    server: Server, tmp_path: Path, fault: str, reason: str
) -> None:
    server.faults["images/two.png"] = [fault] * 9
    with pytest.raises(DownloadError, match=reason):
        fetch(manifest(server), tmp_path, progress=False)
    assert not (tmp_path / "images" / "two.png").exists()
    assert not (tmp_path / "images" / "two.png.part").exists()
    server.faults.clear()
    fetch(manifest(server), tmp_path, progress=False)
    assert whole(tmp_path)


def test_a_file_that_is_not_there_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"the server answered 404 .*Pass the path of a copy"):
        fetch(manifest(server, gone=(5, "0" * 64)), tmp_path, progress=False)
    assert [name for name, _ in server.requests].count("gone") == 1


def test_no_network(server: Server, tmp_path: Path) -> None:
    listed = manifest(server)
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match=r"connection failed.*try again, or pass the path of a copy"):
        fetch(listed, tmp_path, progress=False)


def test_a_folder_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "images").write_text("a file where a folder should be")
    with pytest.raises(DownloadError, match=r"cannot be written.*ISI_WIDGET_CACHE"):
        fetch(manifest(server), tmp_path, progress=False)


def test_the_bar(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fetch(manifest(server), tmp_path, progress=True)
    assert "some-data: 100%" in capsys.readouterr().err


def test_the_cache_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ISI_WIDGET_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"
    monkeypatch.delenv("ISI_WIDGET_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "isi_widget"
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_folder().parts[-3:] == ("Library", "Caches", "isi_widget")
