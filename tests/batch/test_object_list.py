"""Lists of objects: every format, what a row becomes, and what is wrong with it."""

import json
from pathlib import Path

import pytest

from meshcli.batch.object_list import BatchFlags, CheckedList, check_list
from meshcli.errors import InputError, UsageError

OUT = Path("out")


@pytest.fixture(autouse=True)
def _pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("desk/1.jpg", "desk/2.jpg", "desk/10.jpg", "desk/notes.txt", "owl_a.png", "owl_b.png", "big owl.png"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(b"picture")
    Path("rig.json").write_text("{}")


def read(text: str, name: str = "list.csv", flags: BatchFlags | None = None) -> CheckedList:
    Path(name).write_text(text, encoding="utf-8")
    return check_list(Path(name), OUT, flags or BatchFlags())


def problem(cells: str, header: str = "name,photos,azimuth,rig,engine,settings,height,export") -> str:
    """What is wrong with the only row of a list."""
    found = read(f"{header}\n{cells}\n")
    assert [(each.line, found.objects) for each in found.problems] == [(2, ())]
    return str(found.problems[0])


def test_a_row_becomes_the_words_of_run(tmp_path: Path) -> None:
    found = read(
        "Name,Photos,Azimuth,Engine,Settings,Height,Export\n"
        'desk,desk/*.jpg,"0,90,180",sculpt fit,fit.rays=2000 texture.size=64,45cm,"glb,usd"\n'
        "owl,owl_a.png; owl_b.png,,,,,\n",
        flags=BatchFlags(("--config=quick",), ("--azimuth=0,20",), 2),
    )
    desk, owl = found.objects
    assert desk.words == (
        "--config=quick", "--azimuth=0,90,180", "--generator=sculpt", "--reconstructor=fit", "--set=fit.rays=2000",
        "--set=texture.size=64", "--export=glb,usd", "--height=45cm",
        *(str(tmp_path / "desk" / name) for name in ("1.jpg", "2.jpg", "10.jpg")),
    )  # fmt: skip
    assert (desk.project, desk.line, desk.stages[-1]) == (OUT / "desk", 2, "export")
    assert owl.words == ("--config=quick", "--azimuth=0,20", str(tmp_path / "owl_a.png"), str(tmp_path / "owl_b.png"))
    assert owl.stages == ("generate", "select", "reconstruct", "render")


def test_all_formats_say_the_same() -> None:
    rows = [
        {
            "name": "007",
            "photos": ["owl_a.png", "owl_b.png"],
            "azimuth": [0, 90.5],
            "settings": {"fit": {"rays": 2000}},
        },
        {"name": "Größe 2", "photos": "desk/1.jpg@45", "azimuth": None, "settings": {"fit.rays": 2000}},
    ]
    texts = {
        "list.csv": "name;photos;azimuth;settings\r\n007;owl_a.png|owl_b.png;0 90.5;fit.rays=2000\r\n"
        "Größe 2;desk/1.jpg@45;;fit.rays=2000\r\n",
        "list.jsonl": "\n\n".join(map(json.dumps, rows)),
        "list.json": json.dumps(rows, indent=1),
        "list.yaml": "- name: 007\n  photos: [owl_a.png, owl_b.png]\n  azimuth: [0, 90.5]\n"
        "  settings: {fit.rays: 2000}\n"
        "- {name: Größe 2, photos: desk/1.jpg@45, azimuth: ~, settings: {fit: {rays: 2000}}}\n",
    }
    found = {name: read(f"\ufeff{text}", name) for name, text in texts.items()}
    assert [each.problems for each in found.values()] == [()] * 4
    words = {tuple((item.name, item.words) for item in each.objects) for each in found.values()}
    assert len(words) == 1
    (first, _), (second, said) = next(iter(words))
    assert (first, second) == ("007", "Größe 2")
    assert said[0] == "--set=fit.rays=2000"
    assert said[1].endswith("desk/1.jpg@45")
    assert [item.line for item in found["list.yaml"].objects] == [1, 5]
    assert [item.line for item in found["list.jsonl"].objects] == [1, 3]


def test_a_folder_of_folders_and_a_folder_of_pictures(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    folders = check_list(tmp_path, OUT, BatchFlags())
    assert [(item.name, item.words) for item in folders.objects] == [("desk", (str(tmp_path / "desk"),))]
    pictures = check_list(Path("desk"), OUT, BatchFlags())
    assert [item.name for item in pictures.objects] == ["1", "2", "10"]
    Path("desk/1.png").write_bytes(b"picture")
    assert "the name is there already" in str(check_list(Path("desk"), OUT, BatchFlags()).problems[0])
    with pytest.raises(InputError, match="neither pictures nor folders"):
        check_list(tmp_path / "empty", OUT, BatchFlags())


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (",desk/1.jpg", "line 2: has no name"),
        ("../x,desk/1.jpg", "line 2: ../x: the name leads out of DIR"),
        ("/x,desk/1.jpg", "the name leads out of DIR"),
        ("a\\b,desk/1.jpg", "the name leads out of DIR"),
        (".,desk/1.jpg", "the name leads out of DIR"),
        (".x,desk/1.jpg", "begins with a dot"),
        ("a\u202eb,desk/1.jpg", "cannot be printed"),
        ("Batch.CSV,desk/1.jpg", "a file of the batch's own"),
        (f"{'ü' * 80},desk/1.jpg", "longer than 150 bytes"),
        ("x,", "has no photos"),
        ("x,desk/1.jpeg", "there is no photo desk/1.jpeg; did you mean"),
        ("x,desk/*.png", "no picture fits desk/*.png"),
        ("x,desk/1.jpg,north", "the azimuth north is no number of degrees; leave it empty where it is unknown"),
        ("x,desk/1.jpg,nan", "the azimuth nan is no number"),
        ("x,desk/1.jpg,0 90", "has 2 azimuths for 1 photo"),
        ("x,desk/1.jpg@20,0", "has azimuths twice"),
        ("x,desk,0", "has 1 azimuth for 3 photos"),
        ("x,desk/1.jpg,,rig2.json", "there is no rig rig2.json"),
        ("x,desk/1.jpg,0,rig.json", "has an azimuth and a rig"),
        ("x,desk/1.jpg,,,sculp", "sculp is no engine (did you mean sculpt?)"),
        ("x,desk/1.jpg,,,import", "import is no engine"),
        ("x,desk/1.jpg,,,sculpt zero123plus", "engines of the same step"),
        ("x,desk/1.jpg,,,,fit.ray=3", "there is no setting fit.ray; did you mean fit.rays"),
        ("x,desk/1.jpg,,,,fit.rays=0", "--set fit.rays=0: fit.rays must be"),
        ("x,desk/1.jpg,,,,fit.rays=many", "must be of type int"),
        ("x,desk/1.jpg,,,,,45cm", "a height is for an export"),
        ("x,desk/1.jpg,,,,,45,glb", "has no unit"),
        ("x,desk/1.jpg,,,,,,gbl", "gbl is no format (did you mean glb?)"),
        ("x,desk/1.jpg,,,,,,,more", "has 9 fields for 8 columns"),
        (f"x,{'y' * 1_000_000}", "has 1,000,000 characters in photos"),
    ],
)  # fmt: skip
def test_every_mistake_in_a_row_is_named(cells: str, says: str) -> None:
    assert says in problem(cells)


