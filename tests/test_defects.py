"Classes: colours and looks survive JSON, and what JSON may hold wrongly is one sentence."
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steel_defects.defects import NEU_SEG, PATTERNS, SEVERSTAL, TYPES, DefectClass, class_dicts, classes_from_dicts, classes_from_names

looks = st.fixed_dictionaries(dict(name=st.text(max_size=8), type=st.sampled_from([*TYPES]), tint=st.floats(-1, 1), pattern=st.sampled_from(PATTERNS)),
                              optional=dict(color=st.one_of(st.none(), st.from_regex("#[0-9a-fA-F]{6}", fullmatch=True))))


@given(st.lists(looks, max_size=6))
def test_classes_survive_json(dicts):
    classes = classes_from_dicts([dict(d, id=n) for n, d in enumerate(dicts, 1)])
    assert classes_from_dicts(json.loads(json.dumps(class_dicts(classes)))) == classes
    for c, d in zip(classes, dicts):
        assert len(c.color) == 3 and all(type(v) is int and 0 <= v <= 255 for v in c.color)
        if d.get("color"): assert "#"+bytes(c.color).hex() == d["color"].lower() == c.own_color


def test_classes_without_own_color_are_written_as_ever():
    assert json.dumps(class_dicts(SEVERSTAL[:1])) == '[{"id": 1, "name": "inclusion", "type": "inclusion", "tint": 0.0, "pattern": "dots"}]'
    assert all("color" not in d for d in class_dicts((*SEVERSTAL, *NEU_SEG, *classes_from_names(["rust", "hole"]))))


@given(st.lists(st.tuples(st.sampled_from(["crack", "hole", "rust", "roll mark"]), st.sampled_from([None, *TYPES])), max_size=5))
def test_up_to_five_classes_of_a_type_look_different(pairs):
    classes = classes_from_dicts([dict(id=n, name=name) | ({"type": kind} if kind else {}) for n, (name, kind) in enumerate(pairs, 1)])
    assert len({c.color for c in classes}) == len(classes)


@pytest.mark.parametrize("wrong", [dict(color="teal"), dict(color="#12345"), dict(color="#12345g"), dict(color=[1, 2, 3]), dict(color=""), dict(color="#123456\n"),
                                   dict(tint=2), dict(tint="dark"), dict(tint=float("nan")), dict(tint=None), dict(pattern="waves"), dict(pattern=[]),
                                   dict(type="rust"), dict(type=None), dict(type=[]), dict(type={}), dict(id=0)])
def test_what_is_wrong_is_one_sentence(wrong):
    with pytest.raises(ValueError) as e: classes_from_dicts([dict(id=1, name="rust") | wrong])
    assert ": " in str(e.value) and "\n" not in str(e.value)


def test_own_color_is_kept_in_small_letters():
    assert DefectClass(1, "scale", TYPES["patch"], own_color="#00B7C3") == DefectClass(1, "scale", TYPES["patch"], own_color="#00b7c3")
