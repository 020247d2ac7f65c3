# mypy: allow-untyped-defs, allow-untyped-calls
"""The step itself: its gradients, its optimizers, its transformations."""

import importlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.artifacts.model import pixels
from components.contract.errors import BadInput
from components.contract.plugins import Bound
from components.models import MODELS, convnet, convnet_bn, simple
from components.train import tape
from components.train.component import LOSSES, OPTIMIZERS, STEPS, TRANSFORMS, TrainParameters
from components.train.conftest import around
from components.train.machine import data, windows
from components.train.machine.devices import choose_devices
from components.train.machine.plan import plan
from components.train.machine.schedule import learning_rate

IMAGES = tf.constant(np.random.default_rng(0).integers(0, 256, (24, 28, 28), np.uint8))
LABELS = tf.constant(np.random.default_rng(1).integers(0, 10, 24, np.int32))


def step(parameters, network, optimizer, images=IMAGES, labels=LABELS):
    training = around(network, parameters, optimizer)
    seen, _, gradients, norms = tape.train_step(training, pixels(images, 1), labels)
    return seen.loss, seen.accuracy, gradients, norms


def network(seed=0):
    keras.utils.set_random_seed(seed)
    return convnet.build((28, 28), 10)


def test_the_models_have_the_parameters_that_they_are_known_by():
    assert simple.build((28, 28), 10).count_params() == 2_770_634
    assert convnet.build((28, 28), 10).count_params() == 29_066
    assert convnet_bn.build((28, 28), 10).count_params() == 209_474


@pytest.mark.parametrize("name", MODELS)
def test_every_model_gives_logits_for_other_sizes_too(name):
    built = importlib.import_module(MODELS[name]).build((32, 30), 7)
    assert built.output_shape == (None, 7)


def test_the_gradients_are_those_of_finite_differences():
    parameters, model = TrainParameters(), network()
    _, _, gradients, _ = step(parameters, model, keras.optimizers.SGD(0.0))
    bias = model.trainable_variables[-1]
    value = bias.numpy()

    def loss(index, shift):
        moved = value.copy()
        moved[index] += shift
        bias.assign(moved)
        return float(step(parameters, model, keras.optimizers.SGD(0.0))[0])

    numeric = [(loss(i, 1e-2) - loss(i, -1e-2)) / 2e-2 for i in range(10)]
    np.testing.assert_allclose(gradients[-1].numpy(), numeric, atol=2e-5)


def test_norms_are_those_of_the_gradients():
    _, _, gradients, norms = step(TrainParameters(), network(), keras.optimizers.SGD(0.0))
    expected = [np.linalg.norm(gradient.numpy()) for gradient in gradients]
    np.testing.assert_allclose(norms.numpy(), [np.linalg.norm(expected), *expected], rtol=1e-5)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_no_sum_of_the_step_has_an_order_that_depends_on_timing(accumulate):
    # AddN begins with whichever input's memory is free by then: of more than two, the last bit may differ.
    model, parameters = network(), TrainParameters(accumulate=accumulate)
    optimizer = keras.optimizers.SGD(0.0)
    optimizer.build(model.trainable_variables)
    graph = tf.function(lambda: step(parameters, model, optimizer)).get_concrete_function().graph
    sums = {operation.name: len(operation.inputs) for operation in graph.get_operations() if operation.type == "AddN"}
    assert {name: count for name, count in sums.items() if count > 2} == {}


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_the_fused_adam_is_keras_adam(name):
    decay = {"weight_decay": 0.1} if name == "adamw" else {}
    parameters = TrainParameters.checked({"optimizer": name, "schedule": "one-cycle"} | decay)
    ours, theirs = network(), network()
    rate = learning_rate(parameters, 6)
    build = Bound(OPTIMIZERS.load(name).build, parameters)
    for model, optimizer in ((ours, build(rate)), (theirs, keras.optimizers.Adam(rate, **decay))):
        for _ in range(6):
            step(parameters, model, optimizer)
    for a, b in zip(ours.trainable_variables, theirs.trainable_variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=2e-6)


def test_accumulated_batches_have_the_gradient_of_one_large_batch():
    one = step(TrainParameters(), network(), keras.optimizers.SGD(0.0))
    three = step(TrainParameters(accumulate=3), network(), keras.optimizers.SGD(0.0))
    for a, b in zip(one[2], three[2], strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6)
    np.testing.assert_allclose([one[0], one[1]], [three[0], three[1]], rtol=1e-6)


def test_clipping_scales_what_is_applied_and_records_what_was():
    model, before = network(), network().get_weights()
    _, _, _, norms = step(TrainParameters(clip_norm=0.01), model, keras.optimizers.SGD(1.0))
    update = [a - b for a, b in zip(before, model.get_weights(), strict=True)]
    assert float(norms[0]) > 0.1
    assert np.sqrt(sum((part**2).sum() for part in update)) == pytest.approx(0.01, rel=1e-3)


def test_centralized_gradients_have_no_mean():
    _, _, gradients, _ = step(TrainParameters(transform="centralize"), network(), keras.optimizers.SGD(0.0))
    _, _, plain, _ = step(TrainParameters(), network(), keras.optimizers.SGD(0.0))
    np.testing.assert_allclose(gradients[0].numpy().mean(axis=(0, 1, 2)), 0, atol=1e-7)
    np.testing.assert_array_equal(gradients[1], plain[1])


