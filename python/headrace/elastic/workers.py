"""The workers of one job on this machine: started, watched, started again and ended together."""

import os
import time
import uuid

from headrace import programs
from headrace.elastic import processes
from headrace.errors import JobError

GRACE_S = 20  # for an agent to end when asked to
RESTARTS = 20  # of one agent that is killed, before it is given up
GIVEN_UP_S = 5  # for the master to end, once workers have
MARK = "HEADRACE_AGENT"  # names an agent in its environment, and in that of all that it starts
LEFT = (0, 75)  # exit codes of an agent that left in order: the job is done, or stopped


class Workers:
    """An agent for each name.

    folder: of their logs. least: they are given up, and the job with them, where fewer are left.
    command: what each agent starts. tls: to the master. say: takes a line for people. metrics_port: their
    figures for Prometheus are at the ports behind it, of 127.0.0.1; 0: none.
    """

    def __init__(
        self, folder: str, names, least: int, command: list, tls, say=lambda line: None, metrics_port=0
    ):
        self._folder, self._least, self._command, self._tls, self._say = folder, least, command, tls, say
        self._agents = dict.fromkeys(names)
        self._marks = {}
        self._metrics_port = metrics_port
        self._given_up = {}  # name: (how it ended, when), in this order
        self._told = 0  # of them
        self._restarts = dict.fromkeys(self._agents, 0)
        self._address = ""
        self._begin = {}  # of what each log has of this run
        self._asked = False  # to end: once more would have an agent kill what it started

    def start(self, address: str):
        """address: the master's; agents that are started again get the same."""
        self._address = address
        for name in self._agents:
            self._begin[name] = processes.size(self._log(name))
            self._start(name)

    def ask_to_end(self):
        """Each hands back what it has not read, uses what it has, and leaves."""
        if not self._asked:
            self._asked = True
            for agent in filter(None, self._agents.values()):
                processes.ask_to_end(agent)

    def end(self):
        """Asks them to end, and leaves no process behind."""
        self.ask_to_end()
        deadline = time.monotonic() + GRACE_S
        for agent in filter(None, self._agents.values()):
            processes.wait_or_kill(agent, max(0, deadline - time.monotonic()))
        for name in self._agents:
            self._clean_up(name)

    def supervise(self):
        """Starts again who was killed. Errors: JobError where fewer than the least are left."""
        if self._asked:
            return
        for name, agent in self._agents.items():
            code = agent.poll()
            if code is None or code in LEFT or name in self._given_up:
                continue
            self._clean_up(name)
            # An agent that ends by itself has tried what can be tried.
            self._restarts[name] += code < 0
            if code > 0 or self._restarts[name] > RESTARTS:
                self._given_up[name] = (processes.how_it_ended(code), time.monotonic())
            else:
                self._say(f"{name}: its agent was {processes.how_it_ended(code)}; it is started again")
                self._start(name)
        self._check()

    def running(self) -> bool:
        """Whether any is."""
        return any(agent.poll() is None for agent in self._agents.values())

    def exit_codes(self) -> list:
        """Of those that have ended."""
        return [code for code in (agent.poll() for agent in self._agents.values()) if code is not None]

    def failures(self) -> list:
        """What those said last that have ended, and not in order."""
        ended = {name: agent.poll() for name, agent in self._agents.items()}
        return [self._last_words(name, code) for name, code in ended.items() if code not in (None, *LEFT)]

    def _last_words(self, name, code):
        said = processes.last_words(self._log(name), begin=self._begin[name])
        return f"{name}: {processes.how_it_ended(code)}: {said}"

    def _log(self, name):
        return os.path.join(self._folder, f"{name}.agent.log")

    def _start(self, name):
        command = [programs.path("headrace-worker"), "--master", self._address, "--name", name]
        command += [*self._tls.arguments(), "--log_dir", self._folder]
        if self._metrics_port:
            command += ["--metrics_port", str(self._metrics_port + 1 + list(self._agents).index(name))]
        command += ["--", *self._command]
        self._marks[name] = str(uuid.uuid4())
        environment = os.environ | {"HEADRACE_WORKERS": str(len(self._agents)), MARK: self._marks[name]}
        self._agents[name] = processes.start(command, self._log(name), environment)

    def _clean_up(self, name):
        """An agent that is killed takes its training process with it, and cannot end what that one had started."""
        agent = self._agents[name]
        if agent is not None and (agent.poll() or 0) < 0:
            processes.kill_marked(f"{MARK}={self._marks[name]}")

    def _check(self):
        """They also leave a job that has failed; then the master, which ends at once, has more to say."""
        before = time.monotonic() - GIVEN_UP_S
        lost = [name for name, (_, since) in self._given_up.items() if since < before]
        left = len(self._agents) - len(lost)
        for name in lost[self._told :]:
            how, _ = self._given_up[name]
            if left < self._least:
                said = self._last_words(name, self._agents[name].poll())
                raise JobError(f"workers that are left: {left}, that are needed: {self._least}; {said}")
            self._say(f"{name} is given up ({how}); the job goes on with {left}")
        self._told = len(lost)
