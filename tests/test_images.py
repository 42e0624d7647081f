"Images: every kind of file that a camera, a phone or an accident leaves behind, and names that are none."
import io
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image, ImageFile

from steel_defects.catalog import read_severstal
from steel_defects.images import _id_fault, image_path, image_size, list_images, read_image, write_image
from steel_defects.layouts import read_label_maps
from test_bad_input import HEAD, harmed, often, refused, sentence

RAMP = np.linspace(0, 255, 48*40).reshape(48, 40).astype(np.uint8)


def save(path, image, **kwargs):
    "Write an array or a Pillow image."
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **kwargs)
    return path


# ---- what is read ----

@pytest.mark.parametrize("mode, ending, close", [
    ("L", "png", 0), ("L", "bmp", 0), ("L", "tif", 0), ("L", "jpg", .05), ("RGB", "png", .005), ("RGB", "jpg", .05), ("RGBA", "png", .005),
    ("LA", "png", .005), ("P", "png", .005), ("CMYK", "jpg", .05), ("CMYK", "tif", .005), ("YCbCr", "jpg", .05), ("RGBX", "tif", .005)])
def test_modes(tmp_path, mode, ending, close):
    "The same grey comes out of every kind of file."
    image = Image.fromarray(RAMP)
    path = save(tmp_path/f"x.{ending}", image.convert(mode) if mode in ("L", "P") else image.convert("RGB").convert(mode))
    grey = read_image(path)
    assert grey.dtype == np.float32 and grey.shape == image_size(path) == RAMP.shape
    assert abs(grey-RAMP/255).max() <= close+1e-6


def test_one_bit_and_transparency(tmp_path):
    assert set(np.unique(read_image(save(tmp_path/"x.png", RAMP > 99)))) == {0, 1}
    half = np.dstack([RAMP]*3+[np.tile(np.linspace(0, 255, 40), (48, 1)).astype(np.uint8)])
    assert abs(read_image(save(tmp_path/"y.png", half))-RAMP/255).max() < .005  # transparency is ignored
    palette = Image.fromarray(RAMP).convert("P")
    palette.info["transparency"] = 0
    assert abs(read_image(save(tmp_path/"z.png", palette))-RAMP/255).max() < .005


