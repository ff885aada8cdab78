from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from meshcli.config import options, override, packaged_configs, read_settings
from meshcli.errors import UsageError
from meshcli.setting_types import Range, range_of
from meshcli.settings import Settings


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("fit:\n  rays: 1\n  resolutions: [18, 26]\ntexture: {faces: 5, size: 64}\n")
    settings = read_settings(file, ["texture.faces=6", "fit.steps=[5, 6]"], {"texture.size": 128, "render.size": None})
    assert settings.fit.rays == 1
    assert settings.fit.resolutions == (18, 26)
    assert settings.fit.steps == (5, 6)
    assert (settings.texture.faces, settings.texture.size) == (6, 128)
    assert settings.render == Settings().render


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("fit.ray=1", "did you mean fit.rays"),
        ("fitt.rays=1", "no setting fitt; did you mean fit"),
        ("faces=1", "did you mean texture.faces or export.faces?"),
        ("rays", "section.key=value"),
        ("fit.rays=many", "type int"),
        ("fit.rays=1.5", "type int"),
        ("fit.rays=true", "type int"),
        ("render.elevation=.nan", "render.elevation must be between -90 and 90, not nan"),
        ("render.elevation=.inf", "not inf"),
        ("render.elevation=90.5", "not 90.5"),
        ("render.elevation=false", "type float"),
        ("photo.foreground_ratio=0", "photo.foreground_ratio must be between 0.2 and 1, not 0"),
        ("texture.size=-4", "texture.size must be between 16 and 8192, not -4"),
        ("texture.faces=0", "between 4 and"),
        ("lrm.grid=15", "lrm.grid must be 0 or between 16 and 512, not 15"),
        ("zero123plus.view_size=100", "a multiple of 32 between"),
        (f"fit.rays={10**30}", "fit.rays must be between 1 and 1000000, not 1000000000000000000"),
        (f"photo.foreground_ratio={10**400}", "between 0.2 and 1"),
        ("fit.resolutions=[]", "between 1 and 8 entries, not 0"),
        (f"fit.resolutions={[20] * 9}", "between 1 and 8 entries, not 9"),
        ("fit.resolutions=[24,2]", "fit.resolutions must be between"),
        ("fit.steps=[10]", "fit.resolutions has 3 entries and fit.steps 1"),
        ("fit.resolutions=[64,32,104]", "must not get coarser from level to level: [64, 32, 104]"),
        ("sculpt.fit_steps=7", "sculpt.fit_resolutions has 3 entries and sculpt.fit_steps 1"),
        ("photo.rembg_model=3", "type str"),
        ("fit.parts=some", "one of all, large, largest"),
        ("fit.steps=[1,x]", "type int"),
        ("fit=3", "must hold keys"),
        ("photo.rembg=3", "type bool"),
        ("a.b=${nothing}", "nothing"),
        ("a.b=[", "--set"),
    ],
)
def test_errors_name_the_setting_and_what_to_write(assignment: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_settings(assignments=[assignment])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@cache
def numbers() -> list[tuple[str, Range]]:
    found = []
    for section in fields(Settings):
        for field in fields(part := getattr(Settings(), section.name)):
            if allowed := range_of(type(part), field.name):
                found.append((f"{section.name}.{field.name}", allowed))
    return found


def value_of(settings: Settings, key: str) -> Any:
    section, name = key.split(".")
    return getattr(getattr(settings, section), name)


def test_every_number_has_a_range_that_holds_its_default() -> None:
    ranges = dict(numbers())
    for section in fields(Settings):
        for name, value in vars(getattr(Settings(), section.name)).items():
            items = value if isinstance(value, tuple) else (value,)
            if all(isinstance(item, int | float) and not isinstance(item, bool) for item in items):
                assert all(item in ranges[f"{section.name}.{name}"] for item in items)
    assert not Settings().conflict()


@pytest.mark.parametrize(("key", "allowed"), numbers(), ids=lambda each: each if isinstance(each, str) else "")
def test_the_ends_of_a_range_are_in_it_and_what_lies_beyond_is_not(key: str, allowed: Range) -> None:
    default = value_of(Settings(), key)
    step = 1e-6 if isinstance(default, float) else allowed.multiple_of
    count = max(1, len(default)) if isinstance(default, tuple) else 0

    def read(value: float) -> Any:
        number = value if isinstance(default, float) else int(value)
        text = f"[{', '.join([str(number)] * count)}]" if count else str(number)
        return value_of(read_settings(assignments=[f"{key}={text}"]), key)

    for inside in (allowed.low, allowed.high, *([0] if allowed.or_zero else [])):
        assert read(inside) == (tuple([inside] * count) if count else inside)
        assert type(read(inside)) is type(default)
    for outside in (allowed.low - step, allowed.high + step):
        if outside not in allowed:  # -1 + 1 is a meaning of its own for some
            with pytest.raises(UsageError, match=rf"{key} must be .*{allowed}, not ".replace(".", r"\.", 1)):
                read(outside)


STRANGE = (
    st.integers() | st.floats() | st.booleans() | st.none() | st.text(max_size=5) | st.just(10**400) | st.just([])
    | st.lists(st.integers(-3, 600), max_size=4) | st.dictionaries(st.text(max_size=2), st.integers(), max_size=1)
)  # fmt: skip


@st.composite
def assigned(draw: st.DrawFn) -> tuple[str, Any]:
    """A key, and a value at an end of its range, beyond it, or of any other kind."""
    key, allowed = draw(st.sampled_from(numbers()))
    ends = [allowed.low, allowed.high, allowed.low - 1, allowed.high + 1, 0, -0.0, 1, allowed.low + 0.5]
    return key, draw(st.sampled_from(ends) | st.lists(st.sampled_from(ends), max_size=3) | STRANGE)


@settings(max_examples=300, deadline=None, database=None, derandomize=True, phases=[Phase.generate])
@given(st.lists(assigned(), min_size=1, max_size=4))
def test_whatever_is_typed_is_valid_or_named(values: list[tuple[str, Any]]) -> None:
    try:
        found = override(Settings(), dict(values), "typed")
    except UsageError as error:
        message = str(error)
        assert message.startswith("typed: ")
        assert any(key in message for key, _ in values) or "entries" in message
        assert "\n" not in message
        assert len(message) < 300
        return
    for key, allowed in numbers():
        items = value_of(found, key)
        for item in items if isinstance(items, tuple) else (items,):
            assert item in allowed
            assert type(item) is type(allowed.high) or isinstance(item, int | float)
    assert not found.conflict()


def test_flags_know_the_ranges_of_their_settings() -> None:
    """What the parser of the command line lets through, the settings take."""
    from meshcli.commands.generate import generate
    from meshcli.commands.reconstruct import reconstruct
    from meshcli.commands.render import render

    flags = {
        generate: {"max_pixels": "photo.max_pixels", **{name: f"zero123plus.{name}" for name in (
            "steps", "guidance", "batch", "checkpoint_every", "preview")}},
        reconstruct: {"faces": "texture.faces", "texture_size": "texture.size", "grid": "lrm.grid"},
        render: {name: f"render.{name}" for name in ("frames", "size", "elevation", "fps", "distance")},
    }  # fmt: skip
    ranges = dict(numbers())
    for command, names in flags.items():
        kinds = get_type_hints(command, include_extras=True)
        parsers = {name: option.parser for name, kind in kinds.items() for option in get_args(kind)[1:]
                   if getattr(option, "parser", None)}  # fmt: skip
        assert set(parsers) == set(names)
        for name, key in names.items():
            low, high = ranges[key].low, ranges[key].high
            assert (parsers[name](f"{low}"), parsers[name](f"{high}")) == (low, high)
            for text in (f"{low - 1}", f"{high + 1}", "nan", "1e400", "x", "9" * 5000):
                if text != "0":  # has a meaning of its own for some
                    flag = name.replace("_", "-")
                    with pytest.raises(UsageError, match=f"^--{flag} {text[:9]}.*{key} must be (of type|.*between) "):
                        parsers[name](text)


def test_an_int_passes_for_a_float() -> None:
    assert read_settings(assignments=["render.elevation=-5"]).render.elevation == -5.0


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_are_accepted(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("fit:\r\n  rays: 7\r\n", encoding=encoding, newline="")
    assert read_settings(tmp_path / "mine.yaml").fit.rays == 7


@pytest.mark.parametrize("text", ["[", "- 1", "fit: {rais: 1}", "\x00"])
def test_a_bad_file_is_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"bad\.yaml") as caught:
        read_settings(file)
    assert "\n" not in str(caught.value)


def test_packaged_configurations_are_found_by_name_and_valid() -> None:
    names = [path.stem for path in packaged_configs().glob("*.yaml")]
    assert "quick" in names
    assert read_settings(Path("quick")) == read_settings(packaged_configs() / "quick.yaml") != Settings()
    with pytest.raises(UsageError, match=r"packaged ones are: .*quick"):
        read_settings(Path("quack"))


def test_options_are_plain_json() -> None:
    assert options(Settings(), "fit")["fit"]["resolutions"] == list(Settings().fit.resolutions)