def test_the_same_name_twice_is_named_with_the_line_of_the_first() -> None:
    found = read("name,photos\nÜber,desk/1.jpg\n\nu\u0308ber,desk/2.jpg\nother,desk/2.jpg\n")
    assert [item.name for item in found.objects] == ["Über", "other"]
    assert [str(each) for each in found.problems] == [
        "line 4: u\u0308ber: the name is there already, in line 2 as \xdcber; some disks take both for the same"
    ]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("list.csv", "", "list.csv is empty: it names no object"),
        ("list.csv", "name,photos\n", "is empty"),
        ("list.jsonl", "\n\n", "is empty"),
        ("list.yaml", "# nothing\n", "is empty"),
        ("list.csv", "name,fotos\nx,desk/1.jpg\n", "there is no column fotos; did you mean photos?"),
        ("list.csv", "photos\ndesk/1.jpg\n", "has no column name"),
        ("list.csv", "name,Name\nx,y\n", "the column name is there twice"),
        ("list.csv", 'name,photos\nx,"desk\n', "unexpected end of data"),
        ("list.yaml", "name: x\n", "it holds no list"),
        ("list.yaml", "- &a [x]\n- *a\n", "line 2: write values out instead of *alias"),
        ("list.yaml", "[" * 5000, "nested too deeply"),
        ("list.yaml", "- {name: x", "line 1, column"),
        ("list.docx", "x", "ends with .csv"),
    ],
)
def test_what_is_wrong_with_a_whole_list(name: str, text: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text, name)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_lists_that_are_no_text_or_not_there(tmp_path: Path) -> None:
    Path("list.csv").write_bytes(b"name,photos\n\xff\xfe\xff")
    with pytest.raises(InputError, match="no text in UTF-8"):
        check_list(Path("list.csv"), OUT, BatchFlags())
    Path("list.csv").write_bytes(b"name\0")
    with pytest.raises(InputError, match="holds a NUL"):
        check_list(Path("list.csv"), OUT, BatchFlags())
    with pytest.raises(InputError, match=r"no list of objects lst\.csv; did you mean list\.csv"):
        check_list(Path("lst.csv"), OUT, BatchFlags())


def test_rows_that_are_no_tables_are_named_and_the_others_stay() -> None:
    found = read(
        '{"name": "a", "photos": "desk/1.jpg"}\n{"name": "b", "pho\n[1]\n{"name": "c", "name": "d"}', "l.jsonl"
    )
    assert [item.name for item in found.objects] == ["a"]
    assert [each.line for each in found.problems] == [2, 3, 4]
    assert "is no JSON: Unterminated string" in found.problems[0].problem
    tagged = read("- !!python/object/apply:os.system [date]\n- {name: a, photos: desk/1.jpg}\n", "l.yaml")
    assert "the tag !!python/object/apply:os.system is not for lists" in str(tagged.problems[0])
    assert len(tagged.objects) == 1


def test_a_file_whose_name_looks_like_several_is_one(tmp_path: Path) -> None:
    Path("a;b[1].png").write_bytes(b"picture")
    found = read('name,photos\nx,"a;b[1].png"\n')
    assert found.objects[0].words == (str(tmp_path / "a;b[1].png"),)


def test_stages_are_those_of_the_flags() -> None:
    found = read("name,photos\nx,desk/1.jpg\n", flags=BatchFlags(first="select", last="reconstruct", exports=True))
    assert found.objects[0].stages == ("select", "reconstruct", "export")
    with pytest.raises(UsageError, match="--from render comes after --to select"):
        read("name,photos\nx,desk/1.jpg\n", flags=BatchFlags(first="render", last="select"))
