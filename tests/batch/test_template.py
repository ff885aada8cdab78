"""Job files: read back by the farm's own libraries and by bash, every word is what was typed."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from openjd.model import (
    StepParameterSpaceIterator,
    SymbolTable,
    create_job,
    decode_job_template,
    preprocess_job_parameters,
)

from meshcli.batch.template import FINAL_CODES, RETRIES, TaskResources, TemplateKind, render_template, task_resources
from meshcli.errors import UsageError

BASH = shutil.which("bash") or "bash"
KINDS: list[TemplateKind] = ["openjd", "slurm", "kubernetes"]
NASTY = [
    "two words",
    "Möbel ☕ 家具 \U0001f4f7",
    'it\'s "quoted"',
    "$(touch hacked) `touch hacked` ${HOME} $$ $HOME $(HOME)",
    "{{Param.Out}} {{ x }} }} {{ {{{a}}} {}}",
    "@{ list } %% if @% @#",
    "a\\nb \\ # & ; | > * ? ~ ! = %",
    "- x: [1, 2]",
    "yes",
    "",
    "7",
    "\u2028\ufeffé",
]
# YAML's and the shell's worst; OpenJD has no control characters at all.
CONTROLLED = ["two\nlines\n#SBATCH --wrap=x", "tab\tbell\a", "\u0085"]
# A program that is called in place of meshcli: it writes down its words, and ends as the test says.
RECORDER = """\
#!{python}
import json, os, signal, sys, time
folder = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(folder, "calls"), "a", encoding="utf-8") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
if os.path.exists(os.path.join(folder, "wait")):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    open(os.path.join(folder, "waiting"), "w").close()
    time.sleep(60)
