"""A throw-away SLURM cluster on this machine: a controller and two nodes, the first with two GPUs
that do not exist.

For tests and measurements, as root: ``python -m benchmarks.slurm up FOLDER``, ``... down FOLDER``,
``... probe FOLDER``. No accounts, no munge, no cgroups; memory is counted but not enforced. Debian:
``apt-get install slurmctld slurmd slurm-client``.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CONF = Path(
    "/etc/slurm/slurm.conf"
)  # jobs lose SLURM_CONF on their way, so it has to be where SLURM looks by itself
NODES = ("n1", "n2")
SETTINGS = """
ClusterName=throwaway
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/%n.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
SchedulerParameters=sched_interval=1,bf_interval=5,batch_sched_delay=0,default_queue_depth=1000
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MinJobAge=600
KillWait=10
MaxJobCount=20000
SlurmdTimeout=30
MessageTimeout=60
GresTypes=gpu
SlurmdParameters=config_overrides
DefMemPerCPU=100
NodeName=n1 NodeAddr=127.0.0.1 NodeHostname={host} Port=17001 CPUs={cpus} {memory} Gres=gpu:fake:2
NodeName=n2 NodeAddr=127.0.0.1 NodeHostname={host} Port=17002 CPUs={cpus} {memory}
PartitionName=cpu Nodes=ALL Default=YES MaxTime=1440 State=UP
PartitionName=gpu Nodes=n1 MaxTime=1440 State=UP
"""


def missing() -> str:
    """Why there can be no cluster here; empty where there can."""
    if os.geteuid() != 0:
        return "a throw-away SLURM needs root"
    lacking = [
        name for name in ("slurmctld", "slurmd", "sbatch", "squeue") if not shutil.which(name)
    ]
    if lacking:
        return f"no {', '.join(lacking)}: apt-get install slurmctld slurmd slurm-client"
    return f"{CONF} is another cluster's" if CONF.exists() else ""


def up(folder: Path, cpus: int = 8) -> None:
    """Start it; returns when both nodes are idle."""
    if why := missing():
        raise RuntimeError(f"no throw-away SLURM: {why}")
    for name in ("state", "run", "log", "conf", *(f"spool/{node}" for node in NODES)):
        (folder / name).mkdir(parents=True, exist_ok=True)
    host = socket.gethostname().partition(".")[0]
    settings = SETTINGS.format(host=host, folder=folder, cpus=cpus, memory="RealMemory=64000")
    (folder / "conf/slurm.conf").write_text(settings)
    (folder / "conf/gres.conf").write_text("NodeName=n1 Name=gpu Type=fake File=/dev/tty[0-1]\n")
    CONF.parent.mkdir(exist_ok=True)
    CONF.unlink(missing_ok=True)  # of a cluster that was never taken down
    CONF.symlink_to(folder / "conf/slurm.conf")
    subprocess.run(["slurmctld", "-c", "-i", "-f", str(CONF)], check=True)
    for node in NODES:
        start(node)
    deadline = time.monotonic() + 60
    while said("sinfo", "-h", "-N", "-p", "cpu", "-o", "%T").split() != ["idle"] * len(NODES):
        if time.monotonic() > deadline:
            raise RuntimeError(
                f"the cluster did not come up:\n{said('sinfo', '-N', '-l')}\nlogs in {folder}/log"
            )
        time.sleep(0.2)


def start(node: str) -> None:
    """Start a node's daemon; jobs that ran when it was killed go on."""
    subprocess.run(
        ["slurmd", "-N", node, "-f", str(CONF.resolve())], check=True
    )  # gres.conf is looked for beside it


def revive(folder: Path) -> bool:
    """Start the controller again where it has ended, as a machine's init would; whether it had."""
    with suppress(OSError, ValueError):
        number = int((folder / "run/slurmctld.pid").read_text())
        if (Path("/proc") / str(number) / "comm").exists():
            return False
    subprocess.run(["slurmctld", "-i", "-f", str(CONF)], check=True)
    return True


def kill(folder: Path, node: str) -> None:
    """SIGKILL a node's daemon."""
    with suppress(OSError, ValueError):
        os.kill(int((folder / f"run/{node}.pid").read_text()), signal.SIGKILL)


def down(folder: Path) -> None:
    """End all jobs, then the daemons."""
    if CONF.is_symlink() and CONF.readlink() == folder / "conf/slurm.conf":
        said("scancel", "--user=root")
        deadline = time.monotonic() + 15
        while jobs() and time.monotonic() < deadline:
            time.sleep(0.5)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and (
        left := list((folder / "run").glob("*.pid"))
    ):  # they remove them at the end
        for path in left:
            with suppress(OSError, ValueError):
                os.kill(int(path.read_text()), signal.SIGTERM)
        time.sleep(1)
    if CONF.is_symlink() and CONF.readlink() == folder / "conf/slurm.conf":
        CONF.unlink()


def said(*command: str) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return ran.stdout + ran.stderr


def jobs(state: str = "PENDING,RUNNING,COMPLETING") -> dict[str, str]:
    """Job number -> its comment, which holds the rule and its wildcards."""
    rows = said("squeue", "-h", "-t", state, "-o", "%i %k").splitlines()
    return {
        number: comment
        for number, _, comment in (row.partition(" ") for row in rows)
        if number.isdigit()
    }


@contextmanager
def cluster(folder: Path, cpus: int = 8) -> Iterator[Path]:
    """One that lasts as long as the block."""
    try:
        up(folder, cpus)
        yield folder
    finally:
        down(folder)


def probe(folder: Path) -> None:
    """Whether a job can run at all on such a cluster here: exits with 1 and says why, where it
    cannot.
    """
    try:
        with cluster(folder):
            subprocess.run(["srun", "true"], check=True, timeout=60)
    except (RuntimeError, OSError, subprocess.SubprocessError) as fault:
        sys.exit(f"no throw-away SLURM here: {fault}")


if __name__ == "__main__":
    {"up": up, "down": down, "probe": probe}[sys.argv[1]](Path(sys.argv[2]).resolve())
