"Files: whole or not there, whatever goes wrong while they are written, and JSON that is none."
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from steel_defects.files import read_json, replacing, write_json
from steel_defects.images import list_images
from test_bad_input import refused, sentence


def write(path, text="new"):
    with replacing(path) as part: part.write_text(text)


def only(folder, *names): assert sorted(p.name for p in folder.iterdir()) == sorted(names)


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    write(tmp_path/"x.txt", "old")
    with replacing(tmp_path/"x.txt") as part:
        part.write_text("new")
        assert (tmp_path/"x.txt").read_text() == "old" and part.suffix == ".txt" and part.parent == tmp_path
    assert (tmp_path/"x.txt").read_text() == "new"
    for error in (ValueError("x"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            with replacing(tmp_path/"x.txt") as part:
                part.write_text("half")
                raise error
    with pytest.raises(FileNotFoundError, match="no-such-image"):
        with replacing(tmp_path/"x.txt"): Path("no-such-image").read_bytes()
    with pytest.raises(FileNotFoundError) as e:  # what the block reads is not what it writes
        with replacing(tmp_path/"x.txt"): (tmp_path/"y.txt").read_bytes()
    assert "cannot be written" not in str(e.value)
    assert (tmp_path/"x.txt").read_text() == "new"
    only(tmp_path, "x.txt")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a device of Linux")
def test_disk_full(tmp_path):
    write(tmp_path/"found.csv", "old")
    def full():
        with replacing(tmp_path/"found.csv") as part:
            part.symlink_to("/dev/full")
            part.write_text("new")
    refused(full, tmp_path/"found.csv", "No space left on device", "free some space", kind=OSError)
    assert (tmp_path/"found.csv").read_text() == "old"
    only(tmp_path, "found.csv")


def test_disk_full_as_other_libraries_say_it(tmp_path, monkeypatch):
    def fails(error):
        with replacing(tmp_path/"x.bin"): raise error
    def refuse(error): return refused(lambda: fails(error), tmp_path/"x.bin", "free some space", kind=OSError)
    refuse(Exception("I/O error: No space left on device (os error 28)"))
    with pytest.raises(RuntimeError, match="unexpected pos"): fails(RuntimeError("unexpected pos 576 vs 534"))
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), dict(free=512)))
    refuse(RuntimeError("[enforce fail at inline_container.cc]\nunexpected pos 576 vs 534"))
    with pytest.raises(ValueError, match="a fault of the data"): fails(ValueError("a fault of the data"))


LIMITED = """
import resource, signal, sys
import numpy as np, pandas as pd
from pathlib import Path
from steel_defects.catalog import read_severstal, write_labels, write_submission
from steel_defects.files import replacing, write_json
from steel_defects.images import write_image
folder = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
text = " ".join(f"{n} 1" for n in range(1, 4000, 2))
rows = pd.DataFrame(dict(ImageId=["a.jpg"], ClassId=[1], EncodedPixels=[text]))
noise = np.random.default_rng(0).integers(0, 256, (90, 90), np.uint8)
def table():
    with replacing(folder/"old.csv") as part: rows.to_csv(part)
def arrays():
    with replacing(folder/"old.npz") as part: np.savez_compressed(part, noise=noise)
jobs = {"old.json": lambda: write_json(folder/"old.json", list(range(2000))), "old.csv": table, "old.npz": arrays,
        "found.csv": lambda: write_submission(rows, folder/"found.csv"),
        **{f"strip.{e}": (lambda e=e: write_image(folder/f"strip.{e}", noise)) for e in ("png", "jpg", "tif", "bmp")}}
for name, job in jobs.items():
    try: job()
    except OSError as e: print(e)
    else: print(f"{name} was written")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of file sizes is set as on Linux")
def test_files_that_grow_beyond_what_is_allowed(tmp_path):
    for name in ("old.json", "old.csv", "old.npz"): (tmp_path/name).write_text("old")
    run = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert len(lines) == 8
    for line, name in zip(lines, ["old.json", "old.csv", "old.npz", "found.csv", "strip.png", "strip.jpg", "strip.tif", "strip.bmp"]):
        sentence(line, tmp_path/name, "cannot be written")
    only(tmp_path, "old.json", "old.csv", "old.npz")
    assert {p.read_text() for p in tmp_path.iterdir()} == {"old"}


def test_places_that_cannot_be_written(tmp_path, monkeypatch):
    write(tmp_path/"file", "old")
    refused(lambda: write(tmp_path/"file"/"x.txt"), tmp_path/"file"/"x.txt", "a file stands where a folder is wanted", kind=OSError)
    refused(lambda: write(tmp_path/"file"/"below"/"x.txt"), tmp_path/"file"/"below"/"x.txt", "a file stands where a folder is wanted", kind=OSError)
    (tmp_path/"folder").mkdir()
    refused(lambda: write(tmp_path/"folder"), tmp_path/"folder", "name a file in it", kind=OSError)
    refused(lambda: write(tmp_path/("x"*255)), "choose a shorter name", kind=OSError)
    def denied(self, *args, **kwargs): raise PermissionError(13, "Permission denied", str(self))
    monkeypatch.setattr(Path, "write_text", denied)
    refused(lambda: write(tmp_path/"y.txt"), tmp_path/"y.txt", "Permission denied", "choose a folder that you may write to", kind=PermissionError)
    monkeypatch.setattr(Path, "mkdir", denied)
    refused(lambda: write(tmp_path/"new"/"y.txt"), tmp_path/"new"/"y.txt", "choose a folder that you may write to", kind=PermissionError)
    only(tmp_path, "file", "folder")


def test_a_folder_that_may_not_be_written(tmp_path):
    if os.name == "nt" or os.geteuid() == 0: pytest.skip("the administrator may write everywhere; the case above pretends")
    (tmp_path/"closed").mkdir(mode=0o500)
    for path in (tmp_path/"closed"/"x.txt", tmp_path/"closed"/"a"/"x.txt"):
        refused(lambda: write(path), path, "choose a folder that you may write to", kind=PermissionError)


def test_a_read_only_file_is_not_replaced(tmp_path, monkeypatch):
    write(tmp_path/"decision.json", "chosen with care")
    (tmp_path/"decision.json").chmod(0o444)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).stat().st_mode & 0o222)  # as for anyone but the administrator
    refused(lambda: write(tmp_path/"decision.json"), tmp_path/"decision.json", "it is read-only", kind=PermissionError)
    assert (tmp_path/"decision.json").read_text() == "chosen with care"
    only(tmp_path, "decision.json")


KILLED = """
import sys, time
from pathlib import Path
from steel_defects.files import replacing
with replacing(Path(sys.argv[1])) as part:
    part.write_text("half")
    print("half", flush=True)
    time.sleep(60)
