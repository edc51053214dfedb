"""Writes real files and damaged copies of them beside what lies in a folder, and prints what real decoders see in each: a line of JSON
a file, {"name", "seen"}: [width, height], pages, seconds, or null where the decoder refuses."""
import io
import json
import random
import struct
import sys
import warnings
from pathlib import Path

import mutagen
import pymupdf
from PIL import Image, ImageFile

warnings.simplefilter("ignore")
ImageFile.LOAD_TRUNCATED_IMAGES = True
Image.MAX_IMAGE_PIXELS = None
pymupdf.TOOLS.mupdf_display_errors(False)
pymupdf.TOOLS.mupdf_display_warnings(False)
COPIES = 40
# Of a picture that says it is larger nothing but its size is looked at.
PIXELS_MAX = 20_000_000
chance = random.Random(7)


def images():
    for width, height in ((1, 1), (37, 501), (640, 480), (3000, 2000)):
        picture = Image.new("RGB", (width, height), (200, 30, 90))
        small = Image.new("RGB", (max(1, width // 2), max(1, height // 2)))
        for kind, options in (
            ("png", {}),
            ("png", {"save_all": True, "append_images": [small]}),
            ("jpeg", {}),
            ("jpeg", {"progressive": True, "exif": b"Exif\0\0" + b"\xff\xc0" * 40, "comment": b"\xff\xc0\0\x0b"}),
            ("gif", {"save_all": True, "append_images": [small, picture]}),
            ("webp", {}),
            ("webp", {"lossless": True}),
            ("webp", {"save_all": True, "append_images": [picture], "exif": b"x"}),
            ("mpo", {"save_all": True, "append_images": [small]}),
        ):
            out = io.BytesIO()
            picture.save(out, kind, **options)
            yield f"{width}x{height}.{kind}", out.getvalue()


def documents():
    for pages in (1, 3, 40, 300):
        for options in ({}, {"use_objstms": 1, "deflate": 1, "garbage": 3}, {"linear": 0, "clean": 1}):
            document = pymupdf.open()
            for number in range(pages):
                document.new_page().insert_text((72, 72), f"page {number} " + "otters paddle " * 20)
            document.set_toc([[1, f"chapter {number}", number + 1] for number in range(pages)])
            data = document.tobytes(**options)
            yield f"{pages}-{len(data)}.pdf", data
            changed = pymupdf.open(stream=data)
            changed.delete_page(0) if pages > 1 else changed.new_page()
            yield f"{pages}-{len(data)}-changed.pdf", changed.tobytes(**options)


def damaged(data):
    copy = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        if not copy:
            break
        at = chance.randrange(min(len(copy), chance.choice((64, 600, len(copy)))))
        action = chance.random()
        if action < 0.6:
            copy[at] = chance.choice((0, 1, 255, chance.randrange(256)))
        elif action < 0.8:
            copy[at:at] = copy[at : at + chance.randint(1, 60)]
        else:
            del copy[at : at + chance.randint(1, 30)]
    return bytes(copy)


def seen(path):
    data = path.read_bytes()
    kind = path.suffix
    try:
        if kind == ".pdf":
            return pymupdf.open(stream=data, filetype="pdf").page_count
        if kind in (".wav", ".mp3", ".m4a", ".flac", ".ogg", ".aac"):
            found = mutagen.File(io.BytesIO(data))
            return None if found is None else found.info.length
        picture = Image.open(io.BytesIO(data), formats=["PNG", "JPEG", "GIF", "WEBP", "MPO"])
        width, height = picture.size
        if width * height > PIXELS_MAX or picture.format == "MPO":
            return [width, height]
        for frame in range(min(getattr(picture, "n_frames", 1), 4)):
            picture.seek(frame)
            width, height = max(width, picture.size[0]), max(height, picture.size[1])
        return [width, height]
    except Exception:
        return None


def main(folder):
    for name, data in [*images(), *documents()]:
        stem = f"real-{chance.randrange(10**6)}-{name}"
        (folder / stem).write_bytes(data)
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        if len(data) == 0 or len(data) > 400_000:
            continue
        for number in range(COPIES):
            (folder / f"{path.stem}-damaged-{number}{path.suffix}").write_bytes(damaged(data))
    for path in sorted(folder.iterdir()):
        print(json.dumps({"name": path.name, "seen": seen(path)}), flush=True)


main(Path(sys.argv[1]))
