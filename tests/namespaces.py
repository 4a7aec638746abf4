"""Hosts with addresses of their own: network namespaces on a bridge of this machine."""

import os
import shutil
import subprocess

NETWORK = "10.77.0"
BRIDGE = "ortho"


def possible() -> bool:
    """Whether this process may make them, and has the tools."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    made = subprocess.run(["ip", "netns", "add", "probe"], check=False)
    return made.returncode == 0 and not _ip("netns", "del", "probe")


class Hosts:
    """The machine itself, at `outside`, and hosts that reach each other and it.

    Args:
        count: How many.
    """

    outside = f"{NETWORK}.254"

    def __init__(self, count: int) -> None:
        self.count = count
        self.remove()  # what a killed test has left
        _ip("link", "add", BRIDGE, "type", "bridge")
        _ip("address", "add", f"{self.outside}/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        for number in range(count):
            name, cable = f"{BRIDGE}{number}", f"{BRIDGE}-c{number}"
            _ip("netns", "add", name)
            _ip("link", "add", cable, "type", "veth", "peer", "eth0", "netns", name)
            _ip("link", "set", cable, "master", BRIDGE, "up")
            inside = ("-n", name)
            _ip(*inside, "address", "add", f"{self.address(number)}/24", "dev", "eth0")
            _ip(*inside, "link", "set", "eth0", "up")
            _ip(*inside, "link", "set", "lo", "up")

    def address(self, number: int) -> str:
        """Of a host."""
        return f"{NETWORK}.{number + 1}"

    def on(self, number: int) -> list[str]:
        """What comes before a command, so that it runs on a host."""
        return ["ip", "netns", "exec", f"{BRIDGE}{number}"]

    def remove(self) -> None:
        """Take them away, with their cables; none there is no error."""
        for number in range(self.count):
            name = f"{BRIDGE}{number}"
            subprocess.run(
                ["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL
            )
        subprocess.run(
            ["ip", "link", "del", BRIDGE], check=False, stderr=subprocess.DEVNULL
        )


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
