"""Downloads weights, with progress, resuming and checksums. Light until something is downloaded.

From the Hugging Face Hub into a folder of weights; the published sha256 is compared and recorded beside the files.
rembg's models come from its releases, without a folder into rembg's own, their md5 compared. The Hub's library follows
$HF_ENDPOINT, $HF_TOKEN, $HF_HUB_OFFLINE and the like.
"""

import errno
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from meshcli.errors import MeshcliError, MissingError, ResourceError
from meshcli.progress import Progress, silent
from meshcli.system.atomic_files import write_files
from meshcli.weights.catalogue import COMPONENT_FILES, REMBG_URL, SETTINGS_FILES, Model
from meshcli.weights.device import install_hint
from meshcli.weights.locations import cached_digest, data_directory, rembg_folders

if TYPE_CHECKING:
    from tqdm import tqdm

DISK_ERRORS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
)  # errors of the disk, not the network
TIMEOUT = 30.0  # seconds to wait for an answer
PUBLISHED_FILE = ".published.json"  # beside the files: their sha256 and size as the Hub states them


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository on the Hub."""

    name: str
    size: int  # bytes
    sha256: str  # empty for small files, for which the Hub has none


def pull(wanted: Model, folder: Path | None = None, progress: Progress = silent) -> Path:
    """Download a model and return its path; keeps complete files and resumes incomplete ones.

    Without a `folder`, rembg's models go where rembg keeps them. Raises MissingError when the download fails or arrives
    damaged, ResourceError when the disk has no room for it.
    """
    if wanted.md5:
        return _pull_rembg(wanted, folder or rembg_folders(wanted.name)[0], progress)
    base = folder or default_folder()
    target = base / wanted.file if wanted.is_folder else base
    with _download_errors(wanted, base, "cannot be reached"):
        files = choose_files(wanted, list_repository(wanted.repository))
    with _download_errors(wanted, base, "stopped sending; the same command resumes"):
        missing = [file for file in files if not _is_complete(target / file.name, file)]
        _check_room(target, sum(file.size for file in missing))
        for number, file in enumerate(missing, 1):
            what = f"{file.name} ({number} of {len(missing)})" if len(missing) > 1 else file.name
            _fetch_file(wanted, file, target, progress, what)
            _record_digest(target, file)
    return base / wanted.file


def default_folder() -> Path:
    """Folder for downloads: $MESHCLI_CKPTS, else in the user's data directory."""
    named = os.environ.get("MESHCLI_CKPTS")
    return Path(named).expanduser() if named else data_directory() / "ckpts"


def list_repository(repository: str) -> list[RemoteFile]:
    """The files of a repository with sizes and digests, as the Hub states them."""
    from huggingface_hub import HfApi

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # else it logs every retry
    files = HfApi().model_info(repository, files_metadata=True, timeout=TIMEOUT).siblings or []
    return [RemoteFile(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else "") for file in files]


def choose_files(wanted: Model, files: Sequence[RemoteFile]) -> list[RemoteFile]:
    """The files that a model needs; of each component's weights the preferred format that is published."""
    known = {file.name: file for file in files}
    if not wanted.is_folder:
        names = [wanted.file]
    else:
        weights = [[f"{part}/{name}" for name in names] for part, names in COMPONENT_FILES.items()]
        names = [*SETTINGS_FILES, *(next((name for name in kinds if name in known), kinds[0]) for kinds in weights)]
        names += [name for name in known if name.startswith("tokenizer/")]
    if absent := [name for name in names if name not in known]:
        raise MissingError(f"{wanted.repository} no longer publishes {absent[0]}")
    return [known[name] for name in names]


def published_sha256(path: Path) -> str:
    """The sha256 that the Hub stated for a file when it was downloaded; empty when unknown.

    Files in the Hub's own cache are links to files named by their sha256.
    """
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((path.parent / PUBLISHED_FILE).read_text(encoding="utf-8"))[path.name]["sha256"])
    blob = path.resolve()
    return blob.name if blob.parent.name == "blobs" and len(blob.name) == 64 else ""


def _is_complete(path: Path, file: RemoteFile) -> bool:
    """Whether a file exists and is complete, by its digest where the Hub has one, else by its size."""
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    return not file.sha256 or cached_digest(path) == file.sha256


