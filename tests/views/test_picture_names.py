import unicodedata

import pytest

from meshcli.views.picture_names import PictureNameIndex, path_parts, short_names

SMALL = unicodedata.normalize("NFC", "bär.png")


@pytest.mark.parametrize(
    ("name", "photo"),
    [
        ("images/a.png", "/home/me/images/a.png"),
        ("images/a.png", "elsewhere/a.png"),
        ("./images/a.png", "images/a.png"),
        (".\\images\\a.png", "images/a.png"),
        ("C:\\Users\\Me\\images\\a.png", "/mnt/images/a.png"),
        ("\\\\server\\share\\a.png", "a.png"),
        ("file:///C:/x/my%20photo.png", "my photo.png"),
        ("../images/a.png", "images/a.png"),
        ("x/../images/a.png", "images/a.png"),
        ("images/a.jpg", "cut/a.png"),
        ("images/a.JPG", "images/a.jpg"),
        ("IMG_1.JPG", "img_1.png"),
        ("images/a", "a.png"),
        ("images/a.jpg", "a"),
        ("images/a.jpg", "cut/a.jpg.png"),
        ("frame.0001", "frame.0001.png"),
        ("frame.0001.jpg", "frame.0001.png"),
        ("100%.png", "100%.png"),
        ("b\u00e4r.png", unicodedata.normalize("NFD", "b\u00e4r.png")),
        (unicodedata.normalize("NFD", "B\u00e4r.jpg"), SMALL),
        ("a.CR2", "a.tiff"),
    ],
)
def test_names_of_the_same_picture(name: str, photo: str) -> None:
    assert list(PictureNameIndex(["images/other.png", name]).best_matches(photo)) == [name]
    assert list(PictureNameIndex([photo]).best_matches(name)) == [photo]


@pytest.mark.parametrize(
    ("name", "photo"),
    [("a.png", "b.png"), ("a.png", "aa.png"), ("frame.0001", "frame.0002"), ("frame.0001", "frame.png"),
     ("a/b.png", "a.png"), ("", "a.png"), ("a.png", "")],
)  # fmt: skip
def test_names_of_other_pictures(name: str, photo: str) -> None:
    assert PictureNameIndex([name]).best_matches(photo) == {}


@pytest.mark.parametrize(
    ("photo", "wanted"),
    [
        ("/data/cam/1/0001.png", ["cam/1/0001.png"]),
        ("1/0001.tif", ["cam/1/0001.png"]),
        ("cam\\2\\0001.PNG", ["cam/2/0001.PNG"]),
        ("cam/2/0001.png", ["cam/2/0001.png"]),
        ("other/2/0001.jpg", ["other/2/0001.jpg"]),
        ("0001.jpg", ["other/2/0001.jpg"]),
        ("2/0001.tif", ["cam/2/0001.PNG", "cam/2/0001.png", "other/2/0001.jpg"]),
        ("0001.png", ["cam/1/0001.png", "cam/2/0001.png"]),
        ("cam/7/0001.png", ["cam/1/0001.png", "cam/2/0001.png"]),
        ("cam/1/0001.jpg", ["cam/1/0001.png", "other/2/0001.jpg"]),  # the folder says one, the ending the other
    ],
)
def test_the_longest_common_end_decides(photo: str, wanted: list[str]) -> None:
    names = PictureNameIndex(["cam/1/0001.png", "cam/2/0001.PNG", "cam/2/0001.png", "other/2/0001.jpg"])
    assert sorted(names.best_matches(photo)) == sorted(wanted)


def test_folders_to_the_letter_decide_at_last() -> None:
    assert list(PictureNameIndex(["Cam/a.png", "cam/a.png"]).best_matches("cam/a.jpg")) == ["cam/a.png"]
    assert list(PictureNameIndex(["CAM/a.png", "Cam/a.png"]).best_matches("cam/a.jpg")) == ["CAM/a.png", "Cam/a.png"]


def test_parts() -> None:
    assert path_parts("C:\\a\\.\\b//c/../d.png") == ("C:", "a", "b", "d.png")
    assert path_parts("../../a.png") == ("..", "..", "a.png")
    assert path_parts("/") == path_parts("") == path_parts("a/..") == ()


def test_the_shortest_ends_tell_paths_apart() -> None:
    assert short_names(["/x/a.png", "/y/b.png"]) == ["a.png", "b.png"]
    assert short_names(["/x/cam/0/1.png", "/x/cam/1/1.png", "z.png"]) == ["0/1.png", "1/1.png", "z.png"]
    assert short_names(["a/0/1.png", "b/0/1.png"]) == ["a/0/1.png", "b/0/1.png"]
    assert short_names([".\\images\\a.png"]) == ["a.png"]
    assert short_names(["/x/back\\slash.png", "", "1.png", "1.png"]) == ["back\\slash.png", "", "1.png", "1.png"]
    assert short_names([]) == []
