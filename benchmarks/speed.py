"""Images per second of one training step: this project's tape against Keras, PyTorch and JAX.

The same network (the seed's, 2,770,634 parameters), batch, data and Adam, all in float32 on the CPU. Each contestant
is a process of its own, warmed up first; then they take turns, so that a machine whose speed drifts does so for all.
Printed are the median and the range of the rounds, and the median of the ratios within a round.

uv run --group benchmarks python -m benchmarks.speed --batch 128
"""

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32], npt.NDArray[np.int32]]  # images, labels, order


def tape(level: str) -> Callable[[Arrays], Callable[[], object]]:
    """Return this project's step, keeping gradients at `level`."""

    def prepare(arrays: Arrays) -> Callable[[], object]:
        import tensorflow as tf

        from components.train.component import TrainParameters
        from components.train.machine.assemble import assemble
        from components.train.machine.compiled import compile_steps
        from components.train.machine.data import Split

        images, labels, order = arrays
        parameters = TrainParameters(gradient_level=level, batch_size=order.shape[1])
        tf.config.experimental.enable_op_determinism()
        tf.keras.utils.set_random_seed(0)
        split = Split(tf.constant(images), tf.constant(labels))
        training, spec, _ = assemble(parameters, split, 10, 100_000, tf.distribute.get_strategy())
        run = compile_steps(training, split, spec.channels)
        steps = tf.constant(order)
        before = [tf.zeros(variable.shape) for variable in training.network.trainable_variables]
        return lambda: run(steps, before, *split.tensors)[0].numpy()  # noqa: PLW0108 - it must run at each call

    return prepare


def keras_fit(arrays: Arrays) -> Callable[[], object]:
    """Return Keras's own loop over arrays in memory."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    from components.models import simple

    images, labels, order = arrays
    pixels = images[order.reshape(-1)][..., None].astype(np.float32) / 255
    answers = labels[order.reshape(-1)]
    network = simple.build((28, 28), 10)
    network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return lambda: network.fit(pixels, answers, batch_size=order.shape[1], verbose=0)


def pytorch(arrays: Arrays) -> Callable[[], object]:
    """Return a PyTorch loop with its fused Adam, batches gathered from resident tensors."""
    import torch

    torch.manual_seed(0)
    nn = torch.nn
    network = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(21632, 128), nn.ReLU(), nn.Linear(128, 10)
    )
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    loss_function = nn.CrossEntropyLoss()
    images, labels = torch.from_numpy(arrays[0][:, None].copy()), torch.from_numpy(arrays[1].astype(np.int64))
    order = torch.from_numpy(arrays[2].astype(np.int64))

    def run() -> float:
        for chosen in order:
            optimizer.zero_grad()
            loss = loss_function(network(images[chosen].float().div_(255)), labels[chosen])
            loss.backward()
            optimizer.step()
        return float(loss)

    return run


def jax(in_one_call: bool) -> Callable[[Arrays], Callable[[], object]]:
    """Return a JAX loop with Optax's Adam: all steps in one call by `lax.scan`, or one call a step."""

    def prepare(arrays: Arrays) -> Callable[[], object]:
        import jax as jx
        import optax
        from jax import numpy as jnp

        images, labels, order = (jnp.asarray(array) for array in arrays)
        keys = jx.random.split(jx.random.PRNGKey(0), 3)
        shapes = ((3, 3, 1, 32), (21632, 128), (128, 10))
        glorot = jx.nn.initializers.glorot_uniform()
        weights = [(glorot(key, shape), jnp.zeros(shape[-1])) for key, shape in zip(keys, shapes, strict=True)]
        adam = optax.adam(1e-3)

        def loss(weights: Any, pixels: Any, answers: Any) -> Any:
            (kernel, bias), (dense, dense_bias), (last, last_bias) = weights
            layout = ("NHWC", "HWIO", "NHWC")
            hidden = jx.lax.conv_general_dilated(pixels, kernel, (1, 1), "VALID", dimension_numbers=layout) + bias
            hidden = jx.nn.relu(hidden).reshape(len(pixels), -1)
            logits = jx.nn.relu(hidden @ dense + dense_bias) @ last + last_bias
            return optax.softmax_cross_entropy_with_integer_labels(logits, answers).mean()

        def step(state: Any, chosen: Any) -> Any:
            weights, moments = state
            pixels = images[chosen][..., None].astype(jnp.float32) / 255
            value, gradients = jx.value_and_grad(loss)(weights, pixels, labels[chosen])
            updates, moments = adam.update(gradients, moments)
            return (optax.apply_updates(weights, updates), moments), value

        one = jx.jit(step, donate_argnums=0)
        scan = jx.jit(lambda state, order: jx.lax.scan(step, state, order), donate_argnums=0)
        state = (weights, adam.init(weights))

        def run() -> object:
            nonlocal state
            if in_one_call:
                state, value = scan(state, order)
            else:
                for chosen in order:
                    state, value = one(state, chosen)
            return value.block_until_ready()

        return run

    return prepare


CONTESTANTS: dict[str, Callable[[Arrays], Callable[[], object]]] = {
    "tape, norms": tape("norms"),
    "tape, off": tape("off"),
    "Keras fit": keras_fit,
    "PyTorch": pytorch,
    "JAX, a call a step": jax(in_one_call=False),
    "JAX, scan": jax(in_one_call=True),
}


def serve(name: str, batch: int, steps: int, pipe: Any) -> None:
    """Prepare a contestant, warm it up, and run it whenever asked; answer with the seconds it took."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (20_000, 28, 28), np.uint8)
    labels = random.integers(0, 10, 20_000).astype(np.int32)
    order = random.integers(0, 20_000, (steps, batch)).astype(np.int32)
    run = CONTESTANTS[name]((images, labels, order))
    run()
    run()
    pipe.send("ready")
    while pipe.recv():
        began = time.perf_counter()
        run()
        pipe.send(time.perf_counter() - began)


def main() -> None:
    """Let the contestants take turns, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=60, help="in a turn")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    pipes, seconds = {}, {name: list[float]() for name in CONTESTANTS}
    for name in CONTESTANTS:  # one after the other, so that nobody compiles while another is warmed up
        ours, theirs = context.Pipe()
        context.Process(target=serve, args=(name, options.batch, options.steps, theirs), daemon=True).start()
        ours.recv()
        pipes[name] = ours
    for _ in range(options.rounds):
        for name, pipe in pipes.items():
            pipe.send(True)
            seconds[name].append(pipe.recv())
    images = options.batch * options.steps
    first = next(iter(CONTESTANTS))
    print(f"batch {options.batch}, {options.rounds} rounds of {options.steps} steps, {os.cpu_count()} CPUs")
    print(f"{'':20} {'images/s':>9} {'range':>16} {'time, ' + first + ' = 1':>22}")
    for name, times in seconds.items():
        ratio = statistics.median(time / base for time, base in zip(times, seconds[first], strict=True))
        spread = f"{images / max(times):,.0f}–{images / min(times):,.0f}"
        print(f"{name:20} {images / statistics.median(times):9,.0f} {spread:>16} {ratio:22.2f}")
    for pipe in pipes.values():
        pipe.send(False)


if __name__ == "__main__":
    main()
