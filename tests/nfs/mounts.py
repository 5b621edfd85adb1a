"""Mounts on which several hosts must not write: the program refuses them, and writes nothing."""

import dataclasses
import shlex

from workload import Outcome

LOST = "/sys/module/nfs/parameters/recover_lost_locks"


@dataclasses.dataclass
class Mount:
    options: str
    export: str = "/srv/x"
    # Done before and after it is mounted.
    before: str = "true"
    after: str = "true"
    # False where a client cannot tell.
    refused: bool = True


MOUNTS = {
    "soft": Mount("vers=4.2,soft"),
    "softerr": Mount("vers=4.2,softerr"),
    "nolock": Mount("vers=3,nolock"),
    "vers=3": Mount("vers=3"),
    "vers=4.0": Mount("vers=4.0"),
    "local_lock": Mount("vers=3,local_lock=all"),
    "recover_lost_locks=1": Mount("vers=4.2", before=f"echo 1 >{LOST}", after=f"echo 0 >{LOST}"),
    "read-only export": Mount("vers=4.2", "/srv/readonly"),
    "read-only mount": Mount("vers=4.2,ro"),
    # Nobody tells a client that the server acknowledges what it has not stored.
    "async export": Mount("vers=4.2", "/srv/async", refused=False),
}
PATH = "/n/bad-mounts/a.h5"
CREATE = "create {file} small --rows 64 --column E:f64 --column Q:f64:12"
REQUEST = '{"rows": [3], "set": {"E": [1.5]}}'


def mounts(rig, settings):
    """Each bad mount, and the server's own disk."""
    for name, mount in MOUNTS.items():
        yield _mount(rig, settings, name, mount)
    before = _store(rig, "/srv/x")
    outcome = Outcome("mounts", "the server's own disk", {})
    _try(outcome, rig.server, settings, "/srv/x/bad-mounts/a.h5", True)
    _unchanged(outcome, rig, "/srv/x", before)
    yield outcome


def _mount(rig, settings, name, mount):
    client, outcome = rig.client1, Outcome("mounts", name, {})
    before = _store(rig, mount.export)
    client.run(mount.before).check()
    try:
        rig.mount(mount.options, [client], mount.export)
    except RuntimeError as error:
        outcome.remark, outcome.skipped = f"cannot be mounted: {' '.join(str(error).split())[-200:]}", True
        rig.mount(clients=[client])
        return outcome
    _try(outcome, client, settings, PATH, mount.refused)
    client.run(mount.after).check()
    rig.mount(clients=[client])
    if mount.refused:
        _unchanged(outcome, rig, mount.export, before)
    return outcome


def _try(outcome, guest, settings, file, must_refuse):
    update = f"h5part update {file} small --stream {shlex.join(settings.options)}"
    done = guest.run(f"echo '{REQUEST}' | {update}", 200)
    outcome.counts = {"refused": int(done.code != 0)}
    outcome.remark = f"exit code {done.code}: {' '.join(done.out.split())[:400]}"
    if done.code >= 100 or must_refuse and done.code == 0:
        outcome.violations += 1
        outcome.examples.append("not refused" if done.code == 0 else "it must say why it refuses")


def _unchanged(outcome, rig, export, before):
    if _content(rig, f"{export}/bad-mounts") != before:
        outcome.violations += 1
        outcome.examples.append("something was written")


def _store(rig, export):
    """Makes a store on the server's own disk that no other case uses; returns its content."""
    folder = f"{export}/bad-mounts"
    create = f"h5part {CREATE.format(file=folder + '/a.h5')}"
    rig.server.run(f"rm -rf {folder}; mkdir -m 777 {folder}; {create} && chmod -R a+rwX {folder}").check()
    return _content(rig, folder)


def _content(rig, folder):
    """The names and the bytes of all files; lock files that are made on the way do not count."""
    script = f"cd {folder} && find . -type f ! -name '*.lock' | sort | xargs sha256sum"
    return rig.server.run(script).check()
