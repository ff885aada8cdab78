"""A stand-in for the module `unreal` of the Unreal Editor: it records what a script does, and does nothing.

It has what import_into_unreal.py uses, under the names and with the editor properties of Epic's reference (Unreal
Python API 5.7; `engine="5.4"` leaves out the offsets of sensors, which came with 5.5). Anything else is refused as the
editor would: an unknown name is an AttributeError, an unknown property a plain Exception. Structs are copied when they
are read, as in the editor, so that a changed one must be set again.
"""

import copy
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar


class Object:
    """An object with editor properties."""

    DEFAULTS: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        self.values = {key: copy.deepcopy(value) for key, value in self.DEFAULTS.items()}

    def set_editor_property(self, name: str, value: Any) -> None:
        self._check(name)
        self.values[name] = copy.deepcopy(value) if isinstance(value, Struct) else value

    def get_editor_property(self, name: str) -> Any:
        self._check(name)
        value = self.values[name]
        return copy.deepcopy(value) if isinstance(value, Struct) else value

    def _check(self, name: str) -> None:
        if name not in self.values:
            kind = type(self).__name__
            raise Exception(f"{kind}: Failed to find property '{name}' for attribute '{name}' on '{kind}'")


class Struct(Object):
    """A value, not a reference."""


class CameraFilmbackSettings(Struct):
    DEFAULTS: ClassVar = {"sensor_width": 23.76, "sensor_height": 13.365, "sensor_horizontal_offset": 0.0,
                "sensor_vertical_offset": 0.0}  # fmt: skip


class CameraLensSettings(Struct):
    DEFAULTS: ClassVar = {"min_focal_length": 4.0, "max_focal_length": 1000.0, "min_f_stop": 1.2, "max_f_stop": 22.0}


class CameraFocusSettings(Struct):
    DEFAULTS: ClassVar = {"focus_method": "MANUAL", "manual_focus_distance": 100000.0}


class CineCameraComponent(Object):
    DEFAULTS: ClassVar = {
        "filmback": CameraFilmbackSettings(),
        "lens_settings": CameraLensSettings(),
        "current_focal_length": 35.0,
        "focus_settings": CameraFocusSettings(),
        "constrain_aspect_ratio": True,
    }

    def set_editor_property(self, name: str, value: Any) -> None:
        """As the engine: a focal length is kept within those of the lens (RecalcDerivedData)."""
        super().set_editor_property(name, value)
        lens = self.values["lens_settings"].values
        wanted = self.values["current_focal_length"]
        self.values["current_focal_length"] = min(max(wanted, lens["min_focal_length"]), lens["max_focal_length"])


class _Triple:
    NAMES: tuple[str, ...] = ()

    def __init__(self, **values: float) -> None:
        assert set(values) <= set(self.NAMES)  # by name alone: the order of a rotator's numbers is easily mistaken
        self.values = {name: values.get(name, 0.0) for name in self.NAMES}


class Vector(_Triple):
    NAMES = ("x", "y", "z")


class Rotator(_Triple):
    NAMES = ("roll", "pitch", "yaw")


class Actor(Object):
    DEFAULTS: ClassVar = {"tags": []}

    def __init__(self, what: Any, location: Vector, rotation: Rotator) -> None:
        super().__init__()
        self.what, self.location, self.rotation = what, location.values, rotation.values
        self.label = self.folder = ""

    def set_actor_label(self, label: str, mark_dirty: bool = True) -> None:
        self.label = label

    def set_folder_path(self, path: str) -> None:
        self.folder = path


class CineCameraActor(Actor):
    def __init__(self, what: Any, location: Vector, rotation: Rotator) -> None:
        super().__init__(what, location, rotation)
        self.component = CineCameraComponent()

    def get_cine_camera_component(self) -> CineCameraComponent:
        return self.component


class Asset(Object):
    def __init__(self, path: str, source: str = "") -> None:
        super().__init__()
        self.path, self.source = path, source


class StaticMesh(Asset):
    material: Any = None

    def set_material(self, index: int, material: Any) -> None:
        assert index == 0
        self.material = material


class Texture2D(Asset):
    pass


class Material(Asset):
    compiled = False

    def __init__(self, path: str, source: str = "") -> None:
        super().__init__(path, source)
        self.inputs: dict[str, tuple[Any, str]] = {}


class MaterialExpressionTextureSample(Object):
    DEFAULTS: ClassVar = {"texture": None}


class MaterialExpressionVertexColor(Object):
    pass


class MaterialExpressionConstant(Object):
    DEFAULTS: ClassVar = {"r": 0.0}


class MaterialFactoryNew(Object):
    pass


