"""How the files of images begin. Knows the first bytes of formats; decodes nothing."""

import re

BEGINNINGS = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|BM....\0\0\0\0|II\*\0|MM\0\*"
    rb"|....ftyp(?:avif|avis|heic|heix|mif1|msf1)|\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    re.DOTALL,
)


def begins_an_image(head: bytes) -> bool:
    r"""Whether a file that begins so is an image, of any kind that the web serves.

    >>> begins_an_image(b"\x89PNG\r\n\x1a\n"), begins_an_image(b"a caption"), begins_an_image(b"")
    (True, False, False)
    """
    return BEGINNINGS.match(head) is not None
