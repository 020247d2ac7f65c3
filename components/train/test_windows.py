# mypy: allow-untyped-defs, allow-untyped-calls
"""Training images that do not fit into memory: which come when, that a run resumes, and that nothing else changes."""

import json
import math
import shutil

import numpy as np
import pytest

from components.artifacts import dataset as datasets
from components.conftest import SHORT, SMALL, make
from components.contract import artifact, later, location
from components.contract.errors import BadInput
from components.contract.run import run
from components.contract.store.client import Store
from components.ingest.component import COMPONENT as INGEST
from components.train.component import COMPONENT
from components.train.conftest import checkpoint_of, digests, train
from components.train.machine import checkpoint, data, windows
from components.train.machine.windows import Feed

SHARD = 40  # images
PIXELS = 28 * 28


@pytest.fixture(scope="module")
def sharded(tmp_path_factory):
    """Return a data set whose 448 training images are in 12 shards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "SHARD", SHARD * PIXELS)
        return make(INGEST, SMALL, {}, tmp_path_factory.mktemp("sharded"))


@pytest.fixture
def streamed(monkeypatch):
    """Have windows be of three shards, and nothing be small enough to be held as a whole."""
    monkeypatch.setattr(data, "WHOLE", 0)
    monkeypatch.setattr(windows, "MIB", 3 * SHARD * PIXELS)
    return {"shuffle_window": 1}


def feed(sharded, batch, megabytes=1):
    split, _, _ = data.load(sharded / "dataset", megabytes)
    return Feed(split, 0, batch, megabytes)


def seen(feed, step, last):
    """Return the steps of all windows, and of each step the images and labels that it sees."""
    with feed.windows(step, last) as found:
        every = [
            (each.step, each.end, *(tensor.numpy()[each.order] for tensor in each.split.tensors)) for each in found
        ]
    return [each[:2] for each in every], *(np.concatenate([each[i] for each in every]) for i in (2, 3))


@pytest.mark.usefixtures("streamed")
def test_an_epoch_is_windows_of_whole_shards_in_an_order_of_its_own(sharded):
    found = feed(sharded, 8)
    rows, ends = found.order(1)
    order = rows.reshape(-1)
    assert sorted(order) == list(range(448))
    assert ends[-1] == found.steps == 56
    assert len(ends) == 4
    for start, end in zip([0, *ends], ends, strict=False):
        numbers = rows[start:end].reshape(-1)
        shards = np.unique(numbers // SHARD)
        assert len(shards) == 3
        assert sorted(numbers) == [i for shard in shards for i in range(448) if i // SHARD == shard]
        assert sorted(numbers) != list(numbers)
    assert found.order(1)[0].tolist() == rows.tolist()
    assert found.order(2)[0].tolist() != rows.tolist()


@pytest.mark.usefixtures("streamed")
def test_the_steps_see_that_order_whatever_their_size_and_from_any_step_on(sharded):
    """Also steps that are larger than a shard, or than a window."""
    given = datasets.read(sharded / "dataset", "train")
    for batch in (1, 7, 32, 45, 130, 448):
        found = feed(sharded, batch)
        wanted = np.concatenate([found.order(epoch)[0] for epoch in (1, 2)])
        last = 2 * (448 // batch)
        for step in {0, 1, last // 2, last // 2 - 1, last - 1}:
            steps, images, labels = seen(found, step, last)
            assert (images == given.images[wanted[step:].reshape(-1)].reshape(images.shape)).all()
            assert (labels == given.labels[wanted[step:]]).all()
            assert [begun for begun, _ in steps[1:]] == [end for _, end in steps[:-1]]
            assert (steps[0][0], steps[-1][1]) == (step, last)
            assert not [each for each in steps if each[0] < found.steps < each[1]]
    assert (feed(sharded, 7).first().split.images.numpy() == given.images[feed(sharded, 7).order(1)[0][0]]).all()


@pytest.mark.usefixtures("streamed")
def test_no_more_than_one_window_is_read_ahead(sharded, monkeypatch):
    read = []

    def place(split, numbers, images):
        read.append(len(numbers))
        return data.placed(split, numbers, images)

    monkeypatch.setattr(windows, "placed", place)
    with feed(sharded, 32).windows(0, 14) as found:
        for number, window in enumerate(found, 1):
            assert number <= len(read) <= number + 1
            assert len(window.split.images) == read[number - 1] <= 3 * SHARD + 31
    assert len(read) == 4


@pytest.mark.usefixtures("streamed")
@pytest.mark.parametrize(("batch", "shares"), [(32, 2), (30, 5), (16, 8)])
def test_each_share_sees_shards_of_its_own_wherever_it_is(sharded, batch, shares):
    """The parts of a step are the same where one process has all of them, and where each of several has its own."""
    split, _, _ = data.load(sharded / "dataset", 1)
    given, part = datasets.read(sharded / "dataset", "train"), batch // shares
    whole = Feed(split, 0, batch, 1, shares)
    rows, ends = whole.order(2)
    assert ends[-1] == len(rows) == whole.steps == min(
        sum(min(SHARD, 448 - shard * SHARD) for shard in range(share, 12, shares)) // part for share in range(shares)
    )  # fmt: skip
    for share in range(shares):
        own = slice(share * part, (share + 1) * part)
        numbers = rows[:, own].reshape(-1)
        assert {*(numbers // SHARD % shares)} == {share}
        assert len({*numbers}) == len(numbers)
        alone = Feed(split, 0, batch, 1, shares, own)
        for feed, parts in ((whole, 1), (alone, shares)):
            with feed.windows(whole.steps, 2 * whole.steps) as found:
                for window in found:
                    images, labels = (tensor.numpy()[window.order[:, own]] for tensor in window.split.tensors)
                    wanted = rows[window.step - whole.steps : window.end - whole.steps, own]
                    assert (labels == given.labels[wanted]).all()
                    assert (images == given.images[wanted.reshape(-1)].reshape(images.shape)).all()
                    assert len(window.split.images) == window.order.size // parts


@pytest.mark.usefixtures("streamed")
def test_a_device_that_has_too_few_images_is_said_before_the_first_step(sharded):
    """Of 12 shards four of 8 devices have two, and the others one, of 40 images."""
    split, _, _ = data.load(sharded / "dataset", 1)
    Feed(split, 0, 320, 1, 8).require()
    with pytest.raises(BadInput, match="batch_size: 328 images a step, but one of the 8 devices that share them has"):
        Feed(split, 0, 328, 1, 8).require()
    with pytest.raises(BadInput, match="batch_size: 26 images a step, but one of the 13 devices that share them has"):
        Feed(split, 0, 26, 1, 13).require()
    with pytest.raises(BadInput, match="batch_size: 449 images a step, but there are only 448 to train on"):
        Feed(split, 0, 449, 1).require()


@pytest.mark.usefixtures("streamed")
def test_what_fails_in_the_thread_fails_the_step(sharded, tmp_path):
    copy = shutil.copytree(sharded / "dataset", tmp_path / "dataset")
    shard = feed(tmp_path, 32).order(1)[0][-1, -1] // SHARD
    (copy / f"train-images-{shard:05}.npy").write_bytes(b"no array")
    with pytest.raises(BadInput, match=f"train-images-{shard:05}.npy is damaged"):
        seen(feed(tmp_path, 32), 0, 14)


def test_a_set_that_fits_is_held_and_its_shards_change_nothing(ingested, sharded, trained, tmp_path):
    """The images are mixed when they are put into shards, so they are put back as they were."""
    copy = shutil.copytree(sharded / "dataset", tmp_path / "dataset")
    ours, theirs = (datasets.read(made / "dataset", "train") for made in (sharded, ingested))
    names = datasets.origins(ingested / "dataset", "train")
    places = [datasets.origins(copy, "train").index(name) for name in names]
    assert places != sorted(places)
    images = ours.images[places]
    assert (images == theirs.images[:]).all()
    for number in range(12):
        np.save(copy / f"train-images-{number:05}.npy", images[number * SHARD :][:SHARD])
    np.save(copy / "train-labels.npy", theirs.labels)
    metadata = artifact.read(copy).metadata
    (copy / artifact.MANIFEST).unlink()
    artifact.seal(copy, component="ingest", output="dataset", parameters={}, inputs={}, metadata=metadata)
    made = train(tmp_path, tmp_path / "out")
    assert files(made) == files(trained)


def files(made):
    return {f"{name}/{file}": each.sha256 for name in ("trained_model", "gradients", "metrics")
            for file, each in artifact.read(made / name).files.items()}  # fmt: skip


def test_a_streamed_training_is_the_same_each_time_and_resumes_within_a_window(
    sharded, streamed, tmp_path, monkeypatch
):
    monkeypatch.setattr(checkpoint, "KEPT", 100)
    place, more = tmp_path / "place", streamed | {"augment": "shift"}
    first = train(sharded, tmp_path / "first", checkpoints=str(place), checkpoint_every=5, **more)
    epochs = json.loads((first / "metrics" / "metrics.json").read_text())["epochs"]
    assert epochs[1]["train_loss"] < epochs[0]["train_loss"] < math.log(10)
    for step in (5, 20):
        again = train(sharded, tmp_path / f"from-{step}", checkpoint=checkpoint_of(place, step), **more)
        assert digests(again) == digests(first)


def test_streamed_and_held_images_are_learned_alike_in_the_same_order(sharded, streamed, tmp_path, monkeypatch):
    """One window that all shards fit into, read by the thread, against the same order held in memory."""
    monkeypatch.setattr(windows, "MIB", 448 * PIXELS)
    one = train(sharded, tmp_path / "one", **streamed)
    order = feed(sharded, SHORT["batch_size"]).order
    monkeypatch.setattr(data, "WHOLE", 3)
    monkeypatch.setattr(data, "MIB", 448 * PIXELS)
    monkeypatch.setattr(Feed, "order", lambda _, epoch: order(epoch))
    assert digests(train(sharded, tmp_path / "two", **streamed)) == digests(one)


def test_from_the_store_each_shard_is_fetched_when_it_is_needed_and_no_others(
    s3, sharded, streamed, tmp_path, monkeypatch
):
    location.publish(sharded / "dataset", s3)
    got = []
    fetch = Store.fetch_file

    def noted(store, uri, folder, name, *more):
        fetch(store, uri, folder, name, *more)
        got.append(name)
        kept = sum(path.stat().st_size for path in folder.glob("*-*"))
        assert kept <= room + SHARD * PIXELS + 128  # and the one that has just come

    monkeypatch.setattr(Store, "fetch_file", noted)
    wanted = digests(train(sharded, tmp_path / "local", **streamed))
    shards = {f"train-images-{number:05}.npy" for number in range(12)}
    # With room for two windows a shard comes once an epoch, and the first one before, for what is in it.
    for room, most in ((2**30, 12), (6 * (SHARD * PIXELS + 128), 2 * 12 + 1)):
        got.clear()
        monkeypatch.setenv(later.VARIABLE, str(room))
        outputs = {item.name: str(tmp_path / f"{room}" / item.name) for item in COMPONENT.outputs}
        run(COMPONENT, COMPONENT.parameters.checked(SHORT | streamed), {"dataset": s3}, outputs)
        assert digests(tmp_path / f"{room}") == wanted
        assert {name for name in got if name.startswith("train-images")} == shards
        assert sum(got.count(name) for name in shards) <= most
        assert not [name for name in got if name.startswith("test")]