"""


def test_killed_while_writing(tmp_path):
    write(tmp_path/"strip.png", "old")
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path/"strip.png")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "half\n"
    process.kill()
    process.wait()
    process.stdout.close()
    assert (tmp_path/"strip.png").read_text() == "old" and len(list(tmp_path.glob(".part-*.png"))) == 1
    assert list_images(tmp_path) == ["strip.png"]
    write(tmp_path/"strip.png")
    assert (tmp_path/"strip.png").read_text() == "new"


def test_two_who_write_the_same_file(tmp_path):
    "The file is at every moment that of one of them, whole."
    texts, faults, done = [str(n)*200000 for n in range(4)], [], threading.Event()
    write(tmp_path/"x.txt", texts[0])
    def writer(text):
        try:
            for _ in range(20): write(tmp_path/"x.txt", text)
        except Exception as e: faults.append(e)
    threads = [threading.Thread(target=writer, args=(t,)) for t in texts]
    for t in threads: t.start()
    while any(t.is_alive() for t in threads):
        if (tmp_path/"x.txt").read_text() not in texts: faults.append("mixed")
    assert not faults and (tmp_path/"x.txt").read_text() in texts
    only(tmp_path, "x.txt")


# ---- JSON ----

@pytest.mark.parametrize("data", [float("nan"), {"dice": [1, float("inf")]}, {"n": np.int64(3)}, {"a": {1, 2}}, {(1, 2): 3}])
def test_what_json_cannot_hold_leaves_the_old_file(tmp_path, data):
    write_json(tmp_path/"scores.json", {"dice": .5})
    refused(lambda: write_json(tmp_path/"scores.json", data), tmp_path/"scores.json", kind=(ValueError, TypeError))
    assert read_json(tmp_path/"scores.json") == {"dice": .5}
    only(tmp_path, "scores.json")


@pytest.mark.parametrize("content", [b"", b"{", b"{'a': 1}", b'{"a": 1}{',
                                     b"\xff\xfe{\x00}\x00", b'{"a": "\xe4"}', b"NaN", b'{"a": Infinity}', b"\x00", b"[" * 100000, b"1"*5000, b'"a\nb"'])
def test_what_is_not_json(tmp_path, content):
    (tmp_path/"config.json").write_bytes(content)
    refused(lambda: read_json(tmp_path/"config.json"), tmp_path/"config.json")


def test_json_from_an_editor_of_windows(tmp_path):
    (tmp_path/"config.json").write_bytes(b'\xef\xbb\xbf{"n": "\xc3\xa4"}\r\n')
    assert read_json(tmp_path/"config.json") == {"n": "ä"}
    assert read_json(write_json(tmp_path/"list.json", ["ä", None, 1.5])) == ["ä", None, 1.5]
    assert json.loads((tmp_path/"list.json").read_text(encoding="utf-8")) == ["ä", None, 1.5]
    for missing in (tmp_path/"gone.json", tmp_path): refused(lambda: read_json(missing), missing, kind=FileNotFoundError)
