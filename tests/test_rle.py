"Run-length text: random round trips, malformed text, and the real table."
import csv
import threading
import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from steel_defects.rle import rle_area, rle_decode, rle_encode, rle_faults, rle_runs

import pandas as pd

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24))


def decoded_by_loop(text, shape):
    "The definition, pixel by pixel: counted from 1, down the columns."
    mask, values = np.zeros(shape, bool), list(map(int, text.split()))
    for start, length in zip(values[::2], values[1::2]):
        for pixel in range(start-1, start-1+length): mask[pixel%shape[0], pixel//shape[0]] = True
    return mask


def faultless(text, size):
    "The rules in plain Python: whole numbers in pairs, from 1, ascending, apart, inside, 64 bits."
    words = text.split()
    if not all(w.lstrip("+-").isascii() and w.lstrip("+-").isdigit() and len(w)-len(w.lstrip("+-")) <= 1 for w in words): return False
    values = [int(w) for w in words]
    if len(values)%2 or any(abs(v) >= 2**63 for v in values): return False
    end = 0
    for start, length in zip(values[::2], values[1::2]):
        if start <= end or length < 1: return False
        end = start+length-1
    return end <= size


@given(masks)
def test_mask_to_text_and_back(mask):
    text = rle_encode(mask)
    assert np.array_equal(rle_decode(text, mask.shape), mask)
    assert np.array_equal(decoded_by_loop(text, mask.shape), mask)
    assert rle_area(text) == mask.sum()
    assert rle_encode(rle_decode(text, mask.shape)) == text


@given(masks)
def test_neighbouring_runs_are_joined_and_memory_order_does_not_matter(mask):
    pixels = np.flatnonzero(mask.ravel(order="F"))+1
    single = " ".join(f"{p} 1" for p in pixels)
    assert np.array_equal(rle_decode(single, mask.shape), mask)
    assert rle_encode(rle_decode(single, mask.shape)) == rle_encode(mask)
    assert rle_encode(np.asfortranarray(mask)) == rle_encode(np.ascontiguousarray(mask)) == rle_encode(mask.astype(np.uint8))


@given(st.lists(st.integers(-3, 40), max_size=8))
@settings(max_examples=300)
def test_numbers_are_accepted_exactly_when_they_keep_the_rules(values):
    text = " ".join(map(str, values))
    if faultless(text, 30):
        assert np.array_equal(rle_decode(text, (6, 5)), decoded_by_loop(text, (6, 5)))
    else:
        with pytest.raises(ValueError, match="run-length text"): rle_runs(text, 30)


@given(st.one_of(st.text(max_size=20), st.text("0123456789 +-.,\t\n\x00exa", max_size=20)))
@settings(max_examples=500)
def test_any_text_is_read_rightly_or_refused(text):
    try: starts, lengths = rle_runs(text, 10**6)
    except ValueError as e: assert "run-length text" in str(e) and not faultless(text, 10**6)
    else:
        assert faultless(text, 10**6)
        assert [n for pair in zip(starts+1, lengths) for n in pair] == [int(w) for w in text.split()]


@pytest.mark.parametrize("text", ["18446744073709551620 3", "-99999999999999999999 3", "4 9223372036854775807", "1 2 "+"9"*5000+" 1"])
def test_numbers_beyond_64_bits(text):
    with pytest.raises(ValueError, match="a number too large for 64 bits"): rle_runs(text)
    with pytest.raises(ValueError, match="ends beyond 64 bits"): rle_runs("9223372036854775800 100")


@pytest.mark.parametrize("text", ["٤ ٣", "４ ３", "4 ³", "4 Ⅲ", "4.0 3", "4 3.", "1e3 2", "0x4 3", "4_0 3", "4,3", "4;3", "4 3 nan", "4 3 -", 
                                  "+ 4", "--4 3", "4 3\x00", "4\x003", "4 \ud800", "inf 3", "None", "4 3 x"])
def test_what_looks_like_a_number_and_is_none(text):
    with pytest.raises(ValueError, match="not a whole number"): rle_runs(text)


@pytest.mark.parametrize("text", ["4 3 10 6", " 4  3\t10\n6\r\n", "+4 3 +10 6", "0004 3 10 6", "4\u00a03\u200910 6", "4\x0b3\x0c10 6"])
def test_spellings_of_the_same_numbers(text):
    assert [a.tolist() for a in rle_runs(text)] == [[3, 9], [3, 6]]


@pytest.mark.parametrize("text", ["", " ", "\n", "\u00a0"])
def test_nothing_is_nothing(text): assert rle_area(text) == 0 and not rle_decode(text, (3, 4)).any()


def test_a_long_text_is_refused_in_a_short_sentence():
    for text in ("7 1 "*10**5, "1 "*(10**5+1), "1"*10**5+" 1", "1 1 x"*10**5):
        with pytest.raises(ValueError) as e: rle_runs(text)
        assert len(str(e.value)) < 200
    assert rle_area(" ".join(f"{n} 1" for n in range(1, 2*10**6, 2))) == 10**6


def test_threads_and_strict_warnings():
    "Reading touches no setting of the process, so loader threads cannot get into each other's way, and numpy has nothing to warn of."
    filters, faults, stop = list(warnings.filters), [], time.monotonic()+.3
    def read():
        while time.monotonic() < stop:
            if rle_area("4 3 10 6") != 9: faults.append("wrong")
            try: faults.append(rle_runs("4 x"))
            except ValueError: pass
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inside = list(warnings.filters)
        threads = [threading.Thread(target=read) for _ in range(4)]
        for t in threads: t.start()
        for t in threads: t.join()
        assert list(warnings.filters) == inside
    assert not faults and list(warnings.filters) == filters


@pytest.mark.parametrize("value", [None, float("nan"), 3, ["1 2"]])
def test_what_is_not_text(value):
    with pytest.raises(TypeError, match="use '' for an empty mask"): rle_runs(value)


def test_a_run_reaches_the_last_pixel_and_no_further():
    assert rle_decode("30 1", (6, 5))[5, 4]
    with pytest.raises(ValueError, match="ends at pixel 31 of 30"): rle_decode("30 2", (6, 5))
    assert rle_decode("", (0, 0)).shape == (0, 0)


def test_faults_have_their_line():
    table = pd.DataFrame(dict(ImageId=list("aab"), ClassId=[1, 2, 1], EncodedPixels=["1 2", "x", "7"]))
    faults = rle_faults(table, dict(a=(2, 2), b=(2, 2)))
    assert faults.row.tolist() == [3, 4] and faults.ImageId.tolist() == ["a", "b"]
    assert rle_faults(table, dict(a=(2, 2))).fault.tolist()[1] == "the size of 'b' is not known"


def test_all_real_rows_decode_and_encode_to_the_same_text(shared_data):
    with open(shared_data/"severstal"/"train.csv", newline="") as f: rows = list(csv.DictReader(f))
    assert len(rows) == 5488
    for row in rows:
        mask = rle_decode(row["EncodedPixels"], (256, 1600))
        assert rle_encode(mask) == row["EncodedPixels"], row["ImageId"]
        assert rle_area(row["EncodedPixels"]) == mask.sum()
