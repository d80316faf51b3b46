"""A machine of the test's own: systemd as process 1, in a container over what is on this disk.

systemd-nspawn boots it. Its disk is this one, seen through a layer in memory that takes all that is
written; its network is its own, with nothing but loopback. JPH is in /opt/jph, from this checkout
and with the packages and the interpreter of these tests, its configuration in /etc/jph.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.helpers import eventually
from tests.tools.program import TOP

BOOT_S = 60.0
COMMAND_S = 60.0
# Nothing of this disk is started but what the test names.
TARGET = "[Unit]\nRequires=systemd-journald.service\n"
# An interpreter elsewhere, such as in a home, which services do not see, is in /opt/python.
BASE = Path(sys.base_prefix).resolve()
BORROWED = not BASE.is_relative_to("/usr")
LIBRARIES = "LD_LIBRARY_PATH=/opt/python/lib"
PROGRAM = "#!/opt/jph/bin/python\nfrom tools.main import main\n\nmain()\n"


class Machine:
    """A booted machine.

    Args:
        folder: an empty folder on the disk.

    Raises:
        RuntimeError: this process may not make containers, or they do not work here.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.units = folder / "units"
        self.etc = folder / "etc"
        self._lay_out()
        self._container: subprocess.Popen | None = None
        self._first_process = 0

    def __enter__(self) -> "Machine":
        tried = self._nspawn("/bin/true")
        ended = subprocess.run(tried, capture_output=True, text=True, timeout=BOOT_S)
        if ended.returncode:
            raise RuntimeError(ended.stderr.strip())
        with open(self._folder / "console", "wb") as console:
            self._container = subprocess.Popen(
                self._nspawn("--boot", "--", "--unit=test.target"),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        try:
            self._first_process = eventually(self._find_first_process, BOOT_S)
            eventually(self._is_up, BOOT_S, (self._folder / "console").read_text())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._container.terminate()
        try:
            self._container.wait(BOOT_S)
        finally:
            self._container.kill()
            self._container.wait(30)

    def _lay_out(self) -> None:
        """Make the folders that the machine sees as /etc/systemd/system, /etc/jph and /opt/jph."""
        shutil.copytree(TOP / "systemd", self.units)
        (self.units / "test.target").write_text(TARGET)
        self.etc.mkdir()
        opt = self._folder / "opt"
        packages = opt / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
        packages.mkdir(parents=True)
        (packages / "checkout.pth").write_text("/opt/checkout\n/opt/packages\n")
        binaries = opt / "bin"
        binaries.mkdir()
        interpreter = Path(sys.executable).resolve()
        if BORROWED:
            interpreter = Path("/opt/python") / interpreter.relative_to(BASE)
            for name in ("jph.service.d", "jph@.service.d"):
                (self.units / name).mkdir()
                drop_in = self.units / name / "interpreter.conf"
                drop_in.write_text(f"[Service]\nEnvironment={LIBRARIES}\n")
        (binaries / "python").symlink_to(interpreter)
        (opt / "pyvenv.cfg").write_text(f"home = {interpreter.parent}\n")
        (binaries / "jph").write_text(PROGRAM)
        (binaries / "jph").chmod(0o755)

    def _nspawn(self, *command: str) -> list[str]:
        seen = {
            "/opt/jph": self._folder / "opt",
            "/opt/checkout": TOP,
            "/opt/packages": sysconfig.get_path("purelib"),
            "/opt/python": BASE,
        }
        # A machine without systemd has no unit to keep, and would be asked for one otherwise.
        unit = [] if Path("/run/systemd/system").is_dir() else ["--keep-unit"]
        root = self._folder / "root"
        root.mkdir(exist_ok=True)
        return [
            "unshare",
            "--mount",
            "--",
            "sh",
            "-c",  # nspawn takes no / itself
            'mount --bind / "$1" && shift && exec env SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 "$@"',
            "sh",
            str(root),
            "systemd-nspawn",
            "--quiet",
            f"--directory={root}",
            "--volatile=overlay",
            "--private-network",
            "--register=no",
            *unit,
            f"--machine=jph-test-{os.getpid()}",
            "--link-journal=no",
            "--console=pipe",
            f"--bind={self.units}:/etc/systemd/system",
            f"--bind={self.etc}:/etc/jph",
            *(f"--bind-ro={here}:{there}" for there, here in seen.items()),
            *command,
        ]

    def _find_first_process(self) -> int:
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                lines = dict(line.split(":\t", 1) for line in status.read_text().splitlines())
            except (OSError, ValueError):
                continue
            inside = lines.get("NSpid", "").split()
            if lines["PPid"] == str(self._container.pid) and inside[1:] == ["1"]:
                return int(inside[0])
        if self._container.poll() is not None:
            raise RuntimeError((self._folder / "console").read_text())
        return 0

    def _is_up(self) -> bool:
        return self.systemctl("is-active", "test.target").stdout == "active\n"

    def run(self, *command: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in the machine, as root, and type something."""
        inside = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_COLORS=0"]
        if BORROWED:
            inside.append(LIBRARIES)
        return subprocess.run(
            ["nsenter", "--all", "-t", str(self._first_process), *inside, *command],
            input=typed,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
        )

    def systemctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("systemctl", "--no-pager", *arguments)

    def show(self, unit: str) -> dict[str, str]:
        """Return the properties of a unit."""
        lines = self.systemctl("show", unit).stdout.splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def journal(self, unit: str) -> str:
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit).stdout
