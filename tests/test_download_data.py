"""download_data.sh against a real server on this machine, with curl and with wget."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.helpers.commands import ROOT, environment

CONTENT = bytes(range(256)) * 2000
MD5 = hashlib.md5(CONTENT).hexdigest()
# The programs that the script calls, without curl and wget.
TOOLS = (
    "bash",
    "cat",
    "cut",
    "env",
    "flock",
    "md5sum",
    "mkdir",
    "mv",
    "openssl",
    "rm",
    "rmdir",
    "sleep",
    "tr",
    "wc",
)


@dataclass
class Server:
    """The behaviour of a server: which file it sends, where it breaks off, whether it can resume."""

    url: str = ""
    content: bytes = CONTENT
    resumes: bool = True
    breaks_off: list[int] = field(default_factory=list)  # bytes sent by each coming answer before it ends
    status: int = 200
    requests: list[str | None] = field(default_factory=list)  # the Range header of each


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            range_header = self.headers.get("Range")
            server.requests.append(range_header)
            first = (
                int(range_header.removeprefix("bytes=").split("-")[0])
                if range_header and server.resumes
                else 0
            )
            if server.status != 200:
                self.send_error(server.status)
            elif first >= len(server.content):
                self.send_error(416)
            else:
                self._send(first)

        def _send(self, first: int) -> None:
            self.send_response(206 if first else 200)
            self.send_header("Content-Length", str(len(server.content) - first))
            if first:
                total = len(server.content)
                self.send_header("Content-Range", f"bytes {first}-{total - 1}/{total}")
            self.end_headers()
            until = server.breaks_off.pop(0) if server.breaks_off else len(server.content)
            self.wfile.write(server.content[first : first + until])

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    state.url = f"http://127.0.0.1:{http.server_port}/pictures.tgz?from=here"
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield state
    http.shutdown()
    http.server_close()


@pytest.fixture(params=["curl", "wget"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A PATH with one of the two programs, and without the other."""
    if not shutil.which(request.param):
        pytest.skip(f"{request.param} is not installed")
    return _path_with(tmp_path / "bin", [*TOOLS, request.param])


def _path_with(folder: Path, programs: list[str]) -> str:
    folder.mkdir()
    for program in programs:
        if found := shutil.which(program):
            (folder / program).symlink_to(found)
    return str(folder)


def command(path: str, *arguments: object) -> tuple[list[str], dict[str, str]]:
    """The command line, and its environment: no other program, no proxy, no pause."""
    bare = environment(
        {"PATH": path, "DOWNLOAD_PAUSE": "0.2", "http_proxy": None, "HTTP_PROXY": None, "ALL_PROXY": None}
    )
    return [shutil.which("bash"), str(ROOT / "download_data.sh"), *map(str, arguments)], bare


def download(path: str, *arguments: object) -> subprocess.CompletedProcess:
    line, bare = command(path, *arguments)
    return subprocess.run(line, capture_output=True, text=True, timeout=120, env=bare)


def fetch(path: str, server: Server, folder: Path, md5: str = MD5) -> subprocess.CompletedProcess:
    return download(path, "--url", server.url, "--md5", md5, folder)


def assert_complete(done: subprocess.CompletedProcess, folder: Path) -> None:
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{folder}/pictures.tgz\n"
    assert (folder / "pictures.tgz").read_bytes() == CONTENT
    assert os.listdir(folder) == ["pictures.tgz"]


def assert_failed(done: subprocess.CompletedProcess, *words: str, status: int = 1) -> None:
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("download_data: error: ")
    assert all(word in last for word in words), last


def test_a_new_folder_gets_the_file(path: str, server: Server, tmp_path: Path) -> None:
    assert_complete(fetch(path, server, tmp_path / "made here/and here"), tmp_path / "made here/and here")


def test_a_good_file_is_left_alone(path: str, server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "pictures.tgz").write_bytes(CONTENT)
    os.utime(folder / "pictures.tgz", (1, 1))
    assert_complete(fetch(path, server, folder), folder)
    assert server.requests == []
    assert (folder / "pictures.tgz").stat().st_mtime == 1


@pytest.mark.parametrize(
    "bad",
    [b"", b"an error page", CONTENT[:-1], CONTENT + b"more"],
    ids=["empty", "an error page", "cut short", "longer"],
)
def test_a_bad_file_is_replaced(path: str, server: Server, tmp_path: Path, bad: bytes) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "pictures.tgz").write_bytes(bad)
    assert_complete(fetch(path, server, folder), folder)


