"""Finds uv, or fetches the release pinned here from the Python package index. Standard library only."""

# ruff: noqa: S603 (the commands are uv and this very Python, their arguments are written here)
from __future__ import annotations

import configparser
import hashlib
import html.parser
import json
import os
import platform
import re
import shutil
import ssl
import stat
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BOOTSTRAP = ROOT / ".bootstrap"

UV_FLOOR = (0, 9, 0)  # older ones cannot read the lock file's revision without a warning
UV_VERSION = "0.13.9"
PYPI = "https://pypi.org/simple"

# (machine, libc): wheel of the pinned release and its digest, as published on pypi.org.
UV_WHEELS = {
    ("x86_64", "glibc"): (
        f"uv-{UV_VERSION}-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
    ),
    ("x86_64", "musl"): (
        f"uv-{UV_VERSION}-py3-none-musllinux_1_1_x86_64.whl",
        "2c45530751517d6c3bbc69a19473f6effe47cce047bede01ffd8af7ea7b36b25",
    ),
    ("aarch64", "glibc"): (
        f"uv-{UV_VERSION}-py3-none-manylinux_2_28_aarch64.whl",
        "ecb6028d79dc96fbeafffe5c8af62a7099487ebc05a701e76714eebcffd06375",
    ),
    ("aarch64", "musl"): (
        f"uv-{UV_VERSION}-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64.whl",
        "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
    ),
    ("x86_64", "macos"): (
        f"uv-{UV_VERSION}-py3-none-macosx_10_12_x86_64.whl",
        "c16ed11e013557536b3e60065f1b912f6407bd6518e041b961e23ef9e6b4fbf5",
    ),
    ("aarch64", "macos"): (
        f"uv-{UV_VERSION}-py3-none-macosx_11_0_arm64.whl",
        "66c512266d633bef48384a1f53003f41f2a8e7b36fe6e7fbfd3e0fd52d96fa63",
    ),
}


class BootstrapError(Exception):
    """What went wrong and what to do, in words for whoever typed `make`."""


def say(text: str) -> None:
    sys.stderr.write(f"bootstrap: {text}\n")
    sys.stderr.flush()


def find_uv() -> Path:
    for candidate in (shutil.which("uv"), BOOTSTRAP / f"uv-{UV_VERSION}" / "uv"):
        if candidate and (version := version_of(Path(candidate))) and version >= UV_FLOOR:
            return Path(candidate)
    return fetch_uv()


