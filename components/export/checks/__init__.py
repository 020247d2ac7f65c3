"""The rules, each with its severity and remedy: functions from a record to what they find in it.

Within a severity causes come before what may only be a consequence, such as a plateau.

Their limits were set on the failure zoo (benchmarks/zoo.py), which says how often each of them is right.
"""

from components.artifacts.findings import Rule
from components.export.checks import gradients, learning

RULES = (
    Rule("not-finite", "error", "norms and loss of every step",
         "Lower `learning_rate`, or look for a logarithm, root or quotient of 0 in the network; in float16, give a "
         "`loss_scale`.", gradients.not_finite),
    Rule("exploding", "error", "running median of the global norm",
         "Lower `learning_rate`, give `clip_norm`, or initialise the weights smaller.", gradients.exploding),
    Rule("no-gradient", "error", "what the tape is connected to; norms of every step",
         "Use the layer's output in the loss, or take the layer out of the network.", gradients.no_gradient),
    Rule("zero-weights", "error", "kernels that began as zeros; norms of every step",
         "Initialise the kernels with random numbers, as Keras does unless told otherwise; zeros suit biases, and the "
         "last kernel of a network or of a residual branch.", gradients.zero_weights),
    Rule("vanishing", "warning", "each kernel's gradient against the largest",
         "Use ReLU instead of sigmoid or tanh, fewer layers, or larger initial weights.", gradients.vanishing),
    Rule("dead-relu", "warning", "share of zeros in the gradients of biases before a ReLU",
         "Lower `learning_rate`, start biases at 0, or use `leaky_relu`.", gradients.dead_relu),
    Rule("update-ratio", "warning", "norm of the applied update against that of the weights",
         "Change `learning_rate` by the factor that is missing to 0.001.", learning.update_ratio),
    Rule("oscillation", "warning", "cosine between the gradients of successive steps",
         "Lower `learning_rate`, or raise `momentum` or `batch_size`.", learning.oscillation),
    Rule("shuffled-labels", "warning", "loss and validation accuracy against those of guessing",
         "Check that labels and images are in the same order.", learning.shuffled_labels),
    Rule("unnormalised-input", "warning", "the first kernel's gradient against its bias's",
         "Scale what the network is given to 0..1, or to mean 0 and standard deviation 1.",
         gradients.unnormalised_input),
    Rule("plateau", "warning", "loss of the last fifth against the middle fifth",
         "See the other findings first; else raise `learning_rate`, or use another model.", learning.plateau),
    Rule("frozen", "info", "layers that are set not to learn",
         "Nothing, if that is meant; else set `layer.trainable`.", gradients.frozen),
    Rule("batch-size", "info", "the gradient noise scale (arXiv 1812.06162)",
         "Far below it, larger batches save steps at hardly any more images; far above it, smaller ones save images.",
         learning.batch_size),
)  # fmt: skip