def _check_room(folder: Path, size: int) -> None:
    """Raise ResourceError when the disk has less free space than `size` bytes."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(existing).free
    if size > free:
        raise ResourceError(
            f"{folder} has room for {free / 1e9:.1f} GB, and {size / 1e9:.1f} GB are to be fetched; free some space, "
            "or name another folder with --to"
        )


def _fetch_file(wanted: Model, file: RemoteFile, target: Path, progress: Progress, what: str) -> None:
    """Download one file, resuming a part that an earlier call left; `hf_hub_download` would start over."""
    from filelock import FileLock

    path = target / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".part-{file.sha256[:16] or file.size}-{path.name}")
    lock = part.with_name(f"{part.name}.lock")
    with FileLock(lock):
        if not _is_complete(path, file):
            _download(wanted.repository, file, part, _progress_bar_class(progress, what))
            if not _is_complete(part, file):
                part.unlink(missing_ok=True)
                raise MissingError(f"{file.name} arrived damaged: {wanted.repository} states another sha256; try again")
            part.replace(path)
    lock.unlink(missing_ok=True)


def _download(repository: str, file: RemoteFile, part: Path, bar: "type[tqdm]") -> None:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    address = hf_hub_url(repository, file.name)
    location = get_hf_file_metadata(address).location
    headers = build_hf_headers()
    if urlsplit(location).netloc != urlsplit(address).netloc:  # the token is for the Hub, not for its storage provider
        headers.pop("authorization", None)
    with part.open("ab", buffering=0) as opened:
        while True:
            before = opened.tell()
            try:
                http_get(location, opened, resume_size=before, headers=headers, expected_size=file.size, tqdm_class=bar)
            except Exception as error:  # connection lost: not every version of the library retries
                refused = isinstance(error, HfHubHTTPError) or (
                    isinstance(error, OSError) and error.errno in DISK_ERRORS
                )
                if refused or opened.tell() <= before:
                    raise
            else:
                break
        os.fsync(opened.fileno())


def _record_digest(target: Path, file: RemoteFile) -> None:
    """Record the Hub's sha256 and size beside the file."""
    if file.sha256:
        record = (target / file.name).parent / PUBLISHED_FILE
        known: dict[str, Mapping[str, Any]] = {}
        with suppress(OSError, ValueError):
            known = dict(json.loads(record.read_text(encoding="utf-8")))
        known[Path(file.name).name] = {"sha256": file.sha256, "size": file.size}
        write_files({record: json.dumps(known, indent=1).encode()})


def _progress_bar_class(progress: Progress, what: str) -> "type[tqdm]":
    """Make a tqdm class for the Hub's library that forwards to `progress`."""
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        """Draws nothing; forwards its numbers in megabytes."""

        def __init__(self, *words: Any, **flags: Any) -> None:
            flags["disable"] = True
            super().__init__(*words, **flags)
            self.done = int(flags.get("initial") or 0)
            self.whole = int(flags.get("total") or 0)

        def update(self, n: float | None = 1) -> None:
            self.done += int(n or 0)
            progress(self.done >> 20, max(self.whole, self.done) >> 20, f"fetching {what}, MB")

    return Bar


@contextmanager
def _download_errors(wanted: Model, base: Path, trouble: str) -> Iterator[None]:
    """Turn every download error into a MissingError of one line; errors of the disk pass."""
    try:
        from huggingface_hub import errors
    except ImportError as error:
        raise MissingError(f"fetching needs the extra `models`: {install_hint()}") from error
    by_hand = f"or put {wanted.file} from there into {base}"
    without = "--generator sculpt" if wanted.name.startswith("zero123plus") else "--reconstructor fit"
    try:
        yield
    except MeshcliError:
        raise
    except errors.OfflineModeIsEnabled as error:
        raise MissingError(f"HF_HUB_OFFLINE is set: {wanted.name} is not fetched from {wanted.repository}") from error
    except errors.GatedRepoError as error:
        raise MissingError(f"{wanted.repository} requires a login: set HF_TOKEN, {by_hand}") from error
    except (errors.HfHubHTTPError, ValueError) as error:
        raise MissingError(f"{wanted.repository} refuses the download ({_first_line(error)}); {by_hand}") from error
    except Exception as error:  # of any HTTP library; which one depends on the Hub library's version
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise
        raise MissingError(
            f"{wanted.repository} {trouble} ({_first_line(error)}); try again, {by_hand}; `meshcli run` with {without} "
            "needs no weights"
        ) from error


def _pull_rembg(wanted: Model, folder: Path, progress: Progress) -> Path:
    """Download as rembg itself does, with our progress."""
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    meter = _PoochProgress(progress, f"fetching {wanted.file}, kB")
    address = f"{REMBG_URL}/{wanted.file}"
    by_hand = f"or put {wanted.file} into {folder}"
    try:
        pooch.retrieve(
            address, f"md5:{wanted.md5}", wanted.file, folder,
            downloader=pooch.HTTPDownloader(progressbar=meter, chunk_size=1 << 16, timeout=TIMEOUT),
        )  # fmt: skip
    except requests.HTTPError as error:
        raise MissingError(f"{address} refuses the download ({_first_line(error)}); {by_hand}") from error
    except requests.RequestException as error:
        raise MissingError(f"{address} cannot be reached ({type(error).__name__}); try again, {by_hand}") from error
    except ValueError as error:  # another md5
        raise MissingError(f"{address} is not the file it should be (md5 differs); try again, {by_hand}") from error
    return folder / wanted.file


class _PoochProgress:
    """Progress bar for pooch that forwards to `progress`."""

    def __init__(self, progress: Progress, what: str) -> None:
        self.progress, self.what = progress, what
        self.total = 0
        self.done = 0

    def update(self, size: int) -> None:
        self.done += size
        self.progress(self.done >> 10, max(self.total, self.done) >> 10, self.what)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        pass


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]
