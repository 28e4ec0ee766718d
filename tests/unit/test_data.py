"""MNIST arrives whole or with a clear error, also when two processes start at once, and binarises
with exact odds.
"""

import functools
import gzip
import http.server
import math
import multiprocessing
import os
import shutil
import threading

from lecture_utils import data

import numpy as np
import pytest
import torch

from tests.faults import unwritable
from tests.helpers import output_of, seeded

ARCHIVES = data.DATA_DIR / "MNIST" / "raw"


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A fresh copy of the shipped archives in a folder of its own, with a user cache of its own."""
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for archive in ARCHIVES.glob("*.gz"):
        shutil.copy(archive, raw)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    no_mirror = (tmp_path / "no-mirror").as_uri() + "/"  # no network in tests
    monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", [no_mirror])
    return raw


def leftovers(raw):
    return sorted(
        p.name for p in raw.iterdir() if p.name not in data.CHECKSUMS and p.suffix != ".gz"
    )


def test_shipped_files_give_the_four_tensors(mnist):
    assert mnist.train_images.shape == (60000, 784) and mnist.train_images.dtype == torch.uint8
    assert mnist.test_images.shape == (10000, 784) and mnist.test_images.dtype == torch.uint8
    assert mnist.train_labels.bincount().tolist() == [
        5923,
        6742,
        5958,
        6131,
        5842,
        5421,
        5918,
        6265,
        5851,
        5949,
    ]
    assert mnist.test_labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_the_tensors_are_those_that_torchvision_reads(mnist):
    from torchvision import datasets

    for ours, is_train in ((mnist[:2], True), (mnist[2:], False)):
        theirs = datasets.MNIST(data._unpacked_root(data.DATA_DIR), train=is_train)
        assert torch.equal(ours[0], theirs.data.flatten(1)) and torch.equal(ours[1], theirs.targets)


def test_fresh_copy_is_unpacked_once_and_leaves_nothing_else(copy):
    data.load_mnist(copy.parents[1])
    assert all((copy / name).exists() for name in data.CHECKSUMS) and leftovers(copy) == []
    written = {name: (copy / name).stat().st_mtime_ns for name in data.CHECKSUMS}
    data.load_mnist(copy.parents[1])
    assert written == {name: (copy / name).stat().st_mtime_ns for name in data.CHECKSUMS}


@pytest.mark.parametrize("damage", ["truncated", "not gzip", "other content", "empty"])
def test_damaged_archive_is_named_with_its_mend_and_leaves_no_half_written_file(copy, damage):
    archive = copy / "t10k-images-idx3-ubyte.gz"
    archive.write_bytes(
        {
            "truncated": archive.read_bytes()[:500_000],
            "not gzip": b"<html>404</html>",
            "other content": gzip.compress(b"something else"),
            "empty": b"",
        }[damage]
    )
    with pytest.raises(data.DataError, match=r"t10k-images-idx3-ubyte.gz is damaged.*git checkout"):
        data.load_mnist(copy.parents[1])
    assert not (copy / "t10k-images-idx3-ubyte").exists() and leftovers(copy) == []


def test_damaged_unpacked_file_is_mended_from_its_archive(copy):
    data.load_mnist(copy.parents[1])
    (copy / "t10k-labels-idx1-ubyte").write_bytes(b"damaged")
    assert data.load_mnist(copy.parents[1]).test_labels[:3].tolist() == [7, 2, 1]


def test_missing_files_are_downloaded_by_torchvision(copy, tmp_path, monkeypatch):
    from torchvision import datasets

    mirror = tmp_path / "mirror"
    copy.rename(mirror)
    serve = functools.partial(http.server.SimpleHTTPRequestHandler, directory=mirror)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(datasets.MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        # Our archives differ from torchvision's md5 in their gzip header only; the SHA-256 of the
        # content counts.
        monkeypatch.setattr(
            datasets.MNIST, "resources", [(name, None) for name, _ in datasets.MNIST.resources]
        )
        assert len(data.load_mnist(tmp_path / "data").train_images) == 60000
        server.shutdown()
    assert leftovers(copy) == []


def test_no_files_and_no_network_is_one_clear_error(copy, tmp_path):
    shutil.rmtree(copy)
    with pytest.raises(data.DataError, match="(?s)could not be downloaded.*Restore the four files"):
        data.load_mnist(tmp_path / "data")
    assert list(copy.iterdir()) == []


def test_read_only_folder_is_unpacked_to_the_user_cache(copy):
    with unwritable(copy):
        assert len(data.load_mnist(copy.parents[1]).train_images) == 60000
    assert not (copy / "train-images-idx3-ubyte").exists()
    assert (data.user_cache() / "MNIST" / "raw" / "train-images-idx3-ubyte").exists()


def test_nothing_writable_is_one_clear_error(copy):
    data.user_cache().mkdir(parents=True)
    with (
        unwritable(copy, data.user_cache()),
        pytest.raises(data.DataError, match="neither .* is writable.*LECTURE_DATA"),
    ):
        data.load_mnist(copy.parents[1])


def test_lecture_data_names_the_folder(copy, monkeypatch):
    monkeypatch.setenv("LECTURE_DATA", str(copy.parents[1]))
    assert len(data.load_mnist().train_images) == 60000
    assert (copy / "train-images-idx3-ubyte").exists()


def test_a_mistyped_lecture_data_is_named_and_nothing_is_made_there(tmp_path, monkeypatch):
    monkeypatch.setenv("LECTURE_DATA", str(tmp_path / "no" / "such"))
    with pytest.raises(data.DataError) as caught:
        data.load_mnist()
    said = str(caught.value)
    assert f"There is no folder {tmp_path / 'no' / 'such'}." in said and "LECTURE_DATA" in said
    assert "\n" not in said and list(tmp_path.iterdir()) == []


def test_a_root_that_does_not_exist_is_named_and_nothing_is_made_there(tmp_path):
    with pytest.raises(data.DataError, match="There is no folder .*nowhere"):
        data.load_mnist(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_a_lecture_data_that_is_a_file_is_an_error_that_names_it(copy, monkeypatch):
    file = copy / "t10k-labels-idx1-ubyte.gz"
    monkeypatch.setenv("LECTURE_DATA", str(file))
    with pytest.raises(data.DataError, match="the folder that holds MNIST/raw") as caught:
        data.load_mnist()
    assert f"There is no folder {file}" in str(caught.value)


FULL = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
from lecture_utils import data
try:
    data.load_mnist()
except data.DataError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there are no such limits on Windows")
def test_full_disk_is_one_clear_error_and_leaves_nothing(copy):
    """The limit on the size of files is one for all threads of a process."""
    said = output_of(FULL, LECTURE_DATA=str(copy.parents[1]))
    assert "Free some disk space" in said and "\n" not in said
    assert leftovers(copy) == [] and not any((copy / name).exists() for name in data.CHECKSUMS)


HOMELESS = """
import pathlib, tempfile
def home():
    raise RuntimeError("Could not determine home directory.")  # as for a user without an entry