def test_an_adobe_cmyk_photograph(tmp_path):
    "Photoshop stores CMYK upside down; white must stay white."
    path = save(tmp_path/"x.jpg", Image.new("CMYK", (16, 16), (0, 0, 0, 0)), quality=95)
    with Image.open(path) as image: assert image.info.get("adobe_transform") is not None
    assert read_image(path).min() > .98


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits(tmp_path, ending):
    values = RAMP.astype(np.uint16)*257
    assert np.allclose(read_image(save(tmp_path/f"x.{ending}", values)), RAMP/255, atol=1e-6)
    assert read_image(save(tmp_path/f"black.{ending}", values*0)).max() == 0
    assert read_image(save(tmp_path/f"dim.{ending}", values//4)).max() == pytest.approx(.25, abs=1e-4)
    refused(lambda: read_image(save(tmp_path/f"y.{ending}", values//16)), tmp_path/f"y.{ending}", "it looks like 12 bits")


def test_numbers_beyond_grey(tmp_path):
    path = tmp_path/"x.tif"
    assert np.allclose(read_image(save(path, (RAMP/255).astype(np.float32))), RAMP/255)
    for bad in (RAMP.astype(np.float32), np.where(RAMP > 9, RAMP/255, np.nan).astype(np.float32), (RAMP/255-.1).astype(np.float32)):
        refused(lambda: read_image(save(path, bad)), path, "not within 0..1")
    assert np.allclose(read_image(save(path, RAMP.astype(np.int32)*257)), RAMP/255)
    for bad in (RAMP.astype(np.int32)-9, RAMP.astype(np.int32)*2**20): refused(lambda: read_image(save(path, bad)), path, "not within 0..65535")


def test_one_pixel_and_very_wide_strips(tmp_path):
    assert read_image(save(tmp_path/"x.png", RAMP[:1, :1])).shape == (1, 1)
    wide = np.tile(RAMP[:32], (1, 500))
    for ending in ("png", "jpg", "tif"):
        assert image_size(save(tmp_path/f"y.{ending}", wide)) == (32, 20000) and read_image(tmp_path/f"y.{ending}").shape == (32, 20000)
    content = HEAD+f"y.png,1,{32*20000} 1\ny.jpg,2,1 {32*20000}\n"
    (tmp_path/"t.csv").write_text(content)
    catalog = read_severstal(tmp_path/"t.csv", tmp_path, image_ids=["y.png", "y.jpg"])
    assert catalog.stack("y.png").sum() == 1 and catalog.stack("y.jpg").sum() == 32*20000


def test_a_mask_of_another_size_than_its_image(tmp_path):
    save(tmp_path/"images"/"x.png", RAMP)
    save(tmp_path/"annotations"/"x.png", RAMP[:, 1:]//64)
    refused(lambda: read_label_maps(tmp_path), tmp_path/"annotations"/"x.png", "48 x 39", "48 x 40", "the size of its image")
    (tmp_path/"t.csv").write_text(HEAD+f"x.png,1,{48*40} 2\n")
    refused(lambda: read_severstal(tmp_path/"t.csv", tmp_path/"images"), tmp_path/"t.csv", "line 2", "x.png", "ends at pixel 1921 of 1920")


def test_spellings_of_endings(tmp_path):
    for name in ("a.JPG", "b.Png", "c.TIFF", "d.jpeg"): save(tmp_path/name, RAMP)
    save(tmp_path/"e", RAMP, format="PNG")
    assert list_images(tmp_path) == ["a.JPG", "b.Png", "c.TIFF", "d.jpeg"]
    assert read_image(tmp_path/"e").shape == RAMP.shape  # named by itself, a file needs no ending
    (tmp_path/"f.jpg").write_bytes((tmp_path/"b.Png").read_bytes())
    assert np.array_equal(read_image(tmp_path/"f.jpg"), RAMP.astype(np.float32)/255)  # the content counts


# ---- what is refused ----

@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "bmp"])
def test_files_cut_off(tmp_path, ending, monkeypatch):
    path = save(tmp_path/f"x.{ending}", np.random.default_rng(0).integers(0, 256, (60, 50), np.uint8))
    whole = path.read_bytes()
    for part in (0, 1, 10, len(whole)//2, len(whole)-40):
        path.write_bytes(whole[:part])
        refused(lambda: read_image(path), path, "replace the file")
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    refused(lambda: read_image(path), path, "set it to False")


def test_what_is_no_image(tmp_path):
    refused(lambda: read_image(tmp_path/"x.jpg"), tmp_path/"x.jpg", kind=FileNotFoundError)
    (tmp_path/"x.jpg").mkdir()
    save(tmp_path/"x.jpg"/"y.png", RAMP)
    refused(lambda: read_image(tmp_path/"x.jpg"), tmp_path/"x.jpg", kind=FileNotFoundError)
    assert list_images(tmp_path) == ["x.jpg/y.png"]
    for name, content in [("page.jpg", b"<html>404</html>"), ("zeros.png", b"\x00"*1000), ("note.tif", b"II*\x00"), ("x.bmp", b"BM"+b"\xff"*60)]:
        (tmp_path/name).write_bytes(content)
        refused(lambda: read_image(tmp_path/name), tmp_path/name)
        refused(lambda: image_size(tmp_path/name), tmp_path/name)


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = save(tmp_path/"x.png", RAMP)
    def denied(*args, **kwargs): raise PermissionError(13, "Permission denied", str(path))
    monkeypatch.setattr(Image, "open", denied)
    refused(lambda: read_image(path), path, "Permission denied")


def test_a_folder_that_may_not_be_listed(tmp_path, monkeypatch):
    (tmp_path/"closed").mkdir()
    scandir = os.scandir
    def denied(path):
        if Path(path).name == "closed": raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)
    monkeypatch.setattr(os, "scandir", denied)
    refused(lambda: list_images(tmp_path), tmp_path/"closed", "cannot be listed", kind=PermissionError)


def test_several_pages(tmp_path):
    pages = [Image.fromarray(RAMP), Image.fromarray(RAMP[::-1])]
    for ending in ("tif", "gif", "png"):
        path = save(tmp_path/f"x.{ending}", pages[0], save_all=True, append_images=pages[1:])
        for read in (read_image, image_size): refused(lambda: read(path), path, "has 2 pages or frames")
    phone = save(tmp_path/"x.jpg", pages[0], format="MPO", save_all=True, append_images=pages[1:])  # the second picture is a preview
    with Image.open(phone) as image: assert image.format == "MPO" and image.n_frames == 2
    assert abs(read_image(phone)-RAMP/255).max() < .05


@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
def test_photographs_turned_by_a_tag(tmp_path, ending):
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = save(tmp_path/f"x.{ending}", RAMP, exif=exif)
        if orientation == 1: assert read_image(path).shape == image_size(path) == RAMP.shape
        else:
            for read in (read_image, image_size): refused(lambda: read(path), path, "turned by its EXIF tag", "save it upright")


def test_decompression_bombs(tmp_path, monkeypatch):
    "A file of a few kilobytes that unpacks to gigabytes is refused by its header; what Pillow only warns about is read."
    path = save(tmp_path/"x.png", np.zeros((2000, 2000), bool))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10**6)
    for read in (read_image, image_size): refused(lambda: read(path), path, "has more pixels than Pillow opens", "raise PIL.Image.MAX_IMAGE_PIXELS")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3*10**6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refused(lambda: image_size(path), path, "raise PIL.Image.MAX_IMAGE_PIXELS")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5*10**6)
    assert image_size(path) == (2000, 2000)


def encoded(ending):
    file = io.BytesIO()
    Image.fromarray(RAMP).save(file, dict(jpg="JPEG", tif="TIFF").get(ending, ending))
    return file.getvalue()


@often(400)
@given(st.data())
def test_a_harmed_image_is_an_image_or_refused(tmp_path, data):
    ending = data.draw(st.sampled_from(["jpg", "png", "tif", "bmp"]))
    (tmp_path/f"x.{ending}").write_bytes(data.draw(harmed(encoded(ending))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own, on damaged tags
        try: grey = read_image(tmp_path/f"x.{ending}")
        except ValueError as e:
            sentence(e, tmp_path/f"x.{ending}")
            return
    assert grey.dtype == np.float32 and grey.ndim == 2 and 0 <= grey.min() <= grey.max() <= 1
    if ending == "png": assert np.array_equal(grey, RAMP.astype(np.float32)/255)  # it has checksums


# ---- what is written ----

def test_writing(tmp_path):
    for ending in ("png", "bmp", "tif", "TIFF"):
        assert np.array_equal(read_image(write_image(tmp_path/f"x.{ending}", RAMP)), RAMP.astype(np.float32)/255)
    for bad in (np.full((4, 4), np.nan), RAMP.astype(int), RAMP > 3, np.zeros((0, 4), np.uint8),
                np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 2)), RAMP[0], np.float64(3)):
        refused(lambda: write_image(tmp_path/"y.png", bad), tmp_path/"y.png", kind=(ValueError, TypeError))
    for name in ("y", "y.webp", "y.npz"): refused(lambda: write_image(tmp_path/name, RAMP), tmp_path/name, "choose one of these")
    refused(lambda: write_image(tmp_path/"wide.jpg", np.zeros((2, 70000), np.uint8)), tmp_path/"wide.jpg")
    assert not [p for p in tmp_path.iterdir() if p.name.startswith("y") or "part" in p.name]


# ---- names ----

@pytest.mark.parametrize("image_id", ["../../x.png", "x/../../y.png", "..", "/etc/x.png",
                                      "//host/x.png", "C:x.png", "C:/x.png", "C:\\x.png", "\\x.png", "..\\x.png", "a\\b.png", "./x.png", "a/./x.png",
                                      "a//x.png", "x.png/", ".", "",
                                      " ", " x.png", "x.png ", "x.png\u00a0", "a\nb.png", "a\rb.png", "a\x00b.png", "a\udce4.png", None, 3, float("nan")])
def test_names_that_lead_out_or_are_spelled_twice(tmp_path, image_id):
    refused(lambda: image_path(tmp_path, image_id), "ImageId")
    frame = HEAD.encode()+f'"{image_id}",1,4 3\n'.encode("utf-8", "surrogateescape")
    (tmp_path/"t.csv").write_bytes(frame)
    if isinstance(image_id, str): refused(lambda: read_severstal(tmp_path/"t.csv", shape=(6, 5)), tmp_path/"t.csv")


@given(st.text(max_size=12) | st.text("./\\: aZ", max_size=8))
def test_a_name_that_passes_stays_inside(name):
    if _id_fault(name): return
    folder = Path("/data/images")
    path = image_path(folder, name)
    assert path.is_relative_to(folder) and Path(os.path.normpath(path)) == path and path.relative_to(folder).as_posix() == name and name.encode()


def test_files_that_no_table_can_name(tmp_path):
    if os.name == "nt": pytest.skip("Windows has no such names")
    for name in ("a\nb.png", "a\\b.png", " a.png"):
        path = save(tmp_path/name, RAMP)
        refused(lambda: list_images(tmp_path), tmp_path, "rename it")
        path.unlink()
    raw = os.fsencode(tmp_path)+b"/a\xe4.png"
    with open(raw, "wb") as f: f.write(encoded("png"))
    refused(lambda: list_images(tmp_path), tmp_path, "no UTF-8", "rename it")


def test_links(tmp_path):
    if os.name == "nt": pytest.skip("links need rights on Windows")
    save(tmp_path/"elsewhere"/"x.png", RAMP)
    (tmp_path/"images").mkdir()
    (tmp_path/"images"/"y.png").symlink_to(tmp_path/"elsewhere"/"x.png")
    (tmp_path/"images"/"gone.png").symlink_to(tmp_path/"nowhere.png")
    assert list_images(tmp_path/"images") == ["gone.png", "y.png"] and read_image(tmp_path/"images"/"y.png").shape == RAMP.shape
    refused(lambda: read_image(tmp_path/"images"/"gone.png"), "gone.png", kind=FileNotFoundError)
    (tmp_path/"linked").symlink_to(tmp_path/"elsewhere")
    assert list_images(tmp_path/"linked") == ["x.png"]
    (tmp_path/"images"/"below").symlink_to(tmp_path/"elsewhere")
    refused(lambda: list_images(tmp_path/"images"), tmp_path/"images"/"below", "is a link to a folder")


def test_hidden_files_are_no_images(tmp_path):
    for name in (".x.png", ".part-1-x.png", ".trash/x.png", "y.png"): save(tmp_path/name, RAMP)
    assert list_images(tmp_path) == ["y.png"]
