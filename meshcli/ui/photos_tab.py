"""Photos: handed in, cut out, mended with a brush, turned to the side that they were taken from; then their views."""

from functools import partial

from nicegui import events, ui

from meshcli.engines import Generator
from meshcli.errors import MeshcliError, UsageError
from meshcli.project.artefacts import GUESSES_SHEET
from meshcli.project.manifest import Photo
from meshcli.settings import PhotoSettings
from meshcli.stages.photo_azimuths import azimuth_lines, guess_warning, photos_of_unknown_azimuth
from meshcli.stages.preflight import pick_generator_ahead, settings_ahead
from meshcli.stages.view_generation import lacking
from meshcli.ui.board import Board
from meshcli.ui.elements import Dial, Painter
from meshcli.ui.gate import MAX_UPLOAD
from meshcli.ui.parts import CommandLine, button, picture_address, report
from meshcli.ui.uploads import MAX_FILES, Inbox
from meshcli.weights.locations import rembg_file

CARD_SIDE, SHEET_SIDE = 480, 1280  # pixels of pictures: on a card and its dial, of the guesses
GENERATORS = {
    "auto": "automatic",
    "sculpt": "sculpt: a body from silhouettes, needs nothing",
    "zero123plus": "zero123plus: painted by a network",
}
CUTOUTS = {
    "": "as before, or automatic",
    "auto": "automatic",
    "alpha": "the file's own transparency",
    "plain": "a plain background",
    "rembg": "rembg, a network",
}


