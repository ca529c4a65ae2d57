"""Machines for a demonstration: network namespaces on a bridge, or, where there are none, this one's loopback
addresses. Files are shared: every machine sees the same folders.
"""

import os
import shutil
import subprocess

NAMES = ("hub", "one", "two")
NETWORK = "10.77.0"


class Namespaces:
    """Three machines, each with a network of its own. Use as a context manager.

    Needs root and iproute2; why_not() says what is missing. The bridge is in the hub's namespace, so nothing of
    this machine's own network changes.
    """

    kind = "network namespaces"
    hub = f"{NETWORK}.1"

    def __init__(self):
        self._prefix = f"headrace-{os.getpid()}-"

    @staticmethod
    def why_not() -> str:
        """"" if they can be made."""
        if os.geteuid() != 0:
            return "they need root"
        if shutil.which("ip") is None:
            return "they need the program ip (Debian: apt-get install iproute2)"
        name = f"headrace-{os.getpid()}-try"
        tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
        if tried.returncode != 0:
            return f"ip netns add: {tried.stderr.strip()}"
        bridge = ["ip", "-n", name, "link", "add", "name", "bridge0", "type", "bridge"]
        tried = subprocess.run(bridge, capture_output=True, text=True)
        subprocess.run(["ip", "netns", "delete", name], check=False)
        return "" if tried.returncode == 0 else f"ip link add type bridge: {tried.stderr.strip()}"

    def __enter__(self):
        try:
            for name in NAMES:
                self._ip("netns", "add", self._prefix + name)
                self._in(name, "link", "set", "lo", "up")
            self._in("hub", "link", "add", "name", "bridge0", "type", "bridge")
            self._in("hub", "address", "add", f"{self.hub}/24", "dev", "bridge0")
            self._in("hub", "link", "set", "bridge0", "up")
            for number, name in enumerate(NAMES[1:], 2):
                pair = ("type", "veth", "peer", "name", "eth0", "netns", self._prefix + name)
                self._in("hub", "link", "add", f"to-{name}", *pair)
                self._in("hub", "link", "set", f"to-{name}", "master", "bridge0", "up")
                self._in(name, "address", "add", f"{NETWORK}.{number}/24", "dev", "eth0")
                self._in(name, "link", "set", "eth0", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in NAMES:
            subprocess.run(["ip", "netns", "delete", self._prefix + name], capture_output=True, check=False)

    def command(self, machine, command):
        """`command`, to be run on that machine."""
        return ["ip", "netns", "exec", self._prefix + machine, *command]

    def _in(self, name, *words):
        self._ip("-n", self._prefix + name, *words)

    @staticmethod
    def _ip(*words):
        done = subprocess.run(["ip", *words], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")


class Loopback:
    """The same, on one machine."""

    kind = "loopback addresses"
    hub = "127.0.0.2"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def command(self, machine, command):
        return list(command)


def make_certificates(folder, address):
    """The flags of a certificate for `address`, and for who connects, of an authority of its own."""

    def openssl(*words):
        done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"openssl {' '.join(words)}: {done.stderr.strip()}")

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj")
    openssl("req", "-x509", *key, "/CN=job authority", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2")
    openssl("req", *key, "/CN=job", "-keyout", "job.key", "-out", "job.csr")
    (folder / "names").write_text(f"subjectAltName=IP:{address}\n")
    openssl(
        *("x509", "-req", "-in", "job.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
        *("-days", "2", "-extfile", "names", "-out", "job.pem"),
    )
    return [f"--tls_cert={folder / 'job.pem'}", f"--tls_key={folder / 'job.key'}", f"--tls_ca={folder / 'ca.pem'}"]
