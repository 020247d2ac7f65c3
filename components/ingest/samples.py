"""The pictures of the page: samples by class, what a finding shows, and pairs side by side, none of them large."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from components.artifacts import page
from components.artifacts.words import count
from components.ingest.look import Images, Look, small
from components.ingest.validation import Data, Finding, Where

EXAMPLES = 14  # of each class, if the images are small
WIDTH = 812  # of a row of them, in CSS pixels
CLASSES = 30  # shown with examples
PAIRS = 12
LONGEST = 56  # pixels of an image's longer side on the page
BUDGET = 200_000  # bytes of pixels of all examples, so that the page stays small


def by_class(data: Data) -> Markup:
    """Return a row of images for each class that has any."""
    split = data.splits["train"]
    shown = small(split.images[:1], LONGEST)[0]
    scale = max(1, LONGEST // shown.shape[1])
    rows = min(CLASSES, len(data.class_names))
    most = min(EXAMPLES, WIDTH // (scale * (shown.shape[1] + 1)), BUDGET // (rows * shown.size))
    parts = []
    for label, name in list(enumerate(data.class_names))[:CLASSES]:
        found = np.flatnonzero(split.labels == label)[: max(2, most)]
        if not len(found):
            parts.append((name, Markup("none")))
            continue
        sheet = page.contact_sheet(small(split.images[found], LONGEST), len(found))
        parts.append((name, page.picture(sheet, f"{count(len(found), 'image')} of class {name}", scale)))
    return page.rows(parts)


def of_finding(data: Data, finding: Finding) -> tuple[Markup, str]:
    """Return the images that show a finding, and which they are; nothing for one of the whole data set."""
    shown = [image for pair in finding.pairs for image in pair] or list(finding.images)
    if not shown:
        return Markup(""), ""
    columns = 2 * max(1, min(len(shown) // 2, 3)) if finding.pairs else min(len(shown), 6)
    sheet = page.contact_sheet(np.stack([_small(data, each) for each in shown[:6]]), min(columns, 6))
    scale = min(3, max(1, 240 // sheet.shape[1]))
    origins = "; ".join(_origin(each) for each in shown[:2])
    more = f"; {len(shown) - 2} more in findings.json" if len(shown) > 2 else ""
    kind = "pairs of images" if finding.pairs else "images"
    return page.picture(sheet, f"{kind} that show {finding.rule}", scale), origins + more


def side_by_side(data: Data, pairs: Sequence[tuple[Where, Where]]) -> Markup:
    """Return each pair, with where each of the two came from."""
    pictures = []
    for first, second in pairs:
        sheet = page.contact_sheet(np.stack([_small(data, first), _small(data, second)]), 2)
        shown = page.picture(sheet, f"{_origin(first)} beside {_origin(second)}", max(1, 150 // sheet.shape[1]))
        labels = f"class {first.label}" if first.label == second.label else f"class {first.label}, class {second.label}"
        pictures.append((shown, [labels, _origin(first), _origin(second)]))
    return page.pictures(pictures)


def means(now: Look, before: Look) -> Markup:
    """Return the mean image of the training images, here and in the reference."""
    both = [(now, "this data set"), (before, "reference")]
    return page.pictures(
        [
            (page.picture(np.rint(each.mean_image()).astype(np.uint8), f"mean image of {name}", 4), [name])
            for each, name in both
        ]
    )


def _small(data: Data, image: Where) -> Images:
    small_one: Images = small(data.splits[image.split].images[image.number][None], LONGEST)[0]
    return small_one


def _origin(image: Where) -> str:
    return f"{image.split} {image.number:,}: {image.origin}"