class PhotosTab:
    """The tab."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self._dials: dict[str, Dial] = {}
        self._texts: dict[str, ui.label] = {}
        self._cards_of: object = None
        self._upload = (
            ui.upload(
                multiple=True, auto_upload=True, max_files=MAX_FILES, max_total_size=MAX_UPLOAD,
                on_multi_upload=self._receive, on_rejected=self._rejected,
                label="Drop photos here, or press + to choose some",
            )
            .props("flat bordered no-thumbnails accept='image/*,.heic,.heif,.json' aria-label='photos'")
            .classes("upload")
        )  # fmt: skip
        self._hint = ui.label(
            "Two to four photos of one object, from different sides, all of it in the picture. One works too."
        ).classes("hint")
        self._cutout = ui.select(CUTOUTS, label="Cut out by", on_change=self._choose_cutout).classes("cutout")
        self._cutout_hint = ui.label().classes("hint")
        self._stale = ui.label().classes("warning")
        self._warning = ui.label().classes("warning")
        self._guesses = ui.html("", sanitize=False).classes("guesses")
        self._sides = ui.label().classes("hint")
        self._cards = ui.element("div").classes("cards")
        with ui.element("div").classes("step") as self._step:
            with ui.row().classes("choices"):
                self._quality = ui.select(board.qualities("generate"), label="Settings", on_change=self._choose_quality)
                self._engine = ui.select(GENERATORS, label="Views by", on_change=self._choose_engine)
                self._forget = button("Take the angles back", board.forget_azimuths)
            self._engine_hint = ui.label().classes("hint")
            with ui.row().classes("choices"):
                self._make = button("Make views", partial(self._run, "generate"), "grid_view", main=True)
                self._all = button("All steps to the mesh", partial(self._run, "render"), "fast_forward")
                self._guess = button("Go on with the guesses", partial(self._run, "generate", "--guess"))
            self._command = CommandLine()

    def update(self) -> None:
        """Show what has changed."""
        board = self.board
        photos = board.photos
        key = [(photo.name, photo.file, photo.source, self.board.time_of(photo.file)) for photo in photos]
        if key != self._cards_of:
            self._cards_of = key
            self._draw_cards(photos)
        lines = {line.split()[0]: line for line in azimuth_lines(board.manifest)}
        for photo in photos:
            fixed = bool(photo.stated.camera) or len(photos) == 1
            self._dials[photo.name].show(board.shown_azimuth(photo), fixed)
            self._texts[photo.name].set_text(_side(board, photo, lines.get(photo.name, "")))
        self._update_step(photos)

    def _update_step(self, photos: list[Photo]) -> None:
        """The choices and buttons below the cards."""
        board, busy = self.board, bool(self.board.jobs.at_work or self.board.elsewhere)
        self._step.set_visibility(bool(photos))
        self._hint.set_visibility(not photos)
        if (choices := board.qualities("generate")) != self._quality.options:
            self._quality.set_options(choices)
        self._quality.set_value(board.quality_of("generate"))
        self._engine.set_value(board.generator)
        self._cutout.set_value(board.cutout)
        self._cutout_hint.set_text(_cutout_hint(board.cutout))
        self._cutout_hint.set_visibility(bool(board.cutout))
        self._engine_hint.set_text(_engine_hint(board))
        for each in (self._make, self._all, self._guess):
            each.set_enabled(bool(photos) and not busy)
        self._upload.set_enabled(not busy)
        generate = board.stage("generate")
        warning = guess_warning(board.project, board.manifest) if not board.azimuths else ""
        old = bool(board.manifest.active_views) and generate.state in ("stale", "missing")
        self._stale.set_text(f"The views are out of date: {generate.reason}. “Make views” makes them again.")
        self._stale.set_visibility(old and not busy and not warning)  # with guesses, that would only ask again
        drawn = board.time_of(GUESSES_SHEET) if GUESSES_SHEET in board.manifest.own_files else 0
        self._guess.set_visibility(bool(warning))
        self._warning.set_text(warning and "The sides of some photos are guesses: look at the picture, turn the dials "
                               "where it is wrong, or go on with the guesses.")  # fmt: skip
        self._warning.set_visibility(bool(warning))
        self._guesses.set_visibility(bool(warning and drawn))
        if warning and drawn:
            address = picture_address(GUESSES_SHEET, SHEET_SIDE, drawn)
            self._guesses.set_content(
                f'<img src="{address}" alt="the photos beside the object from the guessed sides">'
            )
        self._forget.set_visibility(bool(board.azimuths))
        self._sides.set_text(about := _about_sides(board))
        self._sides.set_visibility(bool(about))
        try:
            self._command.show(board.shown(self._words("generate")))
        except UsageError as error:
            self._command.show(f"# {error}")

    def _draw_cards(self, photos: list[Photo]) -> None:
        self._cards.clear()
        self._dials.clear()
        self._texts.clear()
        with self._cards:
            for photo in photos:
                self._draw_card(photo, self.board.time_of(photo.file))

    def _draw_card(self, photo: Photo, stamp: int) -> None:
        name = photo.name
        address = picture_address(photo.file if photo.prepared else photo.original, CARD_SIDE, stamp)
        with ui.element("figure").classes("photo"):
            with ui.element("div").classes("pair"):
                with ui.element("div").classes("checker"):
                    ui.html(f'<img src="{address}" loading="lazy" alt="cut-out of photo {name}">', sanitize=False)
                dial = Dial(name, address)
                dial.on("turn", lambda event: self._turn(name, event.args))
            with ui.element("figcaption"):
                with ui.row().classes("title"):
                    ui.label(name).classes("letter")
                    ui.label(photo.source).classes("source")
                self._texts[name] = ui.label().classes("hint")
                if photo.method:
                    doubt = "; look closely" if photo.uncompared else ""
                    ui.label(f"cut out by {photo.method}{doubt}").classes("hint")
                with ui.row():
                    if photo.prepared and not photo.stated.ready:
                        button("Mend the mask", partial(self._mend, name), "brush").props("dense")
                    button("Take out", partial(self._remove, name), "delete").props("dense").set_enabled(
                        len(self.board.photos) > 1
                    )
        self._dials[name] = dial

    def _turn(self, name: str, degrees: object) -> None:
        if isinstance(degrees, int | float):
            self.board.set_azimuth(name, float(degrees))

    def _mend(self, name: str) -> None:
        """Open the brushes."""
        photo = next(photo for photo in self.board.photos if photo.name == name)
        with ui.dialog().props("maximized transition-duration=0") as dialog, ui.card().classes("painting"):
            painter = Painter(name, str(self.board.time_of(photo.file)))
        painter.on("leave", dialog.close)
        painter.on("saved", dialog.close)
        dialog.on("hide", dialog.delete)
        dialog.open()

    def _remove(self, name: str) -> None:
        words = self.board.words("generate", f"--remove={name}", "--cutouts-only")
        self.board.jobs.start(words, f"taking photo {name} out")

    async def _receive(self, event: events.MultiUploadEventArguments) -> None:
        """Hand uploaded files to `generate`, which checks them as it checks those on a command line."""
        self._upload.reset()
        inbox = Inbox()
        try:
            for file in event.files:
                await file.save(inbox.place(file.name))
            add = ["--add"] if self.board.photos else []
            words = self.board.words(
                *("generate", *add, *self._cutout_words(), "--cutouts-only", "--keep-going"),
                arguments=[str(each) for each in inbox.files],
            )
            self.board.jobs.start(words, "cutting the photos out", inbox.remove, str(inbox.folder))
        except (UsageError, OSError) as error:
            inbox.remove()
            report(str(error))

    def _rejected(self) -> None:
        report(f"not all of these can be handed in: at most {MAX_FILES} pictures of {MAX_UPLOAD >> 20} MB in all")

    def _choose_cutout(self, event: events.ValueChangeEventArguments[str]) -> None:
        if event.value in CUTOUTS and self.board.cutout != event.value:
            self.board.cutout = event.value
            self.board.changed()

    def _cutout_words(self) -> list[str]:
        return [f"--cutout={self.board.cutout}"] if self.board.cutout else []

    def _choose_quality(self, event: events.ValueChangeEventArguments[str]) -> None:
        if event.value is not None and self.board.quality != event.value:
            self.board.quality = event.value
            self.board.changed()

    def _choose_engine(self, event: events.ValueChangeEventArguments[Generator]) -> None:
        if event.value in GENERATORS and self.board.generator != event.value:
            self.board.generator = event.value
            self.board.changed()

    def _words(self, last: str, *options: str) -> list[str]:
        """The command line that makes views, or all steps to the last."""
        board = self.board
        to = [] if last == "render" else [f"--to={last}"]
        engine = [] if board.generator == "auto" else [f"--generator={board.generator}"]
        quality = [board.quality_of("generate")] if board.quality_of("generate") else []
        return board.words("run", *to, *board.azimuth_words(), *self._cutout_words(), *engine, *quality, *options)

    def _run(self, last: str, *options: str) -> None:
        title = "making views" if last == "generate" else "making everything"
        self.board.jobs.start(self._words(last, *options), title)


def _side(board: Board, photo: Photo, line: str) -> str:
    """From which side a photo was taken, and how that is known; `line` is what `status` says."""
    turned, stated = board.azimuths.get(photo.name), photo.stated.azimuth
    if turned is not None:
        return f"azimuth {turned:g}°, used when you make views"
    if stated is not None:
        return f"azimuth {stated:g}°, as you said"
    return f"azimuth {line.partition(' azimuth ')[2] or 'unknown'}"


def _engine_hint(board: Board) -> str:
    """Which engine would make the views, and what the other needs."""
    if board.generator == "sculpt":
        return "sculpt needs nothing and takes seconds to minutes"
    manifest, arguments = board.manifest, board.run_arguments("generate")
    try:
        if board.generator == "zero123plus":
            missing = lacking(settings_ahead(manifest, arguments, "generate"), None)
            return f"zero123plus needs {missing}" if missing else "zero123plus can run on this machine"
        engine, why = pick_generator_ahead(manifest, arguments)
    except MeshcliError as error:
        return str(error)
    return f"{engine} ({why.removeprefix('auto: ')})"


def _cutout_hint(way: str) -> str:
    """What a way of cutting photos out needs."""
    model = PhotoSettings().rembg_model
    has_model = rembg_file(model) is not None
    needs = {
        "auto": "by transparency, else by a plain background, else with rembg",
        "alpha": "needs pictures with transparency, as PNG or WebP files have it",
        "plain": "needs one smooth colour all around the object",
        "rembg": f"its model {model} is on this machine" if has_model
        else f"needs its model {model}, 5 MB: fetched when it is used, or by meshcli models pull {model}",
    }  # fmt: skip
    return f"{needs.get(way, '')}; used for all photos when you hand some in or make views"


def _about_sides(board: Board) -> str:
    """What will be done about the photos' sides."""
    unknown = [name for name in photos_of_unknown_azimuth(board.manifest) if name not in board.azimuths]
    if not unknown:
        return ""
    if board.azimuths:
        return f"Turn the dial of {', '.join(unknown)} too, or take the angles back."
    return "From which sides were they taken? Drag each photo around its dial, seen from above; else it is estimated."
