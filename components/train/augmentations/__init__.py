"""The augmentations, one a file: `augment(images, *, seed)` returns the images of a step, each changed by chance.

`images` are float32 [n, height, width, channels], 0..1 as the data set has them, and so is what is returned. `seed`,
int32 [2], is another one at each step and place in the list (for tf.random.stateless_…). Parameters are keyword-only
arguments with `parameter(...)`. The chosen ones run in the compiled step, in the order in which they are named, on all
of a step's images at once; validation and test images are never changed.

One that only moves pixels is `move(places, *, seed)` instead. `places`, float32 [n, height, width, 2], say from where
each pixel is taken: row and column, in pixels from the middle of the image. Those that stand one after the other in the
list move an image once, as each time blurs; what comes in from outside is black.

An augmentation that changes labels takes them too, `augment(images, labels, *, seed)`, and returns both. They are then
float32 [n, labels, 2]: of each image one or several labels, the one that the accuracy goes by first, each a class and
how much it counts.

To add your own, copy a file; its name is then a choice of `--augment`, everywhere.
"""