def test_every_file_is_a_choice():
    assert list(TRANSFORMS) == TrainParameters.choices("transform") == ["average", "centralize", "noise", "none"]
    assert list(STEPS) == ["adversarial", "dp-sgd", "gradient-penalty", "plain", "sam"]
    assert (list(LOSSES), list(OPTIMIZERS)) == (["cross-entropy", "focal"], ["adam", "adamw", "sgd"])
    assert list(MODELS.files) == ["convnet", "convnet-bn", "simple"]


def test_the_order_is_new_each_epoch_and_follows_from_the_seed():
    split = data.split_of("train", np.zeros((450, 2, 2), np.uint8), np.zeros(450, np.uint8))

    def orders(seed):
        with windows.Feed(split, seed, 32, 1).windows(0, 28) as two:
            return [window.order for window in two]

    first, second = orders(0)
    assert first.shape == (14, 32)
    assert len({*first.reshape(-1)}) == 448
    assert (first.reshape(-1) == np.random.default_rng((0, 1)).permutation(450)[:448]).all()
    assert (first == orders(0)[0]).all()
    assert (first != second).any()
    assert (first != orders(1)[0]).any()


def test_schedules_are_every_nth_step_and_the_powers_of_a_number():
    def steps(kind, until=300, **values):
        kept = plan(TrainParameters(**values), until - 1).kept[kind]
        return [step for step in range(until) if kept[step]]

    assert steps("full") == [1, 4, 16, 64, 256]
    assert steps("full", 21, snapshot_every=6) == [1, 4, 6, 12, 16, 18]
    assert steps("full", 21, snapshot_every=6, geometric=0) == [6, 12, 18]
    assert steps("stats", 70, geometric=8) == [1, 8, 32, 64]
    assert steps("hist", 200, geometric=0, gradient_level="hist") == [64, 128, 192]
    assert steps("stats", 10, stats_every=0, geometric=2) == [1, 2, 4, 8]
    for level, kinds in (("off", []), ("norms", []), ("stats", ["stats"]), ("hist", ["hist", "stats"])):
        assert sorted(plan(TrainParameters(gradient_level=level), 64).due(64)) == kinds


def test_the_loop_comes_back_where_something_is_to_be_written():
    parameters = TrainParameters(checkpoints="x", checkpoint_every=60)
    assert list(plan(parameters, 1000).calls(0, 130)) == [
        (1, True), (3, False), (4, True), (15, False), (16, True), (31, False), (32, True), (60, False), (63, False),
        (64, True), (95, False), (96, True), (120, False), (127, False), (128, True), (130, False),
    ]  # fmt: skip
    assert list(plan(TrainParameters(gradient_level="off"), 1000).calls(460, 560)) == [
        (500, False),
        (550, False),
        (560, False),
    ]
    every = TrainParameters(gradient_level="hist", stats_every=1)
    assert list(plan(every, 60).calls(0, 60)) == [(50, True), (60, True)]


def test_the_plan_of_a_million_million_steps_takes_no_room():
    whole = plan(TrainParameters(), 10**12)
    assert [sorted(whole.due(step)) for step in (4**19, 4**19 + 1, 4**19 + 32)] == [
        ["full", "hist", "stats"], [], ["stats"],
    ]  # fmt: skip
    assert list(whole.calls(4**19 - 1, 4**19 + 30)) == [(4**19, True), (4**19 + 30, False)]


def test_a_gpu_is_refused_where_there_is_none():
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU here")
    assert choose_devices("auto", 1).num_replicas_in_sync == 1
    with pytest.raises(BadInput, match="device: gpu, but TensorFlow sees none here"):
        choose_devices("gpu", 1)


@pytest.mark.parametrize(
    ("given", "device", "warned"),
    [("0", "auto", True), ("GPU-3b0f", "auto", True), ("void", "auto", False), ("", "auto", False), ("0", "cpu", 0)],
)
@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU here")
def test_a_gpu_that_is_set_aside_and_not_used_is_said(monkeypatch, capsys, given, device, warned):
    monkeypatch.setenv("NVIDIA_VISIBLE_DEVICES", given)
    choose_devices(device, 1)
    assert capsys.readouterr().out.startswith("warning: a GPU was set aside for this step") == warned


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"snapshot_every": 5, "gradient_level": "norms"}, "snapshot_every: 5 needs gradient_level full, not norms"),
        ({"geometric": 1}, "geometric: 1 has no other powers; give 2 or more, or 0 for none"),
        ({"geometric": 0}, "gradient_level: full keeps whole gradients at no step; give snapshot_every or geometric"),
        ({"replicas": 3}, "replicas: 3 cannot share 128 images, the batch_size, evenly"),
        ({"workers": 3}, "workers: 3 cannot share 128 images, the batch_size, evenly"),
        ({"workers": 8, "replicas": 3}, "workers times replicas: 24 cannot share 128 images, the batch_size, evenly"),
        ({"xla": True, "workers": 2}, "xla: workers cannot be with it: it compiles the step of one device as a whole"),
        ({"xla": True, "eager": True}, "xla: eager cannot be with it: it compiles the step of one device as a whole"),
        ({"loss_scale": 1000}, "loss_scale: 1000 is not a power of two, so it would round the gradients"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(values, message):
    with pytest.raises(BadInput) as error:
        TrainParameters.checked(values)
    assert str(error.value) == message
