"""Pictures inside a page: no file beside it, and no more bytes than a screen can show."""

import base64
import io
from pathlib import Path

from PIL import Image

#: Of the pictures in the page, in pixels: twice what a phone has, and a wide column's own.
MAX_WIDTH = 1200
QUALITY = 80


def embedded(path: Path) -> dict | None:
    """A picture file as a data URI (WebP, a tenth of the PNG), with its size: ``source, width, height``.

    None where there is no such file.
    """
    if not path.exists():
        return None
    with Image.open(path) as image:
        picture = image.convert("RGB")
    if picture.width > MAX_WIDTH:
        height = round(picture.height * MAX_WIDTH / picture.width)
        picture = picture.resize((MAX_WIDTH, height), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    picture.save(content, "webp", quality=QUALITY, method=2)
    encoded = base64.b64encode(content.getvalue()).decode("ascii")
    return {
        "source": f"data:image/webp;base64,{encoded}",
        "width": picture.width,
        "height": picture.height,
    }
