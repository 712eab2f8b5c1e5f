"""Run a static program on a CPU that Bochs emulates: ``bochs.py CPU PROGRAM ARGUMENT...``; its output goes to stdout.

CPU is what may follow ``model=`` in Bochs's settings. Arguments that name files are given to the program as copies. A Linux
kernel starts from an image of a CD, runs the program and sends its output, as base64, through a serial port.

On Debian 13: ``apt install bochs bochs-term busybox-static cpio isolinux syslinux-common xorriso``. KERNEL names a kernel
(else the newest in /boot), BOCHS the program, BOCHS_DISPLAY its display library.
"""

from __future__ import annotations

import base64
import os
import pty
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

RC = """\
cpu: model={cpu}, count=1, ips=100000000
memory: guest=512, host=512
display_library: {display}
config_interface: textconfig
romimage: file=$BXSHARE/BIOS-bochs-latest
vgaromimage: file=$BXSHARE/VGABIOS-lgpl-latest
ata0-master: type=cdrom, path={folder}/image, status=inserted
boot: cdrom
com1: enabled=1, mode=socket-client, dev=localhost:{port}
log: /dev/null
panic: action=fatal
"""
START = "DEFAULT linux\nLABEL linux\nKERNEL linux\nINITRD initrd\nAPPEND console=ttyS0 quiet mitigations=off panic=-1\n"
INIT = """\
#!/busybox sh
{command} >/output
status=$?
echo "begin"
/busybox base64 /output
echo "end $status"
/busybox sleep 1000
"""


def make_image(folder: Path, command: list[str]) -> None:
    """Write ``folder/image``, which boots and runs the command."""
    root, disk = folder / "root", folder / "disk"
    root.mkdir()
    disk.mkdir()
    words = []
    for number, word in enumerate(command):
        if Path(word).is_file():
            shutil.copy(word, root / f"file{number}")
            words.append(f"/file{number}")
        else:
            words.append(shlex.quote(word))
    shutil.copy(shutil.which("busybox") or "/bin/busybox", root / "busybox")
    (root / "init").write_text(INIT.format(command=" ".join(words)))
    (root / "init").chmod(0o755)
    (root / "dev").mkdir()
    files = "\n".join(str(path.relative_to(root)) for path in root.iterdir())
    with (disk / "initrd").open("wb") as out:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], input=files.encode(), stdout=out, cwd=root, check=True)
    kernels = sorted(Path("/boot").glob("vmlinuz*"), key=lambda path: path.stat().st_mtime)
    shutil.copy(os.environ.get("KERNEL") or kernels[-1], disk / "linux")
    shutil.copy("/usr/lib/ISOLINUX/isolinux.bin", disk)
    shutil.copy("/usr/lib/syslinux/modules/bios/ldlinux.c32", disk)
    (disk / "isolinux.cfg").write_text(START)
    boot = ["-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"]
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-o", folder / "image", *boot, disk], check=True)


def run(cpu: str, command: list[str], folder: Path) -> tuple[int, bytes]:
    """Return status and output of a command on the CPU."""
    make_image(folder, command)
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(60)
    display = os.environ.get("BOCHS_DISPLAY", "term")
    rc = RC.format(cpu=cpu, display=display, folder=folder, port=server.getsockname()[1])
    (folder / "bochsrc").write_text(rc)
    screen, terminal = pty.openpty()
    call = [os.environ.get("BOCHS", "bochs"), "-q", "-f", str(folder / "bochsrc")]
    environment = {"BXSHARE": "/usr/share/bochs", **os.environ, "TERM": "vt100"}
    process = subprocess.Popen(call, stdin=terminal, stdout=terminal, stderr=terminal, env=environment)
    threading.Thread(target=lambda: [*iter(lambda: os.read(screen, 4096), b"")], daemon=True).start()
    lines: list[str] = []
    try:
        line = server.accept()[0].makefile("r", encoding="utf8", errors="replace")
        while text := line.readline():
            lines.append(text.strip())
            if lines[-1].startswith("end "):
                break
        else:
            sys.exit("bochs.py: the machine stopped\n" + "\n".join(lines[-20:]))
    finally:
        process.kill()
        process.wait()
    begin = max(at for at, text in enumerate(lines) if text == "begin")
    for text in lines[:begin]:
        print(text, file=sys.stderr)
    return int(lines[-1].split()[1]), base64.b64decode("".join(lines[begin + 1 : -1]))


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        status, output = run(sys.argv[1], sys.argv[2:], Path(folder))
    sys.stdout.buffer.write(output)
    sys.exit(status)


if __name__ == "__main__":
    main()
