"""MNIST as tensors, and its binarisation."""

import errno
import gzip
import hashlib
import os
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

DATA_DIR = Path(__file__).resolve().parents[1] / "data"

# SHA-256 of the unpacked files. The .gz files of different mirrors differ in their headers, these
# do not.
CHECKSUMS = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
TEST_SIZE = 10_000
TEST_SEED = 11  # of the one fixed binarisation of the test set on which every notebook reports nats


class MNIST(NamedTuple):
    """The data set as tensors: images uint8 [60000, 784] and [10000, 784], labels int64 [60000] and
    [10000]."""

    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor


class DataError(RuntimeError):
    """The MNIST files are missing, damaged, or cannot be unpacked. The message names the file and
    the fix."""


def load_mnist(root: str | Path | None = None) -> MNIST:
    """Return MNIST (LeCun, Cortes and Burges) as four tensors.

    `root` is the folder that holds ``MNIST/raw``; without it, the environment variable
    ``LECTURE_DATA``, else the repository's ``data/``. The first call unpacks the files there, or in
    the user's cache if `root` is read-only. Every call verifies the SHA-256 of the unpacked files.
    Files that are missing altogether are downloaded. Raises DataError if a file is damaged, or can
    be neither found, unpacked nor downloaded.
    """
    named = root or os.environ.get("LECTURE_DATA")
    if named and not Path(named).is_dir():
        raise DataError(
            f"There is no folder {named}. Let root, or the environment variable LECTURE_DATA, name "
            "the folder that holds MNIST/raw, or leave it out."
        )
    # An installed package has no data/ beside it: its data are downloaded into the user's cache.
    default = DATA_DIR if DATA_DIR.is_dir() else user_cache()
    raw = _unpacked_root(Path(named or default)) / "MNIST" / "raw"
    return MNIST(
        _bytes(raw / "train-images-idx3-ubyte", header=16).view(-1, 784),
        _bytes(raw / "train-labels-idx1-ubyte", header=8).long(),
        _bytes(raw / "t10k-images-idx3-ubyte", header=16).view(-1, 784),
        _bytes(raw / "t10k-labels-idx1-ubyte", header=8).long(),
    )


def _bytes(file: Path, header: int) -> torch.Tensor:
    """Return what follows the header of an IDX file, uint8 [N]; the file is known by its SHA-256.

    torchvision reads these files too, but takes seconds and 150 MB to import.
    """
    return torch.from_numpy(np.fromfile(file, dtype=np.uint8, offset=header))