class AssetImportTask(Object):
    DEFAULTS: ClassVar = {
        "filename": "",
        "destination_path": "",
        "destination_name": "",
        "automated": False,
        "save": False,
        "replace_existing": False,
        "imported_object_paths": [],
    }


class CameraFocusMethod:
    DISABLE = "DISABLE"


class MaterialProperty:
    MP_BASE_COLOR, MP_ROUGHNESS = "MP_BASE_COLOR", "MP_ROUGHNESS"


class MaterialEditingLibrary:
    @staticmethod
    def create_material_expression(material: Material, kind: type, x: int = 0, y: int = 0) -> Any:
        assert isinstance(material, Material)
        return kind()

    @staticmethod
    def connect_material_property(expression: Any, output: str, material_property: str) -> bool:
        world.connections.append((expression, output, material_property))
        return True

    @staticmethod
    def recompile_material(material: Material) -> None:
        material.compiled = True


class AssetTools:
    def import_asset_tasks(self, tasks: list[AssetImportTask]) -> None:
        for task in tasks:
            source = task.values["filename"]
            assert task.values["automated"]
            assert Path(source).is_file()
            stem = f"{task.values['destination_path']}/{Path(source).stem}"
            kinds = world.brings.get(Path(source).suffix, ())
            found = [kind(f"{stem}_{kind.__name__}", source) for kind in kinds]
            world.assets |= {each.path: each for each in found}
            task.values["imported_object_paths"] = [each.path for each in found]
            world.saved |= task.values["save"]

    def create_asset(self, name: str, path: str, kind: type, factory: Any) -> Any:
        assert isinstance(factory, MaterialFactoryNew)
        asset = kind(f"{path}/{name}")
        world.assets[asset.path] = asset
        return asset


class AssetToolsHelpers:
    @staticmethod
    def get_asset_tools() -> AssetTools:
        return AssetTools()


class EditorAssetSubsystem:
    def does_directory_exist(self, path: str) -> bool:
        return path in world.directories

    def load_asset(self, path: str) -> Any:
        return world.assets[path]


class EditorActorSubsystem:
    def spawn_actor_from_class(
        self, kind: type, location: Vector, rotation: Rotator | None = None, transient: bool = False
    ) -> Any:
        return self._spawn(kind(kind, location, rotation or Rotator()))

    def spawn_actor_from_object(
        self, asset: Any, location: Vector, rotation: Rotator | None = None, transient: bool = False
    ) -> Any:
        return self._spawn(Actor(asset, location, rotation or Rotator()))

    def _spawn(self, actor: Actor) -> Actor:
        world.actors.append(actor)
        return actor


class ScopedEditorTransaction:
    def __init__(self, desc: str) -> None:
        world.transactions.append(desc)

    def __enter__(self) -> "ScopedEditorTransaction":
        return self

    def __exit__(self, *_: object) -> bool:
        return False


class World:
    """What the editor would hold afterwards."""

    def __init__(self) -> None:
        self.assets: dict[str, Asset] = {}
        self.directories: set[str] = set()
        self.actors: list[Actor] = []
        self.connections: list[tuple[Any, str, str]] = []
        self.transactions: list[str] = []
        self.log: list[tuple[str, str]] = []
        self.saved = False
        self.brings = {".glb": (StaticMesh, Texture2D, Material), ".png": (Texture2D,), ".jpg": (Texture2D,)}


world = World()


def recording_unreal(engine: str = "5.7") -> tuple[ModuleType, World]:
    """The module, and what its editor holds, empty at first."""
    global world  # noqa: PLW0603  # there is one editor, as for the real module
    world = World()
    module = ModuleType("unreal")
    names = (
        "AssetImportTask AssetToolsHelpers CameraFocusMethod CineCameraActor EditorActorSubsystem EditorAssetSubsystem "
        "Material MaterialEditingLibrary MaterialExpressionConstant MaterialExpressionTextureSample "
        "MaterialExpressionVertexColor MaterialFactoryNew MaterialProperty Rotator ScopedEditorTransaction StaticMesh "
        "Texture2D Vector"
    )
    for name in names.split():
        setattr(module, name, globals()[name])
    offsets = {} if engine == "5.4" else {"sensor_horizontal_offset": 0.0, "sensor_vertical_offset": 0.0}
    CameraFilmbackSettings.DEFAULTS = {"sensor_width": 23.76, "sensor_height": 13.365, **offsets}
    CineCameraComponent.DEFAULTS = {**CineCameraComponent.DEFAULTS, "filmback": CameraFilmbackSettings()}
    module.get_editor_subsystem = lambda kind: kind()  # type: ignore[attr-defined]
    for level in ("log", "log_warning", "log_error"):
        setattr(module, level, lambda text, level=level: world.log.append((level, text)))
    return module, world