def test_a_download_that_breaks_off_is_resumed(path: str, server: Server, tmp_path: Path) -> None:
    server.breaks_off = [len(CONTENT) // 2]
    assert_complete(fetch(path, server, tmp_path / "data"), tmp_path / "data")
    assert server.requests == [None, f"bytes={len(CONTENT) // 2}-"]


def test_the_part_of_an_earlier_run_is_resumed(path: str, server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "pictures.tgz.part").write_bytes(CONTENT[:1000])
    assert_complete(fetch(path, server, folder), folder)
    assert server.requests == ["bytes=1000-"]


@pytest.mark.parametrize(
    "part", [b"other", b"x" * len(CONTENT), b"x" * (len(CONTENT) + 5)], ids=["short", "as long", "longer"]
)
def test_the_part_of_another_file_is_dropped(path: str, server: Server, tmp_path: Path, part: bytes) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "pictures.tgz.part").write_bytes(part)
    assert_complete(fetch(path, server, folder), folder)


def test_a_complete_part_needs_no_server(path: str, server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "pictures.tgz.part").write_bytes(CONTENT)
    assert_complete(fetch(path, server, folder), folder)
    assert server.requests == []


def test_a_server_that_cannot_resume(path: str, server: Server, tmp_path: Path) -> None:
    server.resumes = False
    server.breaks_off = [len(CONTENT) // 2]
    assert_complete(fetch(path, server, tmp_path / "data"), tmp_path / "data")


def test_a_corrupt_file_is_refused_and_removed(path: str, server: Server, tmp_path: Path) -> None:
    server.content = b"x" + CONTENT[1:]
    found = hashlib.md5(server.content).hexdigest()
    assert_failed(fetch(path, server, tmp_path / "data"), MD5, found)
    assert os.listdir(tmp_path / "data") == []


def test_a_corrupt_download_harms_no_older_file(path: str, server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "pictures.tgz").write_bytes(b"another edition")
    server.content = b"corrupt"
    assert_failed(fetch(path, server, folder))
    assert (folder / "pictures.tgz").read_bytes() == b"another edition"


def test_no_such_file_on_the_server(path: str, server: Server, tmp_path: Path) -> None:
    server.status = 404
    done = fetch(path, server, tmp_path / "data")
    assert_failed(done, server.url, "the server answered")
    assert len(done.stderr.splitlines()) == 1
    assert os.listdir(tmp_path / "data") == []
    assert len(server.requests) == 1


def test_an_error_keeps_what_was_fetched(path: str, server: Server, tmp_path: Path) -> None:
    """When the server no longer answers, the part stays for a later run."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "pictures.tgz.part").write_bytes(CONTENT[:1000])
    server.breaks_off = [0] * 10
    assert_failed(fetch(path, server, folder), "run the same command again")
    assert (folder / "pictures.tgz.part").read_bytes() == CONTENT[:1000]


def test_two_at_once(path: str, server: Server, tmp_path: Path) -> None:
    server.breaks_off = [len(CONTENT) // 2]  # the first pauses there, and the second begins
    line, bare = command(path, "--url", server.url, "--md5", MD5, tmp_path / "data")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(line, env=bare, **pipes) for _ in range(2)]
    ends = [(process, *process.communicate(timeout=120)) for process in both]
    for process, output, messages in ends:
        done = subprocess.CompletedProcess(line, process.returncode, output, messages)
        assert_complete(done, tmp_path / "data")
    assert server.requests == [None, f"bytes={len(CONTENT) // 2}-"]


def test_unverified_when_asked_for(path: str, server: Server, tmp_path: Path) -> None:
    assert_complete(fetch(path, server, tmp_path / "data", md5="none"), tmp_path / "data")


def test_neither_curl_nor_wget(server: Server, tmp_path: Path) -> None:
    bare = _path_with(tmp_path / "bin", TOOLS)
    assert_failed(fetch(bare, server, tmp_path / "data"), "curl or wget is needed")


@pytest.mark.parametrize("hidden", ["md5sum", "flock"])
def test_without_the_tools_of_linux(server: Server, tmp_path: Path, hidden: str) -> None:
    rest = [tool for tool in [*TOOLS, "curl"] if tool != hidden]
    bare = _path_with(tmp_path / "bin", rest)
    assert_complete(fetch(bare, server, tmp_path / "data"), tmp_path / "data")


def test_a_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    done = fetch(os.environ["PATH"], server, tmp_path / "data")
    assert_failed(done, str(tmp_path / "data"))
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--dataset", "18", "data"],
        ["--dataset"],
        ["--url", "http://127.0.0.1/x.tgz", "data"],
        ["--url", "http://127.0.0.1/x.tgz", "--md5", "not-one", "data"],
        ["--url", "http://127.0.0.1/", "--md5", MD5, "data"],
        ["--resume", "data"],
        ["data", "data2"],
        ["--labels", "--dataset", "17", "data"],
        ["--labels", "--url", "http://127.0.0.1/x.tgz", "--md5", MD5, "data"],
    ],
)
def test_wrong_arguments(tmp_path: Path, arguments: list[str]) -> None:
    line, bare = command(os.environ["PATH"], *arguments)
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, env=bare, cwd=tmp_path)
    assert_failed(done, status=2)
    assert len(done.stderr.splitlines()) == 1
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("dataset", ["17", "102"])
def test_the_addresses_of_the_data_sets(tmp_path: Path, dataset: str) -> None:
    """A curl that only notes its arguments: the tests must not fetch the real files."""
    folder = Path(_path_with(tmp_path / "bin", TOOLS))
    curl = folder / "curl"
    curl.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "${@: -1}" >> asked; exit 3\n')
    curl.chmod(0o755)
    line, bare = command(str(folder), "--dataset", dataset, "data")
    subprocess.run(line, capture_output=True, timeout=120, env=bare, cwd=tmp_path)
    asked = (tmp_path / "asked").read_text().split()
    assert asked == [f"https://www.robots.ox.ac.uk/~vgg/data/flowers/{dataset}/{dataset}flowers.tgz"]


# ----- the labels of the 102 flowers -----

SITE = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102"
# The checksums that torchvision's Flowers102 has for these files.
SUMS = {
    "102flowers.tgz": "52808999861908f626f3c1f4e79d11fa",
    "imagelabels.mat": "e0620be6f572b9609742df49c70aed4d",
    "setid.mat": "a5357ecc9cb78c4bef273ce3793fc85c",
}


@pytest.fixture
def stand_ins(tmp_path: Path) -> str:
    """A PATH with a curl that writes the file's name into the file, and an md5sum that knows such files.

    The tests must not fetch the real files.
    """
    folder = Path(_path_with(tmp_path / "bin", [tool for tool in TOOLS if tool != "md5sum"]))
    sums = "".join(f"{name}) echo '{checksum}  -' ;;\n" for name, checksum in SUMS.items())
    programs = {
        "curl": "url=${@: -1}\nwhile [[ $1 != --output ]]; do shift; done\n"
        'echo "$url" >> asked\nprintf %s "${url##*/}" > "$2"\n',
        "md5sum": f"content=$(cat)\ncase $content in {sums}*) echo '{MD5}  -' ;; esac\n",
    }
    for name, text in programs.items():
        (folder / name).write_text(f"#!/usr/bin/env bash\n{text}")
        (folder / name).chmod(0o755)
    return str(folder)


def download_labels(path: str, folder: Path) -> subprocess.CompletedProcess:
    line, bare = command(path, "--labels", "data")
    return subprocess.run(line, capture_output=True, text=True, timeout=120, env=bare, cwd=folder)


def test_labels_come_with_the_archive(stand_ins: str, tmp_path: Path) -> None:
    done = download_labels(stand_ins, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [f"data/{name}" for name in SUMS]
    assert (tmp_path / "asked").read_text().split() == [f"{SITE}/{name}" for name in SUMS]
    assert sorted(os.listdir(tmp_path / "data")) == sorted(SUMS)


def test_only_the_labels_that_are_missing_are_fetched(stand_ins: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("102flowers.tgz", "setid.mat"):
        (tmp_path / "data" / name).write_text(name)
    done = download_labels(stand_ins, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [f"data/{name}" for name in SUMS]
    assert (tmp_path / "asked").read_text().split() == [f"{SITE}/imagelabels.mat"]


def test_wrong_labels_are_refused(stand_ins: str, tmp_path: Path) -> None:
    md5sum = Path(stand_ins) / "md5sum"
    md5sum.write_text(md5sum.read_text().replace(SUMS["imagelabels.mat"], MD5))
    done = download_labels(stand_ins, tmp_path)
    assert done.returncode == 1
    assert done.stdout == "data/102flowers.tgz\n"
    assert f"imagelabels.mat sends has the MD5 {MD5}, not {SUMS['imagelabels.mat']}" in done.stderr
    assert os.listdir(tmp_path / "data") == ["102flowers.tgz"]


def test_labels_without_flock(stand_ins: str, tmp_path: Path) -> None:
    (Path(stand_ins) / "flock").unlink()
    done = download_labels(stand_ins, tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(tmp_path / "data")) == sorted(SUMS)