def version_of(uv: Path) -> tuple[int, ...] | None:
    try:
        answer = subprocess.run([uv, "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return None  # not there, or a version manager's shim with nothing behind it
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", answer)
    return tuple(map(int, found.groups())) if found else None


def fetch_uv() -> Path:
    wheel_name, digest = wheel_for_this_machine()
    target = BOOTSTRAP / f"uv-{UV_VERSION}" / "uv"
    say(f"fetching uv {UV_VERSION} from the package index")
    with tempfile.TemporaryDirectory(dir=BOOTSTRAP) as scratch:
        wheel = download_through_pip(Path(scratch), digest) or download(Path(scratch), wheel_name)
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if found != digest:
            raise BootstrapError(f"{wheel_name} has SHA-256 {found}, not {digest} as pinned; check your index.")
        target.parent.mkdir(exist_ok=True)
        unpacked = Path(scratch) / "uv"
        with zipfile.ZipFile(wheel) as archive:
            member = next(name for name in archive.namelist() if name.endswith(".data/scripts/uv"))
            unpacked.write_bytes(archive.read(member))
        unpacked.chmod(unpacked.stat().st_mode | stat.S_IXUSR)
        unpacked.replace(target)  # all of it or nothing, should this be interrupted
    if version_of(target) is None:
        raise BootstrapError(f"{target} does not run here; install uv {UV_VERSION} yourself and put it on PATH.")
    return target


def wheel_for_this_machine() -> tuple[str, str]:
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    if sys.platform == "darwin":
        libc = "macos"
    else:
        libc = "glibc" if platform.libc_ver()[0] == "glibc" else "musl"
    if (machine, libc) not in UV_WHEELS:
        raise BootstrapError(f"no pinned uv for {machine}/{libc}; install uv {UV_VERSION} yourself and put it on PATH.")
    return UV_WHEELS[machine, libc]


def download_through_pip(folder: Path, digest: str) -> Path | None:
    """The wheel as pip fetches it (it knows this machine's proxies and credentials); None where there is no pip."""
    requirement = folder / "uv.txt"
    requirement.write_text(f"uv=={UV_VERSION} --hash=sha256:{digest}\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download", "--no-deps"]
    command = [*pip, "--only-binary", ":all:", "--require-hashes", "--dest", str(folder), "-r", str(requirement)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        return None
    return next(folder.glob("uv-*.whl"), None)


# The package index, without pip


def configured(*names: str, pip_option: str) -> str | None:
    """A setting from the environment, else from pip's configuration files (the user's before the machine's)."""
    for name in names:
        if os.environ.get(name):
            return os.environ[name]
    home = Path(os.environ.get("HOME") or "/nonexistent")
    files = [home / ".config/pip/pip.conf", home / ".pip/pip.conf", Path("/etc/pip.conf")]
    if os.environ.get("PIP_CONFIG_FILE"):
        files.insert(0, Path(os.environ["PIP_CONFIG_FILE"]))
    for file in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(file)
        except configparser.Error:
            continue
        for section in ("install", "download", "global"):
            if parser.has_option(section, pip_option):
                return parser.get(section, pip_option)
    return None


def index_url() -> str:
    found = configured("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL", pip_option="index-url")
    return (found or PYPI).rstrip("/")


def certificates() -> str | None:
    """A file of CA certificates named by SSL_CERT_FILE, PIP_CERT or pip's `cert`."""
    named = configured("SSL_CERT_FILE", "PIP_CERT", pip_option="cert")
    return named if named and Path(named).exists() else None


def has_certificates() -> bool:
    """Whether this machine has CA certificates at all; a bare Debian has none."""
    paths = ssl.get_default_verify_paths()
    file, folder = paths.openssl_cafile, paths.openssl_capath
    return bool(certificates()) or Path(file).exists() or (Path(folder).is_dir() and any(Path(folder).iterdir()))


def tls() -> ssl.SSLContext:
    if not os.environ.get("SSL_CERT_FILE"):
        os.environ.pop("SSL_CERT_FILE", None)  # set to nothing, it would hide the system's store
    context = ssl.create_default_context(cafile=certificates())
    if not has_certificates():
        # The digest pinned above decides what is used, so a forged answer gains nothing. Only an index address
        # that carries a password must not go out like this.
        if "@" in urllib.parse.urlsplit(index_url()).netloc:
            raise BootstrapError("this machine has no CA certificates (Debian: apt install ca-certificates).")
        say("this machine has no CA certificates; the download is checked by its pinned SHA-256 alone")
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def download(folder: Path, wheel_name: str) -> Path:
    page_url = f"{index_url()}/uv/"
    context = tls()
    accept = "application/vnd.pypi.simple.v1+json, text/html;q=0.2"
    try:
        body, url = fetch(page_url, context, accept)
        links = links_of(body)
        if wheel_name not in links:
            raise BootstrapError(
                f"{page_url} does not offer {wheel_name}; install uv {UV_VERSION} yourself and put it on PATH."
            )
        content, _ = fetch(urllib.parse.urljoin(url, links[wheel_name]), context, "*/*")
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise BootstrapError(
            f"cannot fetch uv from {page_url}: {error}. Is there a network? Another index is named with "
            f"UV_INDEX_URL or PIP_INDEX_URL, its CA with SSL_CERT_FILE."
        ) from error
    wheel = folder / wheel_name
    wheel.write_bytes(content)
    return wheel


def fetch(url: str, context: ssl.SSLContext, accept: str) -> tuple[bytes, str]:
    """The body and the address it came from in the end."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in {"https", "http", "file"}:
        raise BootstrapError(f"{url} is no address of a package index (https://…).")
    headers = {"Accept": accept, "User-Agent": "pilotmesh-bootstrap"}
    if "@" in parts.netloc:
        credentials, host = parts.netloc.rsplit("@", 1)
        user, _, password = credentials.partition(":")
        passwords = urllib.request.HTTPPasswordMgrWithPriorAuth()
        url = urllib.parse.urlunsplit(parts._replace(netloc=host))
        unquote = urllib.parse.unquote
        passwords.add_password(None, url, unquote(user), unquote(password), is_authenticated=True)
        handlers = [urllib.request.HTTPBasicAuthHandler(passwords)]
    else:
        handlers = []
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), *handlers)
    with opener.open(urllib.request.Request(url, headers=headers), timeout=120) as answer:  # noqa: S310 (scheme checked above)
        return answer.read(), answer.url


def links_of(page: bytes) -> dict[str, str]:
    """File name to address, from an index page in either of its two forms (PEP 503, PEP 691)."""
    if page.lstrip().startswith(b"{"):
        return {file["filename"]: file["url"] for file in json.loads(page)["files"]}
    links: dict[str, str] = {}

    class Anchors(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            href = dict(attrs).get("href") if tag == "a" else None
            if href:
                links[urllib.parse.unquote(urllib.parse.urlsplit(href).path.rsplit("/", 1)[-1])] = href

    Anchors().feed(page.decode())
    return links