pathlib.Path.home = home
from tests.faults import unwritable
tempfile.tempdir = {temporary!r}
from lecture_utils import data
with unwritable({raw!r}):
    print(len(data.load_mnist().train_images))
"""


@pytest.mark.slow
def test_a_user_without_a_home_can_use_a_read_only_folder(copy, tmp_path):
    unset = dict.fromkeys(("HOME", "USERPROFILE", "XDG_CACHE_HOME"))
    code = HOMELESS.format(temporary=str(tmp_path), raw=str(copy))
    assert output_of(code, LECTURE_DATA=str(copy.parents[1]), **unset) == "60000"
    unpacked = tmp_path / "lecture_utils" / "MNIST" / "raw" / "train-images-idx3-ubyte"
    assert unpacked.exists() and not (copy / "train-images-idx3-ubyte").exists()


def test_a_failed_download_is_one_line_that_begins_with_the_fix(copy):
    for archive in copy.glob("*.gz"):
        archive.unlink()
    with pytest.raises(data.DataError) as caught:
        data.load_mnist(copy.parents[1])
    said = str(caught.value)
    assert "\n" not in said and said.index("git checkout -- data") < said.index("(The download:")


def load_and_count(root, barrier, counts):
    barrier.wait(timeout=120)
    counts.put(len(data.load_mnist(root).train_images))


@pytest.mark.slow
def test_two_processes_can_start_at_once(copy):
    context = multiprocessing.get_context("spawn")
    barrier, counts = context.Barrier(2), context.Queue()
    processes = [
        context.Process(target=load_and_count, args=(copy.parents[1], barrier, counts), daemon=True)
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    assert [counts.get(timeout=120) for _ in processes] == [60000] * 2
    for process in processes:
        process.join(timeout=60)
    assert leftovers(copy) == []


def test_binarize_draws_one_with_probability_intensity():
    n = 200_000
    intensities = torch.tensor([0, 1, 64, 128, 254, 255], dtype=torch.uint8)
    frequency = data.binarize(intensities.repeat(n, 1), seeded(0)).mean(0)
    p = intensities / 255
    assert frequency[0] == 0 and frequency[-1] == 1  # black and white pixels are certain
    assert torch.all((frequency - p).abs() <= 4 * (p * (1 - p) / n).sqrt())


def test_binarize_of_floats_draws_one_with_probability_of_their_value():
    n = 200_000
    p = torch.tensor([0.0, 0.25, 0.9, 1.0])
    frequency = data.binarize(p.repeat(n, 1), seeded(0)).mean(0)
    assert frequency[0] == 0 and frequency[-1] == 1
    assert torch.all((frequency - p).abs() <= 4 * (p * (1 - p) / n).sqrt())


def test_every_notebook_sees_the_same_binary_test_set(mnist):
    first, state = data.binary_test_set(mnist), torch.get_rng_state()
    torch.manual_seed(123)
    assert torch.equal(first, data.binary_test_set(mnist))
    assert first.unique().tolist() == [0, 1] and first.dtype == torch.float32
    torch.set_rng_state(state)


def test_grey_pixels_are_intensities_over_255():
    assert data.to_grey(torch.tensor([0, 51, 255], dtype=torch.uint8)).tolist() == pytest.approx(
        [0, 0.2, 1]
    )


# A sample of the test images


def test_a_subset_is_a_seeded_sample_of_different_rows():
    rows = data.test_subset(1000)
    assert rows.shape == (1000,) and rows.dtype == torch.int64 and len(set(rows.tolist())) == 1000
    assert torch.equal(rows, data.test_subset(1000)) and not torch.equal(
        rows, data.test_subset(1000, 1)
    )
    assert torch.equal(data.test_subset(10_000).sort().values, torch.arange(10_000))


def test_a_subset_takes_the_neat_and_the_untidy_half_alike():
    """The first 5000 test images are the neater ones: a sample has half of its rows there."""
    n = 1000
    first = [(data.test_subset(n, seed) < 5000).sum().item() / n for seed in range(20)]
    assert all(abs(share - 0.5) < 4.5 * 0.5 / math.sqrt(n) for share in first)


def test_a_smaller_subset_is_the_beginning_of_a_larger_one():
    assert torch.equal(data.test_subset(100), data.test_subset(1000)[:100])


@pytest.mark.parametrize("n", [0, -1, 10_001])
def test_a_subset_of_more_images_than_there_are_is_refused(n):
    with pytest.raises(ValueError, match=r"n must lie in 1\.\.10000"):
        data.test_subset(n)


@pytest.mark.parametrize("function", [data.binarize, data.to_grey])
def test_numpy_images_are_refused_with_the_fix(function):
    with pytest.raises(ValueError, match=r"ndarray, expected a tensor: use torch\.from_numpy"):
        function(np.zeros((2, 784), dtype=np.uint8))
