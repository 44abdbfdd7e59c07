"""The clusters of docs/cluster: valid to the last key, and what conf/cluster says."""

import copy
import dataclasses
import importlib
import json
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import ray
import yaml
from jsonschema import Draft7Validator, ValidationError
from ray._private.ray_constants import RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S
from ray.autoscaler._private.kuberay import autoscaling_config
from ray.scripts.scripts import start

from launch.commands.sweep import prepare
from launch.config.app import App, Call, run_app
from launch.config.composing import Composer
from launch.config.settings import Cluster
from sweeps.policy import Limits
from tests.needs import REPOSITORY, data_folder, needs

FOLDER = REPOSITORY / "docs/cluster"
README = (FOLDER / "README.md").read_text()
KUBERAY = ("kuberay_gpu", "kuberay_tpu")
LAUNCHER = ("aws_gpu", "gce_tpu")
CLUSTERS = (*KUBERAY, *LAUNCHER)
JOBS = tuple(f"{name}_job" for name in KUBERAY)
KUBERNETES = "1.34"
SPOT = (
    {"cloud.google.com/gke-spot": "true"},
    {"eks.amazonaws.com/capacityType": "SPOT"},
    {"karpenter.sh/capacity-type": "spot"},
    {"kubernetes.azure.com/scalesetpriority": "spot"},
)


@cache
def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())


@cache
def option(name: str) -> Cluster:
    return Cluster.from_dict(Composer().load_option("cluster", name))


def groups(name: str) -> list[dict[str, Any]]:
    """The head's group and those of the workers, of a RayCluster."""
    spec = read(name)["spec"]
    return [spec["headGroupSpec"], *spec["workerGroupSpecs"]]


def node_types(name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The head and the kinds of workers, as Ray's autoscaler reads them."""
    cluster = read(name)
    if name in LAUNCHER:
        types = dict(cluster["available_node_types"])
        return types.pop(cluster["head_node_type"]), list(types.values())
    derive = autoscaling_config._generate_available_node_types_from_ray_cr_spec
    types = derive(cluster["spec"])
    return types.pop("headgroup"), list(types.values())


def strict(schema: Any) -> Any:
    """The schema, refusing keys that it does not list, wherever it lists some."""
    if not isinstance(schema, dict):
        return schema
    made = dict(schema)
    for key in {"properties", "patternProperties", "definitions"} & set(schema):
        made[key] = {name: strict(inner) for name, inner in schema[key].items()}
    for key in {"items", "additionalProperties"} & set(schema):
        made[key] = strict(schema[key])
    if "properties" in schema and not schema.get(
        "x-kubernetes-preserve-unknown-fields"
    ):
        made["additionalProperties"] = False
    return made


@cache
def validator(kind: str) -> Draft7Validator:
    """Of a kind of KubeRay's, or of a file for `ray up`, whose kind is `cluster`."""
    if kind == "cluster":
        schema = json.loads(
            (Path(ray.__file__).parent / "autoscaler/ray-schema.json").read_text()
        )
    else:
        needs("kuberay")
        file = data_folder() / "kuberay" / f"ray.io_{kind.lower()}s.yaml"
        definition = yaml.load(file.read_text(), yaml.CSafeLoader)["spec"]
        [version] = [v for v in definition["versions"] if v["storage"]]
        schema = version["schema"]["openAPIV3Schema"]
    return Draft7Validator(strict(schema))


def validate(definition: dict[str, Any]) -> None:
    """Raises `ValidationError` for a key or a value that is not allowed."""
    validator(definition.get("kind", "cluster")).validate(definition)


def validate_pod(template: dict[str, Any]) -> None:
    """The same by Kubernetes' own schema."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}} | template
    kubernetes_validate.validate(pod, KUBERNETES, strict=True)


@pytest.mark.parametrize("name", [*CLUSTERS, *JOBS])
def test_definitions_are_valid(name):
    validate(read(name))


@pytest.mark.parametrize("name", KUBERAY)
def test_pods_are_valid(name):
    for group in groups(name):
        validate_pod(group["template"])


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("kuberay_gpu", "spec.autoscalerOptions.idleTimeoutSeconds"),
        ("kuberay_gpu", "spec.headGroupSpec.rayStartParams"),
        ("kuberay_gpu", "spec.headGroupSpec.template.spec.containers.0.envFrom"),
        ("kuberay_tpu", "spec.workerGroupSpecs.1.numOfHosts"),
        ("kuberay_tpu", "spec.workerGroupSpecs.0.template.spec.volumes"),
        ("kuberay_gpu_job", "spec.clusterSelector"),
        ("aws_gpu", "provider.cache_stopped_nodes"),
        ("aws_gpu", "available_node_types.spot_l4.labels"),
        ("gce_tpu", "docker.run_options"),
        ("gce_tpu", "head_start_ray_commands"),
    ],
)
def test_a_misspelt_key_is_refused(name, place):
    changed = copy.deepcopy(read(name))
    *above, key = place.split(".")
    inner: Any = changed
    for part in above:
        inner = inner[int(part) if part.isdigit() else part]
    inner[f"{key}s"] = inner.pop(key)
    with pytest.raises(ValidationError, match=f"'{key}s' was unexpected"):
        validate(changed)


def test_a_misspelt_key_of_a_pod_is_refused():
    template = copy.deepcopy(groups("kuberay_gpu")[0]["template"])
    [mount] = template["spec"]["containers"][0]["volumeMounts"]
    mount["readonly"] = True
    with pytest.raises(ValidationError, match="'readonly' was unexpected"):
        validate_pod(template)


def starts(name: str) -> Iterator[list[str]]:
    """The options of every `ray start`."""
    if name in KUBERAY:
        for group in groups(name):
            yield [f"--{key}" for key in group["rayStartParams"]]
        return
    for role in ("head", "worker"):
        for command in read(name)[f"{role}_start_ray_commands"]:
            words = shlex.split(command)
            yield [word.split("=")[0] for word in words if word.startswith("--")]


@pytest.mark.parametrize("name", CLUSTERS)
def test_ray_start_knows_its_options(name):
    known = {name for parameter in start.params for name in parameter.opts}
    for options in starts(name):
        assert set(options) <= known


@pytest.mark.parametrize("name", CLUSTERS)
def test_the_head_is_the_drivers_alone(name):
    head, workers = node_types(name)
    assert head["resources"]["CPU"] == 0
    assert head.get("max_workers", 0) == 0
    assert workers
    for worker in workers:
        assert worker["resources"]["CPU"] > 0
        assert worker["min_workers"] == 0
        assert worker["labels"]["ray.io/market-type"] == "spot"
        assert worker["labels"]["ray.io/accelerator-type"]


def admits(pod: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a pod may go to a node with such labels."""
    affinity = pod.get("affinity", {}).get("nodeAffinity", {})
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {})
    terms = required.get("nodeSelectorTerms", [{"matchExpressions": []}])
    return pod.get("nodeSelector", {}).items() <= labels.items() and any(
        all(
            (labels.get(rule["key"]) in rule["values"]) == (rule["operator"] == "In")
            for rule in term["matchExpressions"]
        )
        for term in terms
    )


