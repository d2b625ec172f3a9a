"""The Slurm recipe: its script runs as it stands on two hosts, under a stand-in for the scheduler's own commands.

The hosts are network namespaces (root and iproute2 are needed). What stands in: `scontrol`, which lists the hosts of
the job, and `srun`, which starts a program on one of them. Ray, the run and the store are real.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from store.query.reader import open_store
from tests.cluster.artefacts import ROOT
from tests.cluster.hosts import BIN, network, wait_until, why_not

SCRIPT = ROOT / "deploy" / "slurm.sbatch"
JOB = str(100_000 + os.getpid() % 100_000)
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do case $1 in --nodelist=*) host=${1#*=} ;; esac; shift; done
read -r namespace address folder <"$STAND_IN/$host"
export STAND_IN_ADDRESS=$address
mkdir -p "/tmp/ray-$SLURM_JOB_ID"
exec ip netns exec "$namespace" sh -c 'mount --bind "$0" "/tmp/ray-$SLURM_JOB_ID" && exec "$@"' "$folder" "$@"
"""
SCONTROL = """#!/bin/bash
case $1 in
    show) printf '%s\\n' first second ;;
    requeue) echo "$2" >>"$STAND_IN/requeued" ;;
esac
"""


@pytest.mark.deploy
def test_it_is_a_script_that_bash_takes_with_options_that_sbatch_has():
    assert subprocess.run(["bash", "-n", SCRIPT], check=False).returncode == 0
    options = re.findall(r"^#SBATCH --([a-z-]+)", SCRIPT.read_text(encoding="utf-8"), re.MULTILINE)
    assert {"nodes", "ntasks-per-node", "time", "signal", "requeue"} <= set(options)


@pytest.mark.deploy
def test_apptainer_takes_the_steps_of_the_dockerfile():
    definition, dockerfile = (
        (ROOT / name).read_text(encoding="utf-8") for name in ("deploy/apptainer.def", "Dockerfile")
    )
    base = re.search(r"^FROM (\S+)$", dockerfile, re.MULTILINE)[1]
    assert f"From: {base}" in definition
    copied = {word for line in re.findall(r"^COPY (.+)$", dockerfile, re.MULTILINE) for word in line.split()[:-1]}
    assert set(re.findall(r"^    (\S+) /opt/interpunct/\1$", definition, re.MULTILINE)) == copied
    steps = [re.findall(r"pip install ([^\n&\\]+)", text) for text in (definition, dockerfile)]
    assert [step.strip() for step in steps[0]] == [step.strip() for step in steps[1]][:-1]
    assert re.findall(r'--include "\S+"', definition) == re.findall(r'--include "\S+"', dockerfile)


@pytest.fixture
def job(tmp_path_factory):
    """Two hosts of one job, and what starts a program on the first as Slurm starts a batch script."""
    if reason := why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("slurm")
    stand_in = folder / "stand-in"
    stand_in.mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL), ("hostname", '#!/bin/bash\necho "$STAND_IN_ADDRESS"\n')):
        (stand_in / name).write_text(text)
        (stand_in / name).chmod(0o755)
    submitted = folder / "submitted"
    submitted.mkdir()
    (submitted / "deploy").symlink_to(ROOT / "deploy")
    (submitted / ".venv" / "bin").mkdir(parents=True)
    (submitted / ".venv" / "bin" / "activate").write_text(f"PATH={stand_in}:{BIN}:$PATH\n")
    environment = {
        "PATH": f"{stand_in}:{BIN}:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(folder / "cache")),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "STAND_IN": str(stand_in),
        "SLURM_SUBMIT_DIR": str(submitted),
        "SLURM_JOB_ID": JOB,
        "SLURM_JOB_NODELIST": "[first-second]",
        "SLURM_CPUS_PER_TASK": "2",
        "INTERPUNCT_RAY_OPTIONS": "--object-store-memory=200000000",
    }
    with network(2, folder) as hosts:
        for name, host in zip(("first", "second"), hosts, strict=True):
            temporary = host.folder / "ray"
            temporary.mkdir()
            (stand_in / name).write_text(f"{host.namespace} {host.address} {temporary}\n")

        def start(*arguments: object, log: Path) -> subprocess.Popen[bytes]:
            command = [stand_in / "srun", "--nodelist=first", "bash", SCRIPT, *map(str, arguments)]
            with log.open("wb") as output:
                return subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)

        yield start, folder


def records(store: Path) -> list[dict]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((store / "_runs").glob("*.json"))]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_job_runs_on_all_its_hosts_and_queues_itself_again_when_its_time_is_over(job, sample_text, tiny_gpt2):
    start, folder = job
    books, store = folder / "books", folder / "study"
    books.mkdir()
    paragraphs = sample_text.split("\n\n")
    for number in range(30):
        turned = paragraphs[number:] + paragraphs[:number]
        (books / f"book{number:02d}.txt").write_text("\n\n".join(turned), encoding="utf-8")
    arguments = (books, "--store", store, "--model", tiny_gpt2, "--per-class", 60, "--books-per-shard", 1)

    log = folder / "first.log"
    told = start(*arguments, log=log)
    wait_until(lambda: "committed shard=" in log.read_text(errors="replace"), 300, "the first commit")
    told.send_signal(signal.SIGTERM)
    assert told.wait(180) == 130, log.read_text(errors="replace")
    assert (folder / "stand-in" / "requeued").read_text().split() == [JOB]
    assert not list((folder / "submitted").glob(".ray-token-*")), "the token goes with the job"
    with open_store(store) as opened:
        ((done,),) = opened.sql("SELECT count(*) FROM books").fetchall()
    assert 0 < done < 30

    log = folder / "second.log"
    assert start(*arguments, log=log).wait(600) == 0, log.read_text(errors="replace")
    with open_store(store) as opened:
        assert opened.sql("SELECT count(*) FROM books WHERE status = 'used'").fetchall() == [(30,)]
    *_, last = records(store)
    assert last["cluster"]["nodes"] == 2, last