def binarize(images: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """Draw binary pixels, float32 {0, 1} of the same shape, each 1 with probability intensity.

    `images` is uint8 (intensity = value / 255) or float in [0, 1]. Slide "Tutorial 7: images with
    binary pixels". Raises ValueError for what is no tensor.
    """
    _require_images(images)
    if images.dtype == torch.uint8:
        # A uniform integer r in 0..254 is below v with probability v / 255, exactly.
        threshold = torch.empty_like(images).random_(0, 255, generator=generator)
    else:
        threshold = torch.rand(images.shape, generator=generator, device=images.device)
    return (threshold < images).float()


def to_grey(images: torch.Tensor) -> torch.Tensor:
    """Return the intensities as float32 in [0, 1], same shape, from uint8 0..255 (floats pass
    unchanged). Raises ValueError for what is no tensor."""
    _require_images(images)
    return images / 255 if images.dtype == torch.uint8 else images


def _require_images(images):
    if not isinstance(images, torch.Tensor):
        raise ValueError(
            f"images are a {type(images).__name__}, expected a tensor: use "
            "torch.from_numpy(images)."
        )


def binary_test_set(mnist: MNIST) -> torch.Tensor:
    """Return the one binarisation of the test images, float32 {0, 1} [10000, 784], that every
    notebook uses."""
    return binarize(mnist.test_images, torch.Generator().manual_seed(TEST_SEED))


def test_subset(n: int, seed: int = 0) -> torch.Tensor:
    """Return n different rows of the 10,000 test images at random, fixed by `seed`: int64 [n].

    The first n test images are no sample: the first half was written more neatly than the second
    (see data/README.md). Raises ValueError unless 1 <= n <= 10,000.
    """
    if not 1 <= n <= TEST_SIZE:
        raise ValueError(
            f"There are {TEST_SIZE} test images, so n must lie in 1..{TEST_SIZE}: {n}."
        )
    return torch.randperm(TEST_SIZE, generator=torch.Generator().manual_seed(seed))[:n]


def user_cache() -> Path:
    """Return the folder for files that can be made again, used where the checkout is read-only."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lecture_utils"
    except RuntimeError:  # a container's user may have no home
        return Path(tempfile.gettempdir()) / "lecture_utils"


def _unpacked_root(root: Path) -> Path:
    """Return a root whose ``MNIST/raw`` holds all four verified, unpacked files; make one if need
    be."""
    archives = root / "MNIST" / "raw"
    for target in (root, user_cache()):
        raw = target / "MNIST" / "raw"
        try:
            raw.mkdir(parents=True, exist_ok=True)
            _complete(raw, archives)
            return target
        except (FileExistsError, NotADirectoryError) as error:
            raise DataError(
                f"{raw} is not a folder ({error}). Let LECTURE_DATA name the folder that holds "
                "MNIST/raw, "
                "or unset it."
            ) from error
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise DataError(
                    f"Unpacking MNIST into {raw} failed: {error}. Free some disk space (130 MB "
                    "are needed "
                    "for a moment), or set LECTURE_DATA to a folder on another disk."
                ) from error
            refused = error  # a read-only checkout: try the user's cache
    raise DataError(
        f"MNIST cannot be unpacked: neither {archives} nor {raw} is writable. Make one of them "
        "writable, "
        "or set LECTURE_DATA to a writable folder that holds MNIST/raw/*.gz."
    ) from refused


def _complete(raw: Path, archives: Path) -> None:
    """Put the unpacked files that `raw` lacks there, each in one atomic step: two processes may do
    this at once."""
    missing = [name for name in CHECKSUMS if not _is_intact(raw / name)]
    if not missing:
        return
    with tempfile.TemporaryDirectory(dir=raw) as scratch:
        unpacked = _unpack(missing, archives, Path(scratch)) or _download(archives, Path(scratch))
        for name in missing:
            try:
                os.replace(unpacked / name, raw / name)
            except (
                PermissionError
            ):  # Windows refuses while another process reads the file it has just put there
                if not _is_intact(raw / name):
                    raise


def _unpack(names: list[str], archives: Path, scratch: Path) -> Path | None:
    """Unpack the archives into `scratch` and verify them; None if one is not there."""
    if not all((archives / f"{name}.gz").exists() for name in names):
        return None
    for name in names:
        archive = archives / f"{name}.gz"
        try:
            with gzip.open(archive) as packed, open(scratch / name, "wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise _damaged(archive) from error
        if not _is_intact(scratch / name):
            raise _damaged(archive)
    return scratch


def _download(archives: Path, scratch: Path) -> Path:
    """Download and unpack all four files into `scratch`, with torchvision's progress bar."""
    from torchvision import datasets  # here alone: see `_bytes`

    try:
        datasets.MNIST(scratch, train=True, download=True)
    except (RuntimeError, OSError) as error:
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise
        reason = " ".join(str(error).split())
        raise DataError(
            f"MNIST is not complete in {archives} and could not be downloaded. Restore the four "
            "files with 'git checkout -- data', copy them there from another computer, or let "
            f"LECTURE_DATA name another folder that holds MNIST/raw. (The download: {reason})"
        ) from error
    return scratch / "MNIST" / "raw"


def _is_intact(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == CHECKSUMS[path.name]
    except FileNotFoundError:
        return False


def _damaged(archive: Path) -> DataError:
    return DataError(
        f"{archive} is damaged: what it unpacks to has the wrong SHA-256. Restore it with "
        "'git checkout -- data', or delete it: the next call then downloads the data."
    )
