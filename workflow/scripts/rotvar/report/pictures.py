"""Figures as they stand in the report: the same pixels in a third of the bytes."""

import base64
import io
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from rotvar.errors import damaged
from rotvar.figures import theme

MOST = 16383  # pixels along a side of a WebP
END = b"IEND\xaeB`\x82"  # of every PNG


@dataclass(frozen=True)
class Picture:
    """An image as a data URI, its size in pixels, and where it shows one training only: the left, top, right and bottom
    of its panels, in shares of the size.
    """

    uri: str
    width: int
    height: int
    panels: dict[str, list[float]] = field(default_factory=dict)


@cache  # the landing page shows some figures a second time
def embed(path: str | Path) -> Picture:
    """A PNG as lossless WebP on white; as it is where WebP's limit of 16,383 pixels forbids that, or WebP is larger.

    Raises InputError for a file that is no image.
    """
    path = Path(path)
    try:
        # Not Image.open, which refuses what is as large as the figures of a thousand classes
        with PngImageFile(path) as image:
            image.verify()  # the checksums, which loading does not look at
        image = PngImageFile(path)
        image.load()
        content, kind = path.read_bytes(), "png"
        if not content.endswith(END):
            raise ValueError("it has no end")
    except (OSError, SyntaxError, ValueError) as error:
        raise damaged(path, "cannot be read as an image", error) from error
    if max(image.size) <= MOST:
        picture = Image.new("RGB", image.size, "white")
        picture.paste(image, mask=image.getchannel("A") if image.mode == "RGBA" else None)
        buffer = io.BytesIO()
        picture.save(buffer, "webp", lossless=True, quality=60, method=4)
        if buffer.tell() < len(content):
            content, kind = buffer.getvalue(), "webp"
    uri = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return Picture(uri, *image.size, json.loads(image.info.get(theme.PANELS, "{}")))
