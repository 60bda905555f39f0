"""Every kind of finding of `maskstream data check`: how bad it is, what was expected, what to do about it.

What is found while reading a dataset has kinds of its own: broken-file, broken-entry, repeated-id,
repeated-file-name, path-outside, unknown-class, unknown-image and broken-mask, all errors, as reading would stop at
them; unknown-split-name, repeated-split-name and image-in-two-splits in `splits.json`, errors too. What an import
found is told again as it was.
"""

from __future__ import annotations

from dataclasses import dataclass

from maskstream.data.findings import Finding, Severity

_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


@dataclass(frozen=True, slots=True)
class Kind:
    """What findings of one code have in common; `fix` is what `--fix` does, None where a person must decide."""

    severity: Severity
    expected: str
    remedy: str
    fix: str | None = None


_ADD_LABEL = "label the image, or leave it so when it shows nothing of interest: training takes it as such"
_RESPLIT = "split again with: maskstream data split"

KINDS: dict[str, Kind] = {
    # image files
    "image-missing": Kind(
        _ERROR, "an image file", "put the file back, or take the image out of the labels", "leaves the image out"
    ),
    "images-to-fetch": Kind(_WARNING, "the image files that the labels speak of", "put them into images/"),
    "unreadable-image": Kind(_ERROR, "an image that can be read", "replace the file or leave the image out"),
    "size-mismatch": Kind(
        _ERROR, "an image of the size that the labels state", "restore the image that was labelled, or label it again"
    ),
    "exif-not-applied": Kind(
        _ERROR,
        "labels on the image as its EXIF orientation turns it",
        "the labels were made on the image as stored: take the tag out of the file, or turn the labels",
    ),
    "exif-doubtful": Kind(
        _WARNING,
        "labels on the image as its EXIF orientation turns it, which their size cannot show",
        "look at the image with its masks drawn; where they do not fit, take the tag out of the file",
    ),
    "exif-turned": Kind(
        _NOTE,
        "pixels stored upright",
        "nothing to do here, the labels fit the turned image; tools that pass over EXIF will show it turned",
    ),
    "exif-invalid": Kind(_NOTE, "an EXIF orientation from 1 to 8", "nothing to do: it is passed over, as by others"),
    "wrong-suffix": Kind(_NOTE, "a suffix that fits the content", "rename the file: some readers go by the suffix"),
    "stray-image": Kind(
        _WARNING,
        "an image that annotations.json names",
        "label it and import again, or take it away",
        "leaves the file behind",
    ),
    "stray-file": Kind(_NOTE, "image files only", "take it away", "leaves the file behind"),
    "name-clash": Kind(
        _WARNING,
        "names that differ by more than upper and lower case or the encoding of accents",
        "rename one: on Windows and macOS one file overwrites the other",
    ),
    "shared-stem": Kind(
        _NOTE,
        "names that differ by more than the suffix",
        "rename one before an export to a format that names labels by stem (labelme, YOLO, mask folders)",
    ),
    "edited-file": Kind(
        _NOTE,
        "the content that dataset.json has the hash of",
        "nothing to do when the edit was meant",
        "writes the new hash",
    ),
    # shapes
    "short-polygon": Kind(_ERROR, "polygons of 3 points or more", "redraw the object or remove it", "drops the part"),
    "flat-polygon": Kind(_ERROR, "polygons with an area", "redraw the object or remove it", "drops the part"),
    "self-crossing": Kind(
        _WARNING,
        "an outline that does not cross itself",
        "redraw it: what it runs around twice is a hole",
    ),
    "slight-crossing": Kind(
        _NOTE, "an outline that does not cross itself", "nothing to do: it concerns next to no pixels"
    ),
    "outside-image": Kind(_ERROR, "an object inside the image", "correct its place or remove it", "drops the object"),
    "beyond-edge": Kind(
        _WARNING, "an object inside the image", "cut it at the edge of the image", "cuts it at the edge"
    ),
    "degenerate-box": Kind(
        _ERROR,
        "a box with a width and a height",
        "draw the box again or remove the object",
        "draws the box around the mask, or drops an object without one",
    ),
    "box-mismatch": Kind(
        _WARNING, "the box around the object's outline", "draw the box again", "draws the box around the outline"
    ),
    "area-mismatch": Kind(
        _WARNING, "the area of the object's pixels", "state the area anew", "states the area of the pixels"
    ),
    "empty-mask": Kind(_ERROR, "an object of one pixel or more", "redraw the object or remove it", "drops the object"),
    "full-mask": Kind(_NOTE, "an object smaller than its image", "look whether it is the object, or its background"),
    "tiny-object": Kind(
        _NOTE, "an object large enough to be learnt", "keep it when it is real; few models find objects of this size"
    ),
    "repeated-object": Kind(_WARNING, "each object once", "remove the copies", "drops the later copy"),
    "near-repeated-object": Kind(_WARNING, "each object once", "look whether it was labelled twice"),
    "two-classes-one-object": Kind(_WARNING, "one class for an object", "decide for one class"),
    "boxes-only": Kind(
        _NOTE, "masks", "train a detector, or make masks of the boxes: maskstream data import with --box-shape"
    ),
    "some-boxes-only": Kind(
        _WARNING, "masks for all objects or for none", "label the masks: training would take the objects as empty"
    ),
    # labels
    "no-images": Kind(_WARNING, "labelled images", "import images"),
    "image-without-label": Kind(_WARNING, "a label", _ADD_LABEL),
    "image-without-class": Kind(_NOTE, "a class of the image as a whole, as others have", "add it when it is known"),
    "unused-class": Kind(
        _WARNING, "objects of every class", "label some, or take the class out: import with --classes"
    ),
    "similar-classes": Kind(
        _WARNING, "class names that differ by more than case, spaces and hyphens", "unite the classes if they are one"
    ),
    "class-imbalance": Kind(
        _NOTE, "classes of similar frequency", "read figures class by class; training may weigh the rare ones more"
    ),
    "strong-class-imbalance": Kind(
        _WARNING, "classes of similar frequency", "gather more of the rare classes, or weigh them more in training"
    ),
    # splits
    "no-splits": Kind(_NOTE, "splits", "make them with: maskstream data split"),
    "empty-split": Kind(_WARNING, "images in every split", _RESPLIT),
    "class-not-in-split": Kind(_WARNING, "every class in every split", f"{_RESPLIT}, or gather more of these classes"),
    "image-in-no-split": Kind(
        _WARNING, "every image in a split, or left out with a reason", f"{_RESPLIT}, or say why under left_out"
    ),
    "left-out-without-reason": Kind(_WARNING, "the reason why a split leaves the image out", "write it down"),
    "group-across-splits": Kind(_ERROR, "a group whole in one split", _RESPLIT),
    "duplicate-across-splits": Kind(
        _ERROR,
        "each image in one split",
        "leave one of the two out",
        "leaves one out: test stays whole, then val",
    ),
    "near-duplicate-across-splits": Kind(
        _ERROR,
        "images of one split unlike those of another",
        "leave one of the two out",
        "leaves one out: test stays whole, then val",
    ),
    "outdated-proof": Kind(
        _WARNING, "a proof of the splits and labels as they are now", "split again, or prove anew", "proves them anew"
    ),
    "duplicate-image": Kind(_WARNING, "each image once", "remove the copy: it weighs double"),
    "near-duplicate-image": Kind(_NOTE, "images that differ", "keep both only when they are two views on purpose"),
}


def finding(code: str, place: object, found: str, *, image: str | None = None, can_fix: bool = True) -> Finding:
    """A finding of a known kind; `can_fix` is False where the kind's fix does not reach this one."""
    kind = KINDS[code]
    return Finding(
        code=code,
        severity=kind.severity,
        place=str(place),
        expected=kind.expected,
        found=found,
        remedy=kind.remedy,
        image=image,
        fix=kind.fix if can_fix else None,
    )
