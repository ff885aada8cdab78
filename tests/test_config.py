from pathlib import Path

import pytest

from meshcli.config import options, packaged_configs, read_settings
from meshcli.errors import UsageError
from meshcli.settings import Settings


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("fit:\n  rays: 1\n  resolutions: [8, 16]\ntexture: {faces: 2, size: 64}\n")
    settings = read_settings(file, ["texture.faces=3", "fit.steps=[5, 6]"], {"texture.size": 128, "render.size": None})
    assert settings.fit.rays == 1
    assert settings.fit.resolutions == (8, 16)
    assert settings.fit.steps == (5, 6)
    assert (settings.texture.faces, settings.texture.size) == (3, 128)
    assert settings.render == Settings().render


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("fit.ray=1", "did you mean fit.rays"),
        ("fitt.rays=1", "no setting fitt; did you mean fit"),
        ("faces=1", "did you mean texture.faces"),
        ("rays", "section.key=value"),
        ("fit.rays=many", "type int"),
        ("fit.rays=1.5", "type int"),
        ("fit.rays=true", "type int"),
        ("render.elevation=.nan", "type float"),
        ("fit.steps=[1,x]", "type int"),
        ("fit=3", "must hold keys"),
        ("photo.rembg=3", "type bool"),
        ("a.b=${nothing}", "nothing"),
        ("a.b=[", "--set"),
    ],
)
def test_a_mistake_is_named_with_what_to_write(assignment: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_settings(assignments=[assignment])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_int_passes_for_a_float() -> None:
    assert read_settings(assignments=["render.elevation=-5"]).render.elevation == -5.0


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_an_editor_may_leave_a_mark(encoding: str, tmp_path: Path) -> None:
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