@pytest.mark.parametrize("name", KUBERAY)
def test_workers_are_on_spot_nodes_and_the_head_is_on_none(name):
    clouds = SPOT if name == "kuberay_gpu" else SPOT[:1]  # TPUs are Google's
    head, *workers = (group["template"]["spec"] for group in groups(name))
    assert admits(head, {})
    assert not any(admits(head, spot) for spot in clouds)
    for worker in workers:
        own = worker["nodeSelector"].items() - SPOT[0].items()
        assert not admits(worker, dict(own))
        assert all(admits(worker, dict(own) | spot) for spot in clouds)


def test_workers_of_ray_up_are_spot_instances_and_the_head_is_not():
    head, [worker] = node_types("aws_gpu")
    assert worker["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
    assert "InstanceMarketOptions" not in head["node_config"]
    head, [worker] = node_types("gce_tpu")
    assert worker["node_config"]["schedulingConfig"] == {"spot": True}
    assert "scheduling" not in head["node_config"]


@pytest.mark.parametrize("name", CLUSTERS)
def test_scratch_is_a_volume_of_every_node(name):
    scratch = option(name).scratch
    if name in LAUNCHER:
        folders = [o for o in read(name)["docker"]["run_options"] if "-v " in o]
        assert [folder.split(":")[1] for folder in folders] == [scratch]
        return
    for group in groups(name):
        pod = group["template"]["spec"]
        [mount] = pod["containers"][0]["volumeMounts"]
        assert mount["mountPath"] == scratch
        [volume] = pod["volumes"]
        assert (volume["name"], "emptyDir" in volume) == (mount["name"], True)


@pytest.mark.parametrize("name", CLUSTERS)
def test_there_is_time_to_save(name):
    """Ray drains a node first; `ray stop` as `preStop` would end its jobs at once."""
    longest = max(Limits().grace_seconds, RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S)
    text = (FOLDER / f"{name}.yaml").read_text()
    assert "preStop" not in text
    if name in LAUNCHER:
        _, command = read(name)["head_start_ray_commands"]
        environment = dict(w.split("=") for w in shlex.split(command)[:1])
    else:
        for group in groups(name):
            pod = group["template"]["spec"]
            assert pod["terminationGracePeriodSeconds"] > longest
        head = groups(name)[0]["template"]["spec"]["containers"][0]
        environment = {one["name"]: one["value"] for one in head["env"]}
    assert int(environment["RAY_JOB_STOP_WAIT_TIME_S"]) > Limits().grace_seconds


def test_versions_are_the_pinned_ones():
    docker = (FOLDER / "Dockerfile").read_text()
    [minor] = re.findall(r"^FROM python:([\d.]+)-", docker, re.MULTILINE)
    assert set(re.findall(r"constraints-([\d.]+)\.txt", docker)) == {minor}
    pins = (REPOSITORY / f"constraints-{minor}.txt").read_text().splitlines()
    for name in KUBERAY:
        assert f"ray=={read(name)['spec']['rayVersion']}" in pins
        assert read(name)["spec"]["autoscalerOptions"]["version"] == "v2"
    # Where images of Python have it.
    assert {option(name).python for name in CLUSTERS} == {"/usr/local/bin/python"}


def test_a_job_is_of_the_cluster_beside_it():
    for job, cluster in zip(JOBS, KUBERAY, strict=True):
        [selected] = read(job)["spec"]["clusterSelector"].values()
        assert selected == read(cluster)["metadata"]["name"]
        assert f" cluster={cluster} cluster.address=auto " in entrypoint(job)
    assert f"service/{read('kuberay_gpu')['metadata']['name']}-head-svc " in README


def entrypoint(job: str) -> str:
    return read(job)["spec"]["entrypoint"]


def commands() -> list[str]:
    """All of ours in the code blocks of the README, and those of the jobs."""
    blocks = re.findall(r"^```\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    ours = [line for line in lines if line.startswith("python ")]
    return [*ours, *map(entrypoint, JOBS)]


def called(command: str) -> tuple[str, Call]:
    """The program's name and its typed configuration."""
    python, script, *arguments = shlex.split(command)
    name = Path(script).stem
    assert (python, script) == ("python", f"launch/{name}.py")
    module = importlib.import_module(f"launch.commands.{name}")
    seen: list[Call] = []
    app: App = getattr(module, f"{name.upper()}_APP")
    app = dataclasses.replace(app, function=lambda call: seen.append(call) or 0)
    assert run_app(app, arguments) == 0
    return name, seen[0]


@pytest.mark.parametrize("command", commands())
def test_commands_of_the_readme_and_of_the_jobs_plan(command, tmp_path):
    name, call = called(command)
    assert call.config.out.startswith(("s3://BUCKET/", "gs://BUCKET/"))
    if name not in ("submit", "sweep"):
        return
    [chosen] = re.findall(r"cluster=(\w+)", command)
    cluster = call.config.cluster
    address = "auto" if name == "sweep" else option(chosen).address
    assert cluster == dataclasses.replace(option(chosen), address=address)
    assert cluster.autoscales
    assert not call.config.data.carry or call.config.data.train.startswith(
        f"{cluster.scratch}/"
    )
    here = dataclasses.replace(
        call.config,
        out=str(tmp_path),
        data=dataclasses.replace(
            call.config.data, train="bundled:train", eval="bundled:eval", carry=False
        ),
        stages=("plan", "train"),
    )
    assert prepare(dataclasses.replace(call, config=here)).plan.runs
    fits(chosen, call)


def fits(name: str, call: Call) -> None:
    """A worker has what each stage asks for, an accelerator among it."""
    _, workers = node_types(name)
    for stage in call.config.hardware.stages({"platform": "cpu"}).values():
        asked = stage.resources
        wanted = {"CPU": asked.cpus or 0, "GPU": asked.gpus, **dict(asked.custom)}
        assert wanted.get("TPU", 0) + asked.gpus >= 1
        assert any(
            all(worker["resources"].get(key, 0) >= n for key, n in wanted.items())
            for worker in workers
            if worker["max_workers"] > 0
        ), (name, wanted)


def test_every_cluster_has_an_option_and_a_command():
    options = set(Composer().options_of("cluster"))
    assert options == {"local", "existing", *CLUSTERS}
    assert all(option(name).address for name in options - {"local"})
    submits = [c for c in commands() if c.startswith("python launch/submit.py")]
    assert {re.findall(r"cluster=(\w+)", c)[0] for c in submits} == set(CLUSTERS)


def test_every_node_may_use_the_bucket_and_no_file_says_with_which_key():
    for group in groups("kuberay_gpu"):
        [secret] = group["template"]["spec"]["containers"][0]["envFrom"]
        assert secret["secretRef"]["name"] == "rdc-bucket"
    for group in groups("kuberay_tpu"):
        assert group["template"]["spec"]["serviceAccountName"] == "rdc"
    head, [worker] = node_types("aws_gpu")
    for node in (head, worker):
        profile = node["node_config"]["IamInstanceProfile"]["Name"]
        assert f"`{profile}`" in README
    for name in (*CLUSTERS, *JOBS):
        assert not re.search("ACCESS_KEY|SECRET|TOKEN|PASSWORD", yaml.dump(read(name)))