sys.exit(int(os.environ.get("RECORDER_CODE", "0")))
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder for PATH with a `meshcli` and a `scontrol` that write down how they are called."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "meshcli").write_text(RECORDER.format(python=sys.executable))
    (folder / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {shlex.quote(str(folder / "requeued"))}\n')
    for program in folder.iterdir():
        program.chmod(0o755)
    return folder


def recorded(programs: Path) -> list[list[str]]:
    text = (programs / "calls").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def slurm_environment(programs: Path, **more: str) -> dict[str, str]:
    """What Slurm sets for task 3 of array 17."""
    ids = {"SLURM_ARRAY_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": "3"}
    return {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", **ids, **more}


def openjd_words(text: str) -> list[list[str]]:
    """The words that each task of a job is run with, by OpenJD's own library."""
    template = decode_job_template(template=yaml.safe_load(text))
    folder = Path.cwd()
    parameters = preprocess_job_parameters(
        job_template=template, job_parameter_values={}, job_template_dir=folder, current_working_dir=folder
    )
    job = create_job(job_template=template, job_parameter_values=parameters)
    step = job.steps[0]
    action = step.script.actions.onRun
    lines = []
    for task in StepParameterSpaceIterator(space=step.parameterSpace):
        symbols = SymbolTable()
        for name, value in parameters.items():
            symbols[f"Param.{name}"] = value.value
        for name, value in task.items():
            symbols[f"Task.Param.{name}"] = value.value
        lines.append([word.resolve(symtab=symbols) for word in (action.command, *action.args)])
    return lines


def kubelet_expanded(text: str, variables: dict[str, str]) -> str:
    """$(NAME) and $$ as Kubernetes' third_party/forked/golang/expansion replaces them in `args`."""

    def replace(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else variables.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", replace, text)


def kubernetes_words(text: str) -> list[str]:
    container = yaml.safe_load(text)["spec"]["template"]["spec"]["containers"][0]
    variables = {"JOB_COMPLETION_INDEX": "3", "HOME": "/root"}
    return [kubelet_expanded(word, variables) for word in (*container["command"], *container["args"])]


@pytest.mark.parametrize("nasty", NASTY)
def test_paths_and_words_are_read_back_as_they_were(nasty: str, tmp_path: Path, programs: Path) -> None:
    folder = tmp_path / (nasty or "plain").replace("/", "_").replace(":", "_")  # Kubernetes mounts no path with a colon
    list_path, out, words = folder / "list.csv", folder / "out", ["--set", nasty, f"--config={nasty}"]
    expected = ["batch", str(list_path), "--out", str(out), "--shard", "3/8", *words]
    room = TaskResources(2, 4096)
    openjd, slurm, kubernetes = (render_template(kind, list_path, out, words, 8, room) for kind in KINDS)
    run = subprocess.run([BASH, "-c", slurm], env=slurm_environment(programs), cwd=tmp_path, check=False)
    assert run.returncode == 0
    assert recorded(programs) == [expected]
    assert openjd_words(openjd)[3] == ["meshcli", *expected]
    assert len(openjd_words(openjd)) == 8
    assert kubernetes_words(kubernetes) == ["meshcli", *expected]
    kubernetes_validate.validate(yaml.safe_load(kubernetes), "1.33", strict=True)
    assert not list(tmp_path.rglob("hacked"))


@pytest.mark.parametrize("nasty", CONTROLLED)
def test_control_characters(nasty: str, tmp_path: Path, programs: Path) -> None:
    list_path, out = tmp_path / nasty / "list.csv", tmp_path / "out"
    expected = ["batch", str(list_path), "--out", str(out), "--shard", "3/4", nasty]
    slurm = render_template("slurm", list_path, out, [nasty], 4)
    subprocess.run([BASH, "-c", slurm], env=slurm_environment(programs), cwd=tmp_path, check=True)
    assert recorded(programs) == [expected]
    assert slurm.partition("\nset -u\n")[0].count("#SBATCH") == 7
    assert kubernetes_words(render_template("kubernetes", list_path, out, [nasty], 4)) == ["meshcli", *expected]
    with pytest.raises(UsageError, match="OpenJD"):
        render_template("openjd", list_path, out, [nasty], 4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_that_no_text_can_hold(kind: TemplateKind, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no UTF-8") as error:
        render_template(kind, tmp_path / "m\udce4n.csv", tmp_path, [], 2)
    assert str(error.value).isascii()


@pytest.mark.parametrize("shards", [0, -1, 100_001])
def test_a_number_of_tasks_that_no_farm_takes(shards: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="from 1 to 100,000"):
        render_template("slurm", tmp_path / "list.csv", tmp_path, [], shards)


def test_what_one_farm_cannot_be_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="colon"):
        render_template("kubernetes", tmp_path / "a:b" / "list.csv", tmp_path / "a:b", [], 2)
    with pytest.raises(UsageError, match="1024"):
        render_template("openjd", tmp_path / ("x" * 200 + "/") / ("y/" * 500) / "list.csv", tmp_path, [], 2)


@pytest.mark.parametrize(
    ("code", "restarts", "requeued"),
    [(0, 0, False), (3, 0, False), (143, 0, False), (75, 0, True), (75, RETRIES - 1, True), (75, RETRIES, False)],
)
def test_slurm_puts_a_task_back_after_75_only(
    code: int, restarts: int, requeued: bool, tmp_path: Path, programs: Path
) -> None:
    text = render_template("slurm", tmp_path / "list.csv", tmp_path, [], 4)
    more = {"RECORDER_CODE": str(code), "SLURM_RESTART_COUNT": str(restarts)}
    run = subprocess.run([BASH, "-c", text], env=slurm_environment(programs, **more), check=False)
    assert run.returncode == code
    assert (programs / "requeued").exists() == requeued
    if requeued:
        assert (programs / "requeued").read_text() == "requeue 17_3\n"


@pytest.mark.parametrize(("sent", "requeued"), [(signal.SIGUSR1, True), (signal.SIGTERM, False)])
def test_slurm_stops_the_work_in_good_order(
    sent: signal.Signals, requeued: bool, tmp_path: Path, programs: Path
) -> None:
    """USR1 comes before the time limit, TERM when the job is cancelled."""
    (programs / "wait").touch()
    (programs / "job.sh").write_text(render_template("slurm", tmp_path / "list.csv", tmp_path, [], 4))
    with subprocess.Popen([BASH, programs / "job.sh"], env=slurm_environment(programs)) as job:
        deadline = time.monotonic() + 60
        while not (programs / "waiting").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        job.send_signal(sent)
        assert job.wait(60) == 143
    assert (programs / "requeued").exists() == requeued


def test_slurm_asks_for_what_the_task_needs(tmp_path: Path) -> None:
    text = render_template("slurm", tmp_path / "Stühle & Co.csv", tmp_path, [], 12, TaskResources(6, 9000, 2))
    for line in ("job-name=meshcli-stuhle-co", "array=0-11", "cpus-per-task=6", "mem=9000M", "gres=gpu:2", "requeue"):
        assert f"\n#SBATCH --{line}\n" in text
    assert "gres" not in render_template("slurm", tmp_path / "list.csv", tmp_path, [], 12)


def test_slurm_script_has_nothing_that_shellcheck_dislikes(tmp_path: Path) -> None:
    path = tmp_path / "job.sh"
    path.write_text(render_template("slurm", tmp_path / "it's.csv", tmp_path, ["--config", "quick"], 4))
    program = Path(sys.executable).with_name("shellcheck")
    run = subprocess.run([program, path], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def kubernetes_job(tmp_path: Path, **more: Any) -> dict[str, Any]:
    return yaml.safe_load(render_template("kubernetes", tmp_path / "list.csv", tmp_path / "out", [], 5, **more))


def test_kubernetes_tries_again_only_where_it_helps(tmp_path: Path) -> None:
    spec = kubernetes_job(tmp_path)["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 5, 5)
    assert spec["backoffLimitPerIndex"] == RETRIES
    assert spec["template"]["spec"]["restartPolicy"] == "Never"  # podFailurePolicy asks for it
    disrupted, final = spec["podFailurePolicy"]["rules"]
    assert disrupted == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    codes = {"containerName": "meshcli", "operator": "In", "values": list(FINAL_CODES)}
    assert final == {"action": "FailIndex", "onExitCodes": codes}
    assert {2, 3, 4} <= set(FINAL_CODES)
    assert not {0, 75, 130, 137, 143} & set(FINAL_CODES)


def test_kubernetes_gets_image_resources_and_folders(tmp_path: Path) -> None:
    job = kubernetes_job(tmp_path, image="registry.example/meshcli: x", resources=TaskResources(3, 5000, 1))
    kubernetes_validate.validate(job, "1.33", strict=True)
    pod = job["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert container["image"] == "registry.example/meshcli: x"
    assert container["resources"]["limits"] == {"cpu": "3", "memory": "5000Mi", "nvidia.com/gpu": 1}
    assert {each["value"] for each in container["env"]} == {"3"}
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == [str(tmp_path)]
    assert [volume["name"] for volume in pod["volumes"]] == ["objects-1"]
    assert re.fullmatch("[a-z0-9]([-a-z0-9]*[a-z0-9])?", job["metadata"]["name"])


def test_list_and_results_that_share_no_folder_are_two_volumes() -> None:
    text = render_template("kubernetes", Path("/shoots/may/list.csv"), Path("/results/may"), [], 5)
    container = yaml.safe_load(text)["spec"]["template"]["spec"]["containers"][0]
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/shoots/may", "/results/may"]


@pytest.mark.parametrize("name", ["家具", "---", "A" * 90, "a.b_c"])
def test_job_names_are_labels(name: str, tmp_path: Path) -> None:
    text = render_template("kubernetes", tmp_path / name / f"{name}.csv", tmp_path, [], 100_000)
    label = yaml.safe_load(text)["metadata"]["name"]
    assert re.fullmatch("meshcli(-[a-z0-9]+)*", label)
    assert len(label) + len("-99999") <= 63  # a pod's host name


def test_openjd_asks_for_what_the_task_needs(tmp_path: Path) -> None:
    text = render_template("openjd", tmp_path, tmp_path / "out", [], 5, TaskResources(6, 9000, 2))
    template = yaml.safe_load(text)
    amounts = {each["name"]: each["min"] for each in template["steps"][0]["hostRequirements"]["amounts"]}
    assert amounts == {"amount.worker.vcpu": 6, "amount.worker.memory": 9000, "amount.worker.gpu": 2}
    assert template["parameterDefinitions"][0]["default"] == str(tmp_path)
    assert len(template["parameterDefinitions"]) == 2


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ([], TaskResources(2, 4096)),
        (["--generator=sculpt", "--reconstructor", "fit"], TaskResources(2, 4096)),
        (["--reconstructor=instant-nerf-base"], TaskResources(4, 6656, 1)),
        (["--generator", "zero123plus", "--reconstructor=instant-mesh-large"], TaskResources(4, 9728, 1)),
        (["--set=needs.fit_memory=3", "--set=needs.zero123plus_memory=20"], TaskResources(2, 8192)),
    ],
)
def test_a_task_asks_for_what_its_engines_need(words: list[str], asked: TaskResources) -> None:
    assert task_resources(words) == asked


@pytest.mark.slow
def test_openjd_runs_every_task(tmp_path: Path, programs: Path) -> None:
    """By OpenJD's own command line, with a program in meshcli's place."""
    path, words = tmp_path / "job.yaml", ["--set", "{{x}} $HOME 'a' \"b\""]
    path.write_text(render_template("openjd", tmp_path / "the list.csv", tmp_path / "out", words, 3))
    openjd = Path(sys.executable).with_name("openjd")
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    for action in ("check", "run"):
        run = subprocess.run([openjd, action, path], env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
    expected = [["batch", str(tmp_path / "the list.csv"), "--out", str(tmp_path / "out"), "--shard", f"{shard}/3"]
                for shard in range(3)]  # fmt: skip
    assert recorded(programs) == [[*each, *words] for each in expected]


@pytest.mark.slow
def test_openjd_finishes_real_objects(photos: list[Path], tmp_path: Path) -> None:
    """Two objects, each from one small picture, by the batch itself and quick settings; nothing is left to do after."""
    path, folder, out = tmp_path / "job.yaml", tmp_path / "two chairs", tmp_path / "out {{x}}"
    for name, photo in zip(("red one", "grün"), photos, strict=False):
        (folder / name).mkdir(parents=True)
        shutil.copy(photo, folder / name)
    path.write_text(render_template("openjd", folder, out, ["--config=quick", "--quiet"], 2))
    programs = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    run = subprocess.run(
        [programs / "openjd", "run", path], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr
    assert sorted(mesh.parts[-3] for mesh in out.glob("*/mesh/mesh.glb")) == ["grün", "red one"]
    line = [programs / "meshcli", "batch", folder, "--out", out, "--config=quick", "--dry-run"]
    plan = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    assert plan.splitlines() == ["skip, done: grün", "skip, done: red one"]
